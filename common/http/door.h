/* The door: what of HTTP/1.x is let in, for requests and for replies alike. Pure functions over
 * lines and heads; the parser asks them before anybody else sees a byte. They are stricter than the
 * grammar on purpose: two programs that read the same bytes differently are how requests are
 * smuggled, so whatever has two readings is refused. Each refusal is an err whose kind says the
 * status (400 where nothing else fits; ERR_TRAVERSAL for a path that leads elsewhere); the parser
 * makes ERR_PROTOCOL of it for replies. */
#ifndef RBEE_COMMON_HTTP_DOOR_H
#define RBEE_COMMON_HTTP_DOOR_H

#include "common/err.h"
#include "common/http/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* "METHOD " and " HTTP/1.1\r\n" around the target. */
    DOOR_START_LINE_EXTRA_BYTES = 64,
    /* A chunk's size line with its extensions, or one trailer. */
    DOOR_FRAMING_LINE_MAX_BYTES = 256,
    DOOR_TRAILER_MAX_COUNT = 16,
};

enum door_body {
    DOOR_BODY_NONE,
    DOOR_BODY_LENGTH,
    DOOR_BODY_CHUNKED,
    DOOR_BODY_TO_CLOSE, /* a reply that ends with its connection */
};

/* How the bytes after the head are to be read. */
struct door_framing {
    enum door_body body;
    uint64_t length; /* of DOOR_BODY_LENGTH, more than 0 */
    bool keep_alive;
    bool expects_continue;
};

/* A head as the grammar sees it. */
struct door_message {
    bool is_reply;
    bool is_reply_to_head; /* has no body, whatever it says */
    bool says_close;       /* "close" among the Connection options */
    unsigned minor_version;
    const struct http_head *head; /* headers; method or status */
};

/* Lines with their CRLF. A start line is complete only in its form: "METHOD target HTTP/1.x", or
 * "HTTP/1.x NNN reason". */
int door_check_request_line(const char *line, size_t len, struct err *err);
int door_check_status_line(const char *line, size_t len, struct err *err);
int door_check_header_line(const char *line, size_t len, struct err *err);
/* A header behind the chunks; it may not change how they are framed. */
int door_check_trailer_line(const char *line, size_t len, struct err *err);
/* "SIZE;extensions" before a chunk, and the empty line after it. */
int door_check_chunk_line(const char *line, size_t len, struct err *err);
int door_check_empty_line(const char *line, size_t len, struct err *err);

/* All rules about headers; *out is how the body is framed. */
int door_check_head(const struct door_message *message, struct door_framing *out, struct err *err);

/* Splits TARGET in place: path decoded and checked, query as sent. */
int door_split_target(char *target, const char **out_path, const char **out_query, struct err *err);

#endif

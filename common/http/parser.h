/* Bytes of one connection in one direction -> heads and pieces of bodies. llhttp knows the grammar,
 * the door the policy.
 *
 *   HEAD -> BODY (by length | chunked | to the end of the connection) -> DONE ->
 * parser_next_message
 *
 * The caller pulls: parser_step() takes from the input what it needs for one step and says what it
 * found, so a caller can stop between any two steps and go on later. What is found does not depend
 * on how the bytes were cut. */
#ifndef RBEE_COMMON_HTTP_PARSER_H
#define RBEE_COMMON_HTTP_PARSER_H

#include "common/buf.h"
#include "common/err.h"
#include "common/http/door.h"
#include "common/http/http.h"
#include "common/http/llhttp_import.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum parser_kind { PARSER_REQUESTS, PARSER_REPLIES };

enum parser_step {
    PARSER_NEEDS_INPUT, /* all input is used */
    PARSER_FOUND_HEAD,  /* parser->message, parser->framing */
    PARSER_FOUND_BODY,  /* parser->piece, borrowed from the input */
    PARSER_FOUND_END,
    PARSER_FAILED, /* err says why; the connection is of no more use */
};

enum parser_state {
    PARSER_IN_HEAD,
    PARSER_IN_LENGTH,
    PARSER_IN_REST,
    PARSER_IN_CHUNK_SIZE,
    PARSER_IN_CHUNK,
    PARSER_AFTER_CHUNK,
    PARSER_IN_TRAILERS,
    PARSER_AT_END,
    PARSER_DONE,
    PARSER_BROKEN,
};

struct parser_input {
    const char *data;
    size_t len;
};

/* Where llhttp saw a part of the head: offsets into it. */
struct parser_span {
    uint16_t start;
    uint16_t len;
};
static_assert(HTTP_HEAD_MAX_BYTES <= UINT16_MAX, "a span can lie anywhere in a head");

struct parser {
    enum parser_kind kind;
    enum parser_state state;
    bool is_reply_to_head;
    bool has_skipped_line; /* the one empty line a client may send before a request */
    struct buf head;       /* the head's bytes; the text of message points into them */
    size_t line_start;     /* of the line being read, in head */
    size_t line_count;
    llhttp_t grammar;
    struct parser_span target;
    struct parser_span names[HTTP_HEADER_MAX_COUNT];
    struct parser_span values[HTTP_HEADER_MAX_COUNT];
    size_t name_count;
    size_t value_count;
    struct http_head message;
    struct door_framing framing;
    struct parser_input piece;
    uint64_t left;                          /* bytes of the body, or of the chunk, still to come */
    char line[DOOR_FRAMING_LINE_MAX_BYTES]; /* of chunk framing */
    size_t line_len;
    size_t trailer_count;
};

void parser_init(struct parser *parser, enum parser_kind kind);
void parser_release(struct parser *parser);
/* Ready for the next message; what message points to is gone. */
void parser_next_message(struct parser *parser);
/* Of replies: the request was HEAD. After parser_next_message. */
void parser_expect_no_body(struct parser *parser);
/* Some byte of a message has been read, and it is not whole yet. */
bool parser_has_begun(const struct parser *parser);

enum parser_step parser_step(struct parser *parser, struct parser_input *input, struct err *err);
/* The connection has ended: PARSER_FOUND_END when that completes the message, else PARSER_FAILED
 * (ERR_STREAM_BROKEN). */
enum parser_step parser_finish(struct parser *parser, struct err *err);

#endif

/* Server-sent events: the `data:` part of the WHATWG format, with a limit on an event's size.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html */
#ifndef RBEE_COMMON_HTTP_SSE_H
#define RBEE_COMMON_HTTP_SSE_H

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

enum { SSE_EVENT_MAX_BYTES = 1 << 20 };

/* Appends "data: TEXT\n\n". TEXT holds no newline (compact JSON or "[DONE]"). */
enum { SSE_AROUND_BYTES = sizeof("data: \n\n") - 1 }; /* what it adds to the text */
int sse_append(struct buf *buf, const char *text, size_t len);
/* The same with "id: ID" before it: a client that comes back says the last one it has seen
 * (Last-Event-ID). */
int sse_append_numbered(struct buf *buf, int64_t id, const char *text, size_t len);
/* A comment that keeps the connection alive: ": ping\n\n" */
int sse_append_ping(struct buf *buf);

struct sse_parser {
    struct buf line;
    struct buf data;
    bool after_cr;
};
void sse_parser_init(struct sse_parser *parser);
void sse_parser_release(struct sse_parser *parser);
/* Feeds bytes as they come, cut anywhere; on_event is called for each whole event with its data
 * (NUL-terminated, borrowed). It returns 0 to go on; -1 with err ends the feed with -1. An event
 * over the limit is ERR_PROTOCOL. */
int sse_parser_feed(struct sse_parser *parser, const char *bytes, size_t len,
                    int (*on_event)(void *owner, const char *data, size_t len, struct err *err),
                    void *owner, struct err *err);

#endif

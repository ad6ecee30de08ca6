/* Foreign bytes through parser and door, twice: as they are and cut to pieces. Both must find the
 * same heads, bodies, ends and errors. For the fuzz targets of requests and of replies; the first
 * byte of an input says how it is cut. */
#ifndef RBEE_TESTS_FUZZ_HTTP_CUTS_H
#define RBEE_TESTS_FUZZ_HTTP_CUTS_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/http/parser.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

enum { CUTS_TRACE_MAX_BYTES = 16 << 20 };

/* The length of the next piece: 1 to 32 bytes, from a small generator that *seed drives. */
static inline size_t cuts_next(uint32_t *seed)
{
    /* Numerical Recipes' linear congruential generator. */
    *seed = *seed * 1664525u + 1013904223u;
    return 1 + (*seed >> 27);
}

static inline void cuts_trace_head(struct buf *trace, const struct parser *parser)
{
    const struct http_head *head = &parser->message;

    (void)buf_printf(trace, "<%d %d %s %s %d %llu %d %d>", (int)head->method, head->status,
                     head->path, head->query, (int)parser->framing.body,
                     (unsigned long long)parser->framing.length, parser->framing.keep_alive,
                     parser->framing.expects_continue);
    assert(head->header_count <= HTTP_HEADER_MAX_COUNT);
    for (size_t i = 0; i < head->header_count; i++) {
        /* What a service copies into logs and replies. */
        assert(strpbrk(head->headers[i].name, "\r\n: ") == NULL);
        assert(strpbrk(head->headers[i].value, "\r\n") == NULL);
        (void)buf_printf(trace, "%s=%s;", head->headers[i].name, head->headers[i].value);
    }
    if (parser->kind == PARSER_REQUESTS) {
        assert(head->path[0] == '/' && strstr(head->path, "/../") == NULL);
        assert(parser->framing.body != DOOR_BODY_TO_CLOSE);
    }
}

/* One step's result into TRACE; false when nothing can follow. */
static inline bool cuts_take_step(struct parser *parser, enum parser_step step,
                                  const struct err *err, struct buf *trace)
{
    switch (step) {
    case PARSER_NEEDS_INPUT:
        return true;
    case PARSER_FOUND_HEAD:
        cuts_trace_head(trace, parser);
        return true;
    case PARSER_FOUND_BODY:
        assert(parser->piece.len > 0);
        (void)buf_add(trace, parser->piece.data, parser->piece.len);
        return true;
    case PARSER_FOUND_END:
        (void)buf_add_string(trace, "<end>");
        if (!parser->framing.keep_alive)
            return false;
        parser_next_message(parser);
        return true;
    case PARSER_FAILED:
        assert(err_is_set(err));
        (void)buf_printf(trace, "<%s>", err->message);
        break;
    }
    return false;
}

static inline void cuts_read(enum parser_kind kind, const char *data, size_t len, uint32_t seed,
                             struct buf *trace)
{
    struct parser parser;
    struct err err = ERR_INIT;
    size_t at = 0;
    bool goes_on = true;

    parser_init(&parser, kind);
    while (goes_on && at < len) {
        size_t piece_len = seed == 0 ? len : cuts_next(&seed);
        struct parser_input input = {.data = data + at, .len = piece_len};
        enum parser_step step = PARSER_FOUND_HEAD;

        if (input.len > len - at)
            input.len = len - at;
        at += input.len;
        while (goes_on && (step != PARSER_NEEDS_INPUT || input.len > 0)) {
            step = parser_step(&parser, &input, &err);
            goes_on = cuts_take_step(&parser, step, &err, trace);
        }
    }
    if (goes_on && kind == PARSER_REPLIES)
        (void)cuts_take_step(&parser, parser_finish(&parser, &err), &err, trace);
    parser_release(&parser);
}

static inline void cuts_compare(enum parser_kind kind, const uint8_t *data, size_t len)
{
    AUTO_BUF struct buf whole = BUF_INIT(CUTS_TRACE_MAX_BYTES);
    AUTO_BUF struct buf cut = BUF_INIT(CUTS_TRACE_MAX_BYTES);

    if (len < 2)
        return;
    cuts_read(kind, (const char *)data + 1, len - 1, 0, &whole);
    cuts_read(kind, (const char *)data + 1, len - 1, data[0] + 1u, &cut);
    assert(whole.len == cut.len && memcmp(whole.data, cut.data, whole.len) == 0);
}

#endif

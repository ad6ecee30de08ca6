/* Owns the text of server-sent events, both ways. Knows neither connections nor what events mean.
 */
#include "common/http/sse.h"

#include <inttypes.h>
#include <string.h>

enum {
    /* "data: " and the line's end beside the event. */
    SSE_LINE_MAX_BYTES = SSE_EVENT_MAX_BYTES + 16,
};

int sse_append(struct buf *buf, const char *text, size_t len)
{
    static const char before[] = "data: ";
    static const char after[] = "\n\n";

    /* All or nothing: half an event would swallow the next one. */
    if (buf_reserve(buf, sizeof(before) - 1 + len + sizeof(after) - 1) < 0)
        return -1;
    (void)buf_add(buf, before, sizeof(before) - 1); /* there is room */
    (void)buf_add(buf, text, len);
    (void)buf_add(buf, after, sizeof(after) - 1);
    return 0;
}

int sse_append_numbered(struct buf *buf, int64_t id, const char *text, size_t len)
{
    size_t before_len = buf->len;

    if (buf_printf(buf, "id: %" PRId64 "\n", id) == 0 && sse_append(buf, text, len) == 0)
        return 0;
    buf->len = before_len; /* what was added is behind it, and not read */
    if (buf->len < buf->capacity)
        buf->data[buf->len] = '\0';
    return -1;
}

int sse_append_ping(struct buf *buf)
{
    return buf_add_string(buf, ": ping\n\n");
}

void sse_parser_init(struct sse_parser *parser)
{
    buf_init(&parser->line, SSE_LINE_MAX_BYTES);
    buf_init(&parser->data, SSE_EVENT_MAX_BYTES + 1); /* each data line is kept with its end */
    parser->after_cr = false;
}

void sse_parser_release(struct sse_parser *parser)
{
    buf_release(&parser->line);
    buf_release(&parser->data);
}

/* The empty line: hands over what the data lines before it held. */
static int sse_end_event(struct sse_parser *parser,
                         int (*on_event)(void *owner, const char *data, size_t len,
                                         struct err *err),
                         void *owner, struct err *err)
{
    size_t len = parser->data.len;

    if (len == 0) /* there was no data line */
        return 0;
    len--;
    parser->data.data[len] = '\0'; /* over the end of the last line */
    if (on_event(owner, parser->data.data, len, err) < 0)
        return -1;
    buf_clear(&parser->data);
    return 0;
}

/* Keeps the value of a data line; comments and other fields mean nothing here. */
static int sse_end_field(struct sse_parser *parser, struct err *err)
{
    static const char field[] = "data";
    const char *value = parser->line.data;
    size_t len = parser->line.len;

    if (len < sizeof(field) - 1 || memcmp(value, field, sizeof(field) - 1) != 0)
        return 0;
    value += sizeof(field) - 1;
    len -= sizeof(field) - 1;
    if (len > 0 && *value != ':')
        return 0; /* another field that begins alike */
    for (const char *skipped = ": "; *skipped != '\0' && len > 0 && *value == *skipped; skipped++) {
        value++;
        len--;
    }
    if (buf_add(&parser->data, value, len) < 0 || buf_add_byte(&parser->data, '\n') < 0)
        return err_set(err, ERR_PROTOCOL, "event of more than %d bytes", SSE_EVENT_MAX_BYTES);
    return 0;
}

/* How many of the bytes are before the next end of a line. A piece at a time: with a CR at each
 * end, the next LF may be far. */
static size_t sse_line_len(const char *bytes, size_t len)
{
    enum { PIECE_BYTES = 256 };
    size_t at = 0;

    while (at < len) {
        size_t piece_len = len - at < PIECE_BYTES ? len - at : PIECE_BYTES;
        const char *lf = memchr(bytes + at, '\n', piece_len);
        size_t before_lf = lf == NULL ? piece_len : (size_t)(lf - bytes) - at;
        const char *cr = memchr(bytes + at, '\r', before_lf);

        if (cr != NULL || lf != NULL)
            return (size_t)((cr != NULL ? cr : lf) - bytes);
        at += piece_len;
    }
    return len;
}

int sse_parser_feed(struct sse_parser *parser, const char *bytes, size_t len,
                    int (*on_event)(void *owner, const char *data, size_t len, struct err *err),
                    void *owner, struct err *err)
{
    while (len > 0) {
        size_t text_len = 0;

        if (parser->after_cr && *bytes == '\n') { /* CR LF is one line end, also when cut */
            parser->after_cr = false;
            bytes++;
            len--;
            continue;
        }
        parser->after_cr = false;
        text_len = sse_line_len(bytes, len);
        if (buf_add(&parser->line, bytes, text_len) < 0)
            return err_set(err, ERR_PROTOCOL, "event of more than %d bytes", SSE_EVENT_MAX_BYTES);
        bytes += text_len;
        len -= text_len;
        if (len == 0)
            return 0;
        parser->after_cr = *bytes == '\r';
        bytes++;
        len--;
        if ((parser->line.len == 0 ? sse_end_event(parser, on_event, owner, err)
                                   : sse_end_field(parser, err)) < 0)
            return -1;
        buf_clear(&parser->line);
    }
    return 0;
}

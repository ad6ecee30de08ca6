/* Event streams of workers: the same events, however the bytes are cut. */
#include "common/attr.h"
#include "common/http/sse.h"
#include "tests/fuzz/http_cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_event(void *owner, const char *data, size_t len, struct err *err)
{
    struct buf *trace = owner;

    assert(data[len] == '\0');
    (void)buf_add(trace, data, len);
    (void)buf_add_string(trace, "<event>");
    if (len > 4 && memcmp(data, "stop", 4) == 0)
        return err_set(err, ERR_CANCELLED, "stopped");
    return 0;
}

static void read_events(const char *data, size_t len, uint32_t seed, struct buf *trace)
{
    struct sse_parser parser;
    struct err err = ERR_INIT;
    size_t at = 0;
    int result = 0;

    sse_parser_init(&parser);
    while (result == 0 && at < len) {
        size_t piece_len = seed == 0 ? len : cuts_next(&seed);

        if (piece_len > len - at)
            piece_len = len - at;
        result = sse_parser_feed(&parser, data + at, piece_len, on_event, trace, &err);
        at += piece_len;
    }
    assert((result < 0) == err_is_set(&err));
    sse_parser_release(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_BUF struct buf whole = BUF_INIT(CUTS_TRACE_MAX_BYTES);
    AUTO_BUF struct buf cut = BUF_INIT(CUTS_TRACE_MAX_BYTES);

    if (len < 2)
        return 0;
    read_events((const char *)data + 1, len - 1, 0, &whole);
    read_events((const char *)data + 1, len - 1, data[0] + 1u, &cut);
    assert(whole.len == cut.len && memcmp(whole.data, cut.data, whole.len) == 0);
    return 0;
}

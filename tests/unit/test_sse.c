/* Server-sent events: what is written is read back, however it is cut; the format's other forms;
 * the limit on one event. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TRACE_MAX_BYTES = 8 << 20 };

static int note_event(void *owner, const char *data, size_t len, struct err *err)
{
    struct buf *trace = owner;

    assert_int_equal(strlen(data), len);
    assert_int_equal(buf_printf(trace, "[%s]", data), 0);
    return strcmp(data, "stop") == 0 ? err_set(err, ERR_CANCELLED, "stopped") : 0;
}

/* Feeds TEXT, STEP bytes at a time. */
static int read_events(const char *text, size_t len, size_t step, struct buf *trace)
{
    struct sse_parser parser;
    struct err err = ERR_INIT;
    int result = 0;

    sse_parser_init(&parser);
    buf_clear(trace);
    for (size_t at = 0; at < len && result == 0; at += step)
        result = sse_parser_feed(&parser, text + at, step < len - at ? step : len - at, note_event,
                                 trace, &err);
    sse_parser_release(&parser);
    return result == 0 ? 0 : (int)err.kind;
}

static void events_are_read(void **state)
{
    static const struct {
        const char *text;
        const char *events;
    } CASES[] = {
        {"data: a\n\n", "[a]"},
        {"data: a\n\ndata: b\n\n", "[a][b]"},
        {"data:a\n\n", "[a]"},
        {"data:  a\n\n", "[ a]"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]"},
        {"data: a\r\rdata: b\r\r", "[a][b]"},
        {"data: a\ndata: b\n\n", "[a\nb]"},
        {"data\n\n", "[]"},
        {"data\ndata\n\n", "[\n]"},
        {": ping\n\ndata: a\n\n", "[a]"},
        {"event: x\nid: 7\nretry: 1\ndata: a\n\n", "[a]"},
        {"database: x\n\ndat: y\n\n", ""},
        {"\n\n\ndata: a\n\n", "[a]"},
        {"data: not ended\n", ""},
        {"data: a: b\n\n", "[a: b]"},
    };
    struct buf trace;

    buf_init(&trace, TRACE_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        for (size_t step = 1; step <= strlen(CASES[i].text); step++) {
            assert_int_equal(read_events(CASES[i].text, strlen(CASES[i].text), step, &trace), 0);
            assert_string_equal(trace.data, CASES[i].events);
        }
    }
    buf_release(&trace);
}

static void a_numbered_event_is_read_as_any_other(void **state)
{
    AUTO_BUF struct buf written = BUF_INIT(SSE_EVENT_MAX_BYTES);
    AUTO_BUF struct buf full = BUF_INIT(8);
    struct buf trace;

    buf_init(&trace, TRACE_MAX_BYTES);
    assert_int_equal(sse_append_numbered(&written, 7, "a", 1), 0);
    assert_string_equal(written.data, "id: 7\ndata: a\n\n");
    assert_int_equal(read_events(written.data, written.len, 1, &trace), 0);
    assert_string_equal(trace.data, "[a]");
    assert_int_equal(sse_append_numbered(&full, 7, "a", 1), -1);
    assert_int_equal(full.len, 0);
    buf_release(&trace);
}

static void a_refused_event_ends_the_feed(void **state)
{
    const char *text = "data: a\n\ndata: stop\n\ndata: b\n\n";
    struct buf trace;

    buf_init(&trace, TRACE_MAX_BYTES);
    assert_int_equal(read_events(text, strlen(text), strlen(text), &trace), ERR_CANCELLED);
    assert_string_equal(trace.data, "[a][stop]");
    buf_release(&trace);
}

static void what_is_written_is_read(void **state)
{
    struct buf stream;
    struct buf trace;

    buf_init(&stream, TRACE_MAX_BYTES);
    buf_init(&trace, TRACE_MAX_BYTES);
    assert_int_equal(sse_append(&stream, "{\"t\":\"x\"}", strlen("{\"t\":\"x\"}")), 0);
    assert_int_equal(sse_append_ping(&stream), 0);
    assert_int_equal(sse_append(&stream, "[DONE]", strlen("[DONE]")), 0);
    assert_string_equal(stream.data, "data: {\"t\":\"x\"}\n\n: ping\n\ndata: [DONE]\n\n");
    assert_int_equal(read_events(stream.data, stream.len, stream.len, &trace), 0);
    assert_string_equal(trace.data, "[{\"t\":\"x\"}][[DONE]]");
    buf_release(&stream);
    buf_release(&trace);
}

/* Half an event would swallow the next one. */
static void an_event_that_does_not_fit_is_not_begun(void **state)
{
    struct buf stream;

    buf_init(&stream, 10);
    assert_int_equal(sse_append(&stream, "abc", 3), -1);
    assert_int_equal(stream.len, 0);
    assert_int_equal(sse_append(&stream, "ab", 2), 0);
    buf_release(&stream);
}

static int read_long_event(size_t lines, size_t line_len)
{
    struct buf stream;
    struct buf trace;
    int result = 0;

    buf_init(&stream, 2 * TRACE_MAX_BYTES);
    buf_init(&trace, TRACE_MAX_BYTES);
    for (size_t i = 0; i < lines; i++) {
        assert_int_equal(buf_add_string(&stream, "data: "), 0);
        assert_int_equal(buf_reserve(&stream, line_len), 0);
        memset(stream.data + stream.len, 'x', line_len);
        stream.len += line_len;
        assert_int_equal(buf_add_byte(&stream, '\n'), 0);
    }
    assert_int_equal(buf_add_byte(&stream, '\n'), 0);
    result = read_events(stream.data, stream.len, 4096, &trace);
    buf_release(&stream);
    buf_release(&trace);
    return result;
}

static void one_event_has_a_limit(void **state)
{
    assert_int_equal(read_long_event(1, SSE_EVENT_MAX_BYTES), 0);
    assert_int_equal(read_long_event(1, SSE_EVENT_MAX_BYTES + 1), ERR_PROTOCOL);
    assert_int_equal(read_long_event(1, 2 * SSE_EVENT_MAX_BYTES), ERR_PROTOCOL);
    assert_int_equal(read_long_event(3, SSE_EVENT_MAX_BYTES / 2), ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read),
        cmocka_unit_test(a_numbered_event_is_read_as_any_other),
        cmocka_unit_test(a_refused_event_ends_the_feed),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_event_that_does_not_fit_is_not_begun),
        cmocka_unit_test(one_event_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

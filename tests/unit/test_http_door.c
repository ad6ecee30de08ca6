/* The door: every rule with what it refuses and what it lets in, through the parser, whole and cut
 * everywhere. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/http/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TRACE_MAX_BYTES = 1 << 20 };

/* ---- one message, read and written down ---- */

static void trace_head(struct buf *trace, const struct parser *parser)
{
    const struct http_head *head = &parser->message;

    (void)buf_printf(trace, "%s %d %s ? %s body=%d length=%llu keep=%d continue=%d\n",
                     http_method_name(head->method), head->status, head->path, head->query,
                     (int)parser->framing.body, (unsigned long long)parser->framing.length,
                     parser->framing.keep_alive, parser->framing.expects_continue);
    for (size_t i = 0; i < head->header_count; i++)
        (void)buf_printf(trace, "%s=%s\n", head->headers[i].name, head->headers[i].value);
}

/* Reads one message, STEP bytes at a time, and the rest of it at once from the byte FROM on. Writes
 * what was found to TRACE; returns ERR_NONE when the message was whole. */
static enum err_kind read_message(enum parser_kind kind, const char *text, size_t len, size_t step,
                                  struct buf *trace)
{
    struct parser parser;
    struct parser_input input = {0};
    struct err err = ERR_INIT;
    enum parser_step found = PARSER_NEEDS_INPUT;
    size_t at = 0;

    parser_init(&parser, kind);
    buf_clear(trace);
    while (found != PARSER_FOUND_END && found != PARSER_FAILED &&
           (found != PARSER_NEEDS_INPUT || at < len)) {
        if (input.len == 0 && at < len) {
            input.data = text + at;
            input.len = step < len - at ? step : len - at;
            at += input.len;
        }
        found = parser_step(&parser, &input, &err);
        if (found == PARSER_FOUND_HEAD)
            trace_head(trace, &parser);
        if (found == PARSER_FOUND_BODY)
            (void)buf_add(trace, parser.piece.data, parser.piece.len);
    }
    if (found == PARSER_NEEDS_INPUT && parser_finish(&parser, &err) == PARSER_FOUND_END)
        found = PARSER_FOUND_END;
    (void)buf_printf(trace, "\n%s", err.message);
    parser_release(&parser);
    return found == PARSER_FOUND_END ? ERR_NONE : err.kind;
}

/* The result, which is the same however the bytes are cut. */
static enum err_kind read_in_all_cuts(enum parser_kind kind, const char *text, size_t len,
                                      struct buf *trace)
{
    struct buf other;
    enum err_kind result = read_message(kind, text, len, len, trace);

    buf_init(&other, TRACE_MAX_BYTES);
    for (size_t step = 1; step < len; step = step < 16 ? step + 1 : step * 2) {
        assert_int_equal(read_message(kind, text, len, step, &other), result);
        assert_string_equal(other.data, trace->data);
    }
    buf_release(&other);
    return result;
}

/* ---- the rules ---- */

#define GET "GET /a HTTP/1.1\r\n"
#define POST "POST /a HTTP/1.1\r\nHost: h\r\n"
#define HOST "Host: h\r\n"
#define OK ERR_NONE
#define BAD ERR_INVALID

static const struct {
    const char *rule;
    const char *text;
    size_t len; /* 0: to the NUL */
    enum err_kind kind;
} REQUESTS[] = {
    {"good", GET HOST "\r\n", 0, OK},
    {"good, with a body", POST "Content-Length: 3\r\n\r\nabc", 0, OK},
    {"good, in chunks", POST "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 0, OK},
    {"one empty line may come first", "\r\n" GET HOST "\r\n", 0, OK},
    {"only one", "\r\n\r\n" GET HOST "\r\n", 0, BAD},

    {"exactly one Host for 1.1", GET "\r\n", 0, BAD},
    {"exactly one Host for 1.1", GET HOST HOST "\r\n", 0, BAD},
    {"1.0 may have none", "GET /a HTTP/1.0\r\n\r\n", 0, OK},
    {"1.0 may not have two", "GET /a HTTP/1.0\r\n" HOST HOST "\r\n", 0, BAD},

    {"version 1.0 or 1.1", "GET /a HTTP/1.2\r\n" HOST "\r\n", 0, ERR_HTTP_VERSION},
    {"version 1.0 or 1.1", "GET /a HTTP/2.0\r\n" HOST "\r\n", 0, ERR_HTTP_VERSION},
    {"version 1.0 or 1.1", "GET /a HTTP/0.9\r\n" HOST "\r\n", 0, ERR_HTTP_VERSION},
    {"version 1.0 or 1.1", "GET /a HTTP/11.1\r\n" HOST "\r\n", 0, BAD},
    {"version 1.0 or 1.1", "GET /a http/1.1\r\n" HOST "\r\n", 0, BAD},
    {"version 1.0 or 1.1", "GET /a ICE/1.0\r\n" HOST "\r\n", 0, BAD},
    {"version 1.0 or 1.1", "GET /a\r\n" HOST "\r\n", 0, BAD},
    {"version 1.0 or 1.1", "GET /a HTTP/1.1 \r\n" HOST "\r\n", 0, BAD},

    {"only chunked", POST "Transfer-Encoding: gzip\r\n\r\n", 0, ERR_NOT_IMPLEMENTED},
    {"only chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0,
     ERR_NOT_IMPLEMENTED},
    {"only chunked", POST "Transfer-Encoding: identity\r\n\r\n", 0, ERR_NOT_IMPLEMENTED},
    {"only chunked", POST "Transfer-Encoding:\r\n\r\n", 0, ERR_NOT_IMPLEMENTED},
    {"only chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0, BAD},
    {"only once", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     0, BAD},
    {"only chunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, ERR_NOT_IMPLEMENTED},
    {"not beside a length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     0, BAD},
    {"not beside a length", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     0, BAD},
    {"not on 1.0", "POST /a HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
     BAD},

    {"one length", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 0, BAD},
    {"one length", POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\naa", 0, BAD},
    {"digits only", POST "Content-Length: 1, 1\r\n\r\na", 0, BAD},
    {"digits only", POST "Content-Length: +1\r\n\r\na", 0, BAD},
    {"digits only", POST "Content-Length: -1\r\n\r\na", 0, BAD},
    {"digits only", POST "Content-Length: 0x1\r\n\r\na", 0, BAD},
    {"digits only", POST "Content-Length: 1 2\r\n\r\na", 0, BAD},
    {"digits only", POST "Content-Length:\r\n\r\n", 0, BAD},
    {"digits only", POST "Content-Length: 1\t\r\n\r\na", 0, BAD},
    {"digits only", POST "Content-Length: 1 \r\n\r\na", 0, OK},
    {"in range", POST "Content-Length: 99999999999999999999999\r\n\r\n", 0, BAD},
    {"in range", POST "Content-Length: 9999999999999999999\r\n\r\n", 0, ERR_BODY_TOO_LARGE},

    {"no obs-fold", GET HOST "A: b\r\n c\r\n\r\n", 0, BAD},
    {"no obs-fold", GET HOST "A: b\r\n\tc\r\n\r\n", 0, BAD},
    {"no obs-fold", GET HOST "A:\r\n b\r\n\r\n", 0, BAD},
    {"no obs-fold", GET " Host: h\r\n\r\n", 0, BAD},
    {"no bare LF", "GET /a HTTP/1.1\n" HOST "\r\n", 0, BAD},
    {"no bare LF", GET "Host: h\n\r\n", 0, BAD},
    {"no bare LF", GET HOST "\n", 0, BAD},
    {"no bare LF", GET HOST "A: b\nC: d\r\n\r\n", 0, BAD},
    {"no bare CR", GET HOST "A: b\rC: d\r\n\r\n", 0, BAD},
    {"no bare CR", GET HOST "A: b\r\r\n\r\n", 0, BAD},
    {"no bare CR", GET HOST "\r\r\n\r\n", 0, BAD},
    {"no NUL", GET HOST "A: b\0c\r\n\r\n", sizeof(GET HOST "A: b\0c\r\n\r\n") - 1, BAD},
    {"no NUL", GET HOST "A\0: b\r\n\r\n", sizeof(GET HOST "A\0: b\r\n\r\n") - 1, BAD},
    {"no NUL", "GET /\0a HTTP/1.1\r\n" HOST "\r\n", sizeof("GET /\0a HTTP/1.1\r\n" HOST "\r\n") - 1,
     BAD},
    {"no control characters", GET HOST "A: \x01\r\n\r\n", 0, BAD},
    {"no control characters", GET HOST "A: \x7f\r\n\r\n", 0, BAD},
    {"other bytes are text", GET HOST "A: \xc3\xa9\t\xff\r\n\r\n", 0, OK},

    {"a colon behind the name", GET HOST "A : b\r\n\r\n", 0, BAD},
    {"a colon behind the name", GET HOST "A\t: b\r\n\r\n", 0, BAD},
    {"a colon behind the name", GET HOST "A\r\n\r\n", 0, BAD},
    {"a colon behind the name", GET HOST ": b\r\n\r\n", 0, BAD},
    {"a name is a token", GET HOST "A(: b\r\n\r\n", 0, BAD},
    {"a name is a token", GET HOST "\xc3\xa9: b\r\n\r\n", 0, BAD},
    {"a value may be empty", GET HOST "A:\r\nB: \r\n\r\n", 0, OK},

    {"no CONNECT", "CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"no CONNECT", "CONNECT /a HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"no *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"no absolute form", "GET http://h/a HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a target is there", "GET  HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a target has no blanks", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a target has no blanks", "GET /a\tb HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a target is ASCII", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"no fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"one blank", "GET  /a HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a method first", " GET /a HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a known method", "FETCH /a HTTP/1.1\r\n" HOST "\r\n", 0, ERR_NOT_IMPLEMENTED},
    {"a known method", "get /a HTTP/1.1\r\n" HOST "\r\n", 0, ERR_NOT_IMPLEMENTED},
    {"405 is the service's", "PATCH /a HTTP/1.1\r\n" HOST "\r\n", 0, OK},

    {"no dot segments", "GET /a/../b HTTP/1.1\r\n" HOST "\r\n", 0, ERR_TRAVERSAL},
    {"no dot segments", "GET /.. HTTP/1.1\r\n" HOST "\r\n", 0, ERR_TRAVERSAL},
    {"no dot segments", "GET /a/. HTTP/1.1\r\n" HOST "\r\n", 0, ERR_TRAVERSAL},
    {"no dot segments", "GET /a/%2E%2e/b HTTP/1.1\r\n" HOST "\r\n", 0, ERR_TRAVERSAL},
    {"no dot segments", "GET /a%2f..%2fb HTTP/1.1\r\n" HOST "\r\n", 0, ERR_TRAVERSAL},
    {"dots elsewhere are fine", "GET /a..b/.c/...?../. HTTP/1.1\r\n" HOST "\r\n", 0, OK},
    {"no %00", "GET /a%00b HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"no %00", "GET /a?b=%00 HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"no %0a", "GET /a%0ab HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"whole escapes", "GET /a%4 HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"whole escapes", "GET /a%zz HTTP/1.1\r\n" HOST "\r\n", 0, BAD},
    {"a path is UTF-8", "GET /%c3%a9 HTTP/1.1\r\n" HOST "\r\n", 0, OK},
    {"a path is UTF-8", "GET /%ff HTTP/1.1\r\n" HOST "\r\n", 0, BAD},

    {"no Content-Encoding", POST "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na", 0,
     ERR_ENCODING},
    {"no Content-Encoding", POST "Content-Encoding: identity\r\nContent-Length: 1\r\n\r\na", 0,
     ERR_ENCODING},
    {"known expectations", POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na", 0, OK},
    {"known expectations", POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\na", 0, ERR_EXPECTATION},
    {"upgrades are not heard", GET HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 0, OK},
    {"upgrades are not heard",
     POST "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na", 0, OK},

    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\n\r\n", 0, BAD},
    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 0, BAD},
    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n", 0, BAD},
    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n", 0, BAD},
    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", 0, BAD},
    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na\r\n0\r\n\r\n", 0,
     BAD},
    {"chunk sizes", POST "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n", 0,
     BAD},
    {"chunk lines", POST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 0, BAD},
    {"chunk lines", POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n", 0, BAD},
    {"chunk lines", POST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 0, BAD},
    {"chunk lines", POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\n", 0, BAD},
    {"chunk extensions", POST "Transfer-Encoding: chunked\r\n\r\n1;a=b;c=\"d\"\r\na\r\n0;e\r\n\r\n",
     0, OK},
    {"chunk extensions", POST "Transfer-Encoding: chunked\r\n\r\n1;a\x01\r\na\r\n0\r\n\r\n", 0,
     BAD},
    {"trailers", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n", 0, OK},
    {"trailers", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n", 0, BAD},
    {"trailers", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n", 0, BAD},
    {"trailers", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", 0, BAD},
    {"trailers", POST "Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: x\r\n\r\n", 0,
     BAD},
};

static void every_rule_refuses_and_lets_in(void **state)
{
    struct buf trace;

    buf_init(&trace, TRACE_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(REQUESTS); i++) {
        const char *text = REQUESTS[i].text;
        size_t len = REQUESTS[i].len > 0 ? REQUESTS[i].len : strlen(text);
        enum err_kind kind = read_in_all_cuts(PARSER_REQUESTS, text, len, &trace);

        if (kind != REQUESTS[i].kind)
            fail_msg("%s: %s\nis %s", REQUESTS[i].rule, text, trace.data);
    }
    buf_release(&trace);
}

/* What the refused parts of a head could have smuggled is not there: names, values and body are
 * those of the text. */
static void a_head_is_read_as_it_stands(void **state)
{
    static const char text[] =
        "\r\nPOST /a%20b/c?d=%20e HTTP/1.1\r\nhOST:h\r\nA: \t b c \t \r\nB:\r\n"
        "Content-Length:  3\r\n\r\nabc";
    static const char expected[] = "POST 0 /a b/c ? d=%20e body=1 length=3 keep=1 continue=0\n"
                                   "hOST=h\nA=b c\nB=\nContent-Length=3\nabc\n";
    struct buf trace;

    buf_init(&trace, TRACE_MAX_BYTES);
    assert_int_equal(read_in_all_cuts(PARSER_REQUESTS, text, strlen(text), &trace), ERR_NONE);
    assert_string_equal(trace.data, expected);
    buf_release(&trace);
}

static void connections_are_kept_or_not(void **state)
{
    static const struct {
        const char *text;
        bool keep;
    } CASES[] = {
        {GET HOST "\r\n", true},
        {GET HOST "Connection: keep-alive\r\n\r\n", true},
        {GET HOST "Connection: close\r\n\r\n", false},
        {GET HOST "Connection: Foo, CLOSE\r\n\r\n", false},
        {GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
        {"GET /a HTTP/1.0\r\n\r\n", false},
    };
    struct buf trace;

    buf_init(&trace, TRACE_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *text = CASES[i].text;

        assert_int_equal(read_in_all_cuts(PARSER_REQUESTS, text, strlen(text), &trace), ERR_NONE);
        assert_non_null(strstr(trace.data, CASES[i].keep ? "keep=1" : "keep=0"));
    }
    buf_release(&trace);
}

/* ---- sizes ---- */

/* A request with COUNT times TEXT between BEFORE and AFTER. */
static enum err_kind read_repeated(const char *before, const char *text, size_t count,
                                   const char *after)
{
    struct buf request;
    struct buf trace;
    enum err_kind result = ERR_NONE;

    buf_init(&request, TRACE_MAX_BYTES);
    buf_init(&trace, TRACE_MAX_BYTES);
    (void)buf_add_string(&request, before);
    for (size_t i = 0; i < count; i++)
        (void)buf_add_string(&request, text);
    assert_int_equal(buf_add_string(&request, after), 0);
    result = read_in_all_cuts(PARSER_REQUESTS, request.data, request.len, &trace);
    buf_release(&request);
    buf_release(&trace);
    return result;
}

static void sizes_have_limits(void **state)
{
    const char *end = " HTTP/1.1\r\n" HOST "\r\n";
    const char *chunked = POST "Transfer-Encoding: chunked\r\n\r\n";
    size_t head_rest = HTTP_HEAD_MAX_BYTES - strlen(GET HOST "A: \r\n\r\n");

    assert_int_equal(read_repeated("GET /", "a", HTTP_TARGET_MAX_BYTES - 1, end), OK);
    assert_int_equal(read_repeated("GET /", "a", HTTP_TARGET_MAX_BYTES, end), ERR_TARGET_TOO_LONG);
    assert_int_equal(read_repeated("GET /", "a", 100000, end), ERR_TARGET_TOO_LONG);
    assert_int_equal(read_repeated(GET HOST "A: ", "a", head_rest, "\r\n\r\n"), OK);
    assert_int_equal(read_repeated(GET HOST "A: ", "a", head_rest + 1, "\r\n\r\n"),
                     ERR_HEAD_TOO_LARGE);
    assert_int_equal(read_repeated(GET HOST "A: ", "a", 100000, "\r\n\r\n"), ERR_HEAD_TOO_LARGE);
    assert_int_equal(read_repeated(GET HOST, "A: a\r\n", HTTP_HEADER_MAX_COUNT - 1, "\r\n"), OK);
    assert_int_equal(read_repeated(GET HOST, "A: a\r\n", HTTP_HEADER_MAX_COUNT, "\r\n"),
                     ERR_HEAD_TOO_LARGE);
    assert_int_equal(read_repeated(chunked, "0", 15, "\r\n\r\n"), OK);
    assert_int_equal(read_repeated(chunked, "0", 16, "\r\n\r\n"), BAD);
    assert_int_equal(read_repeated(POST "Transfer-Encoding: chunked\r\n\r\n0;", "a",
                                   DOOR_FRAMING_LINE_MAX_BYTES - 4, "\r\n\r\n"),
                     OK);
    assert_int_equal(read_repeated(POST "Transfer-Encoding: chunked\r\n\r\n0;", "a",
                                   DOOR_FRAMING_LINE_MAX_BYTES - 3, "\r\n\r\n"),
                     BAD);
    assert_int_equal(read_repeated(POST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: a\r\n",
                                   DOOR_TRAILER_MAX_COUNT, "\r\n"),
                     OK);
    assert_int_equal(read_repeated(POST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: a\r\n",
                                   DOOR_TRAILER_MAX_COUNT + 1, "\r\n"),
                     ERR_HEAD_TOO_LARGE);
}

/* ---- addresses ---- */

static void addresses_are_read(void **state)
{
    static const char *const BAD_ONES[] = {
        "",         "unix:",           "localhost",      "localhost:",      "localhost:x",
        ":80",      "127.0.0.1:65536", "example.org:80", "https://[::1]:1", "127.0.0.1:-1",
        "127.1:80", "[::1:80",
    };
    struct http_address address;
    struct err err = ERR_INIT;
    char long_path[200] = "unix:/";

    assert_int_equal(http_address_parse("unix:/run/x", &address, &err), 0);
    assert_true(address.is_unix);
    assert_string_equal(address.path, "/run/x");
    assert_int_equal(http_address_parse("http://127.0.0.1:80", &address, &err), 0);
    assert_false(address.is_unix);
    assert_string_equal(address.host, "127.0.0.1");
    assert_int_equal(address.port, 80);
    assert_int_equal(http_address_parse("[::1]:65535", &address, &err), 0);
    assert_string_equal(address.host, "::1");
    assert_int_equal(http_address_parse("localhost:1", &address, &err), 0);
    for (size_t i = 0; i < ARRAY_COUNT(BAD_ONES); i++) {
        assert_int_equal(http_address_parse(BAD_ONES[i], &address, &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
    }
    memset(long_path + strlen(long_path), 'a', 150);
    assert_int_equal(http_address_parse(long_path, &address, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_refuses_and_lets_in),
        cmocka_unit_test(a_head_is_read_as_it_stands),
        cmocka_unit_test(connections_are_kept_or_not),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(addresses_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

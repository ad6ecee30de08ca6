/* What goes through as text says the same as what jansson would have made of it. */
#include "supervisor/native_text.h"

#include "common/http/server.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/proxy.h"
#include "supervisor/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX_BYTES = 64 << 10 };

static json_t *parse(const char *text, size_t len)
{
    struct err err = ERR_INIT;

    return json_parse(text, len, TEXT_MAX_BYTES, &err);
}

#define TOKEN(piece) "{\"type\":\"token\",\"t\":\"" piece "\",\"i\":12}"

static void a_token_of_the_one_form_is_one_to_jansson(void **state)
{
    static const char *const GOOD[] = {
        TOKEN(""),
        TOKEN(" word"),
        TOKEN("\303\244\360\237\220\235"),
        TOKEN("\\n\\\"\\\\\\/\\b\\f\\r\\t"),
        TOKEN("\177"),
        "{\"type\":\"token\",\"t\":\"x\",\"i\":0}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":123456789012345}",
    };

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++) {
        AUTO_JSON json_t *event = parse(GOOD[i], strlen(GOOD[i]));
        const struct json_text text = {GOOD[i], strlen(GOOD[i])};
        struct json_text piece;
        bool has_escapes = false;

        assert_true(native_text_is_token(&text, &piece, &has_escapes));
        assert_string_equal(json_string_value(json_object_get(event, "type")), "token");
        assert_true(json_is_integer(json_object_get(event, "i")));
        assert_int_equal(has_escapes, strchr(GOOD[i], '\\') != NULL);
        if (!has_escapes)
            assert_true(json_text_is(&piece, json_string_value(json_object_get(event, "t"))));
    }
}

static void a_token_of_another_form_is_left_to_jansson(void **state)
{
    static const char *const OTHER[] = {
        TOKEN("\\u0041"),
        TOKEN("\\x"),
        TOKEN("\\"),
        TOKEN("\n"),
        TOKEN("\t"),
        TOKEN("\377"),
        TOKEN("\303"),
        TOKEN("\355\240\200"),
        TOKEN("a\"b"),
        TOKEN("x") " ",
        " " TOKEN("x"),
        "{\"type\":\"token\",\"t\":\"x\",\"i\":}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":01}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":-1}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1.5}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1234567890123456}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1",
        "{\"type\":\"token\",\"t\":\"x",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1,\"logprobs\":[]}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1}}",
        "{\"type\":\"token\",\"i\":1,\"t\":\"x\"}",
        "{\"type\":\"started\",\"t\":\"x\",\"i\":1}",
        "",
        "{",
    };
    static const char NUL[] = TOKEN("a\0b");
    struct json_text piece;
    bool has_escapes = false;

    for (size_t i = 0; i < ARRAY_COUNT(OTHER); i++)
        assert_false(native_text_is_token(&(struct json_text){OTHER[i], strlen(OTHER[i])}, &piece,
                                          &has_escapes));
    assert_false(
        native_text_is_token(&(struct json_text){NUL, sizeof(NUL) - 1}, &piece, &has_escapes));
}

static void members_are_where_jansson_finds_them(void **state)
{
    static const char *const OBJECTS[] = {
        "{}",
        " { } ",
        "{\"a\":1}",
        "{\"a\":\"}\\\",\",\"b\":[{\"a\":2},\"]\"],\"c\":{\"d\":{}}}",
        " {\t\"a\" :\r\n -1.5e3 ,\n\"b\"\t: null ,\"\":false } ",
        "{\"\\u0061\":true,\"b\":\"\\\\\"}",
    };

    for (size_t i = 0; i < ARRAY_COUNT(OBJECTS); i++) {
        AUTO_JSON json_t *object = parse(OBJECTS[i], strlen(OBJECTS[i]));
        struct json_text rest = {OBJECTS[i], strlen(OBJECTS[i])};
        struct json_member member;
        const char *name = NULL;
        json_t *value = NULL;

        json_object_foreach(object, name, value)
        {
            AUTO_FREE char *written = NULL;
            AUTO_JSON json_t *cut = NULL;

            assert_true(json_cut_member(&rest, &member));
            written = xasprintf("{%.*s}", (int)member.whole.len, member.whole.at);
            cut = parse(written, strlen(written));
            assert_true(json_equal(json_object_get(cut, name), value));
            json_decref(cut);
            cut = parse(member.value.at, member.value.len);
            assert_true(json_equal(cut, value));
        }
        assert_false(json_cut_member(&rest, &member));
    }
}

static void text_that_is_no_object_has_an_end(void **state)
{
    static const char *const BAD[] = {"",        "{",         "{\"",         "{\"a",     "{\"a\"",
                                      "{\"a\":", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[", "{\"a\":]",
                                      "[1]",     "\"a\"",     "{,,:"};

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        AUTO_FREE char *text = xstrdup(BAD[i]); /* a sanitizer sees each byte behind it */
        struct json_text rest = {text, strlen(text)};
        struct json_member member;

        while (json_cut_member(&rest, &member))
            assert_true(member.whole.at + member.whole.len <= text + strlen(BAD[i]));
    }
}

#define TIMINGS(queue, rest)                                                                       \
    "\"timings\":{\"queue_ms\":" queue ",\"load_ms\":0,\"prefill_ms\":12.5,\"decode_ms\":80,"      \
    "\"first_token_ms\":13.012" rest "}}"
#define END(reason, tokens, timings)                                                               \
    "{\"type\":\"end\",\"stop_reason\":" reason                                                    \
    ",\"usage\":{\"prompt_tokens\":5,\"cached_tokens\":0,"                                         \
    "\"completion_tokens\":" tokens "}," timings

/* Whether TEXT is an end of the form, and how REQUEST's client gets it. */
static bool tell_end(const struct request *request, const char *text,
                     const struct proxy_waits *waits, struct buf *out)
{
    struct native_text_end end;

    buf_clear(out);
    return native_text_is_end(&(struct json_text){text, strlen(text)}, &end) &&
           native_text_write_end(request, &end, waits, out);
}

static void an_end_means_what_jansson_reads(void **state)
{
    static const char TEXT[] = END("\"stop_string\"", "100", TIMINGS("0.012", ""));
    static const struct request REQUEST = {.has_started = true};
    AUTO_JSON json_t *event = parse(TEXT, strlen(TEXT));
    struct err err = ERR_INIT;
    struct proxy_result read;
    struct native_text_end end;

    assert_int_equal(proxy_read_result(&REQUEST, event, &read, &err), 0);
    assert_true(native_text_is_end(&(struct json_text){TEXT, strlen(TEXT)}, &end));
    assert_string_equal(end.result.stop_reason, read.stop_reason);
    assert_int_equal(end.result.prompt_tokens, read.prompt_tokens);
    assert_int_equal(end.result.token_count, read.token_count);
    assert_true(end.result.queue_ms == read.queue_ms && read.queue_ms == 0.012);
}

static void an_end_is_told_with_our_waits(void **state)
{
    static const char TEXT[] = END("\"stop\"", "7", TIMINGS("0.012", ""));
    static const char REST[] =
        "\"stop_reason\":\"stop\",\"usage\":{\"prompt_tokens\":5,\"cached_tokens\":0,"
        "\"completion_tokens\":7},\"timings\":{\"queue_ms\":3.25,\"load_ms\":1200.0,\"prefill_ms\":"
        "12.5,"
        "\"decode_ms\":80,\"first_token_ms\":13.012}}";
    static const struct proxy_waits WAITS = {.queue_ms = 3.25, .load_ms = 1200};
    static struct worker worker = {.name = "w"};
    struct request request = {.worker = &worker, .id = "r-1", .is_stream = true};
    AUTO_FREE char *stream = xasprintf("{\"type\":\"end\",%s", REST);
    AUTO_FREE char *whole =
        xasprintf("{\"id\":\"r-1\",\"model\":\"w\",\"text\":\"a \\\"b\\\"\",%s", REST);
    AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

    assert_true(tell_end(&request, TEXT, &WAITS, &out));
    assert_string_equal(out.data, stream);
    request.is_stream = false;
    buf_init(&request.reply, TEXT_MAX_BYTES);
    assert_int_equal(buf_add_string(&request.reply, "a \"b\""), 0);
    assert_true(tell_end(&request, TEXT, &WAITS, &out));
    assert_string_equal(out.data, whole);
    request.wants_logprobs = true;
    assert_false(tell_end(&request, TEXT, &WAITS, &out));
    buf_release(&request.reply);
}

static void waits_are_written_as_jansson_does(void **state)
{
    static const double MS[] = {0, 0.001, 0.01, 0.1, 1, 1.5, 12.345, 999.999, 100, 86400000.125};
    static const double OTHER[] = {-0.001, 1e9};
    static const char TEXT[] = END("\"stop\"", "7", TIMINGS("0", ""));
    static struct worker worker = {.name = "w"};
    const struct request request = {.worker = &worker, .id = "r-1", .is_stream = true};
    AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

    for (size_t i = 0; i < ARRAY_COUNT(MS); i++) {
        const struct proxy_waits waits = {.queue_ms = MS[i], .load_ms = MS[i]};
        AUTO_JSON json_t *number = json_real((double)(int64_t)(MS[i] * 1000) / 1000);
        AUTO_FREE char *written = json_to_text(number);
        AUTO_FREE char *wanted = xasprintf("{\"queue_ms\":%s,\"load_ms\":%s,", written, written);

        assert_true(tell_end(&request, TEXT, &waits, &out));
        assert_non_null(strstr(out.data, wanted));
    }
    for (size_t i = 0; i < ARRAY_COUNT(OTHER); i++)
        assert_false(tell_end(&request, TEXT, &(struct proxy_waits){.queue_ms = OTHER[i]}, &out));
}

static void an_end_of_another_form_is_left_to_jansson(void **state)
{
    static const char *const OTHER[] = {
        END("\"stop\"", "7", TIMINGS("-1", "")),
        END("\"stop\"", "7", TIMINGS("1e3", "")),
        END("\"stop\"", "7", TIMINGS("1.", "")),
        END("\"stop\"", "7", TIMINGS("01", "")),
        END("\"stop\"", "7", TIMINGS("1 ", "")),
        END("\"stop\"", "7", TIMINGS("1", ",\"more\":1")),
        END("\"stop\"", "7.0", TIMINGS("1", "")),
        END("\"stop\"", "", TIMINGS("1", "")),
        END("\"st\\\"op\"", "7", TIMINGS("1", "")),
        END("\"a reason of more bytes than a request keeps\"", "7", TIMINGS("1", "")),
        END("null", "7", TIMINGS("1", "")),
        END("\"stop\"", "7", TIMINGS("1", "")) " ",
        END("\"stop\"", "7", "\"timings\":{\"queue_ms\":1}}"),
    };
    struct native_text_end end;

    for (size_t i = 0; i < ARRAY_COUNT(OTHER); i++)
        assert_false(native_text_is_end(&(struct json_text){OTHER[i], strlen(OTHER[i])}, &end));
}

static void a_start_is_passed_on_with_its_own_id_alone(void **state)
{
    static const char *const TEXTS[] = {
        "{\"type\":\"started\",\"id\":\"r-1\",\"model\":\"w\"}",
        "{\"type\":\"started\",\"id\":\"r-2\",\"model\":\"w\"}",
        "{\"type\":\"started\",\"id\":\"r-1\",\"model\":\"v\"}",
        "{\"type\":\"started\",\"id\":\"r-1\",\"model\":\"w\",\"warnings\":[]}",
    };
    static struct worker worker = {.name = "w"};
    const struct request request = {.worker = &worker, .id = "r-1"};

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        assert_int_equal(
            native_text_is_started(&request, &(struct json_text){TEXTS[i], strlen(TEXTS[i])}),
            i == 0);
}

static void a_body_goes_on_but_for_what_was_ours(void **state)
{
    static const struct {
        const char *body;
        const char *wanted; /* NULL: jansson's */
    } CASES[] = {
        {"{}", "{\"model\":\"w\",\"stream\":true}"},
        {"{\"prompt\":\"hi\"}", "{\"prompt\":\"hi\",\"model\":\"w\",\"stream\":true}"},
        {"{\"stream\":false,\"prompt\":\"hi\",\"model\":\"/m.gguf\",\"x\":{\"model\":1}}",
         "{\"stream\":true,\"prompt\":\"hi\",\"model\":\"w\",\"x\":{\"model\":1}}"},
        {"{\"context\":1,\"device\":\"cpu\",\"slots\":2,\"prompt\":\"\\\"model\\\":\",\"kv_type\":"
         "\"f16\","
         "\"allow_cpu\":true,\"start\":false}",
         "{\"prompt\":\"\\\"model\\\":\",\"model\":\"w\",\"stream\":true}"},
        {" {\n \"prompt\" : [1, 2] ,\"seed\":1e0 } ",
         "{\"prompt\" : [1, 2],\"seed\":1e0,\"model\":\"w\",\"stream\":true}"},
        {"{\"mod\\u0065l\":\"m\",\"prompt\":\"hi\"}", NULL},
    };
    static struct worker worker = {.name = "w"};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct http_exchange exchange = {.body = BUF_INIT(TEXT_MAX_BYTES)};
        const struct request request = {.worker = &worker, .exchange = &exchange};
        AUTO_FREE char *asked = NULL;

        assert_int_equal(buf_add_string(&exchange.body, CASES[i].body), 0);
        asked = native_text_ask(&request);
        if (CASES[i].wanted == NULL)
            assert_null(asked);
        else
            assert_string_equal(asked, CASES[i].wanted);
        buf_release(&exchange.body);
    }
}

/* What is longer than a worker takes may be shorter when jansson has written it. */
static void a_body_that_the_worker_would_refuse_is_left_to_jansson(void **state)
{
    enum { LONGEST_PROMPT = HTTP_BODY_MAX_BYTES - 40 };
    static struct worker worker = {.name = "w"};

    for (size_t more = 0; more <= 40; more += 40) {
        struct http_exchange exchange = {.body = BUF_INIT(2 * HTTP_BODY_MAX_BYTES)};
        const struct request request = {.worker = &worker, .exchange = &exchange};
        AUTO_FREE char *prompt = xmalloc(LONGEST_PROMPT + more);
        AUTO_FREE char *asked = NULL;

        memset(prompt, 'x', LONGEST_PROMPT + more);
        assert_int_equal(buf_add_string(&exchange.body, "{\"prompt\":\""), 0);
        assert_int_equal(buf_add(&exchange.body, prompt, LONGEST_PROMPT + more), 0);
        assert_int_equal(buf_add_string(&exchange.body, "\"}"), 0);
        asked = native_text_ask(&request);
        assert_int_equal(asked == NULL, more > 0);
        assert_true(asked == NULL || strlen(asked) <= HTTP_BODY_MAX_BYTES);
        buf_release(&exchange.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_the_one_form_is_one_to_jansson),
        cmocka_unit_test(a_token_of_another_form_is_left_to_jansson),
        cmocka_unit_test(members_are_where_jansson_finds_them),
        cmocka_unit_test(text_that_is_no_object_has_an_end),
        cmocka_unit_test(a_body_goes_on_but_for_what_was_ours),
        cmocka_unit_test(a_body_that_the_worker_would_refuse_is_left_to_jansson),
        cmocka_unit_test(a_start_is_passed_on_with_its_own_id_alone),
        cmocka_unit_test(an_end_means_what_jansson_reads),
        cmocka_unit_test(an_end_is_told_with_our_waits),
        cmocka_unit_test(waits_are_written_as_jansson_does),
        cmocka_unit_test(an_end_of_another_form_is_left_to_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What goes through as text says the same as what jansson would have made of it. */
#include "supervisor/native_text.h"

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
        "{\"type\":\"token\",\"t\":\"x\",\"i\":123456789012345678}",
    };

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++) {
        AUTO_JSON json_t *event = parse(GOOD[i], strlen(GOOD[i]));
        struct json_text piece;
        bool has_escapes = false;

        assert_true(native_text_is_token(GOOD[i], strlen(GOOD[i]), &piece, &has_escapes));
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
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1234567890123456789}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1",
        "{\"type\":\"token\",\"t\":\"x",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1,\"logprobs\":[]}",
        "{\"type\":\"token\",\"t\":\"x\",\"i\":1}}",
        "{\"type\":\"token\",\"i\":1,\"t\":\"x\"}",
        "{\"type\":\"started\",\"t\":\"x\",\"i\":1}",
        "",
        "{",
    };
    struct json_text piece;
    bool has_escapes = false;

    for (size_t i = 0; i < ARRAY_COUNT(OTHER); i++)
        assert_false(native_text_is_token(OTHER[i], strlen(OTHER[i]), &piece, &has_escapes));
    assert_false(
        native_text_is_token(TOKEN("a\0b"), sizeof(TOKEN("a\0b")) - 1, &piece, &has_escapes));
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

#define END(rest) "{\"type\":\"end\",\"stop_reason\":\"stop\",\"usage\":{\"prompt_tokens\":5}," rest

static json_t *end_as_told(const struct request *request, const char *text, bool *out_is_told)
{
    static const struct proxy_waits WAITS = {.queue_ms = 3.25, .load_ms = 1200};
    AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

    *out_is_told = native_text_end(request, &WAITS, &(struct json_text){text, strlen(text)}, &out);
    return *out_is_told ? parse(out.data, out.len) : NULL;
}

static void an_end_is_told_with_our_waits(void **state)
{
    static const char TEXT[] =
        END("\"timings\":{\"queue_ms\":0.012,\"load_ms\":0,\"prefill_ms\":12.5}}");
    static const char WANTED[] =
        "\"stop_reason\":\"stop\",\"usage\":{\"prompt_tokens\":5},\"timings\""
        ":{\"queue_ms\":3.25,\"load_ms\":1200.0,\"prefill_ms\":12.5}}";
    static struct worker worker = {.name = "w"};
    struct request request = {.worker = &worker, .id = "r-1", .is_stream = true};
    AUTO_FREE char *stream = xasprintf("{\"type\":\"end\",%s", WANTED);
    AUTO_FREE char *whole =
        xasprintf("{\"id\":\"r-1\",\"model\":\"w\",\"text\":\"a \\\"b\\\"\",%s", WANTED);
    struct proxy_waits waits = {.queue_ms = 3.25, .load_ms = 1200};
    AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

    assert_true(native_text_end(&request, &waits, &(struct json_text){TEXT, strlen(TEXT)}, &out));
    assert_string_equal(out.data, stream);
    buf_clear(&out);
    request.is_stream = false;
    buf_init(&request.reply, TEXT_MAX_BYTES);
    assert_int_equal(buf_add_string(&request.reply, "a \"b\""), 0);
    assert_true(native_text_end(&request, &waits, &(struct json_text){TEXT, strlen(TEXT)}, &out));
    assert_string_equal(out.data, whole);
    buf_release(&request.reply);
}

static void waits_are_written_as_jansson_does(void **state)
{
    static const double MS[] = {0, 0.001, 0.01, 0.1, 1, 1.5, 12.345, 999.999, 100, 86400000.125};
    static struct worker worker = {.name = "w"};
    const struct request request = {.worker = &worker, .id = "r-1", .is_stream = true};

    for (size_t i = 0; i < ARRAY_COUNT(MS); i++) {
        const struct proxy_waits waits = {.queue_ms = MS[i], .load_ms = MS[i]};
        static const char TEXT[] = END("\"timings\":{\"queue_ms\":0,\"load_ms\":0}}");
        AUTO_JSON json_t *number = json_real((double)(int64_t)(MS[i] * 1000) / 1000);
        AUTO_FREE char *written = json_to_text(number);
        AUTO_FREE char *wanted = xasprintf("{\"queue_ms\":%s,\"load_ms\":%s}}", written, written);
        AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX_BYTES);

        assert_true(
            native_text_end(&request, &waits, &(struct json_text){TEXT, strlen(TEXT)}, &out));
        assert_non_null(strstr(out.data, wanted));
    }
}

static void an_end_of_another_form_is_left_to_jansson(void **state)
{
    static const char *const OTHER[] = {
        END("\"timings\":{\"queue_ms\":1}}"),
        END("\"timings\":{\"load_ms\":0}}"),
        END("\"timings\":{\"queue_ms\":1,\"load_ms\":0},\"more\":1}"),
        END("\"more\":1,\"timings\":{\"queue_ms\":1,\"load_ms\":0}}"),
        END("\"tim\\u0069ngs\":{\"queue_ms\":1,\"load_ms\":0}}"),
        END("\"timings\":{\"queue_m\\u0073\":1,\"load_ms\":0}}"),
        "{\"type\": \"end\",\"stop_reason\":\"stop\",\"usage\":{},\"timings\":{\"queue_ms\":1,"
        "\"load_ms\":0}}",
    };
    static struct worker worker = {.name = "w"};
    struct request request = {.worker = &worker, .id = "r-1", .is_stream = true};
    bool is_told = true;

    for (size_t i = 0; i < ARRAY_COUNT(OTHER); i++) {
        AUTO_JSON json_t *told = end_as_told(&request, OTHER[i], &is_told);

        assert_null(told);
        assert_false(is_told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_the_one_form_is_one_to_jansson),
        cmocka_unit_test(a_token_of_another_form_is_left_to_jansson),
        cmocka_unit_test(members_are_where_jansson_finds_them),
        cmocka_unit_test(text_that_is_no_object_has_an_end),
        cmocka_unit_test(an_end_is_told_with_our_waits),
        cmocka_unit_test(waits_are_written_as_jansson_does),
        cmocka_unit_test(an_end_of_another_form_is_left_to_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

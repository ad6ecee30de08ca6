/* Limits before the parser, fields with errors that name them, and the envelope of failures. */
#include "common/json.h"

#include "common/buf.h"
#include "common/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_MAX_BYTES = 1024 };

static json_t *parse(const char *text, enum err_kind *out_kind)
{
    struct err err = ERR_INIT;
    json_t *json = json_parse(text, strlen(text), BODY_MAX_BYTES, &err);

    *out_kind = err.kind;
    return json;
}

static void what_is_not_one_plain_value_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum err_kind kind;
    } CASES[] = {
        {"{\"a\":1}", ERR_NONE},
        {" [1, 2] ", ERR_NONE},
        {"\"text\"", ERR_NONE},
        {"", ERR_INVALID_JSON},
        {"{", ERR_INVALID_JSON},
        {"{} {}", ERR_INVALID_JSON},
        {"{}x", ERR_INVALID_JSON},
        {"{\"a\":1,\"a\":2}", ERR_INVALID_JSON},
        {"NaN", ERR_INVALID_JSON},
        {"[Infinity]", ERR_INVALID_JSON},
        {"1e999", ERR_INVALID_JSON},
        {"18446744073709551616", ERR_INVALID_JSON},
        {"\"a\\u0000b\"", ERR_INVALID_JSON},
        {"{\"a\\u0000b\":1}", ERR_INVALID_JSON},
        {"\"\xff\"", ERR_INVALID_UTF8},
        {"\"\xed\xa0\x80\"", ERR_INVALID_UTF8},
        {"\"\\ud800\"", ERR_INVALID_JSON},
        {"// no comments\n1", ERR_INVALID_JSON},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        enum err_kind kind = ERR_NONE;
        AUTO_JSON json_t *json = parse(CASES[i].text, &kind);

        if (kind != CASES[i].kind || (json != NULL) != (kind == ERR_NONE))
            fail_msg("%s: kind %d", CASES[i].text, (int)kind);
    }
}

static void length_and_depth_are_looked_at_first(void **state)
{
    char deep[2 * JSON_DEPTH_MAX + 3];
    struct err err = ERR_INIT;
    AUTO_FREE char *huge = xcalloc(1, 10 << 20);
    AUTO_JSON json_t *json = NULL;

    memset(deep, '[', JSON_DEPTH_MAX);
    memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    json = json_parse(deep, (size_t)2 * JSON_DEPTH_MAX, BODY_MAX_BYTES, &err);
    assert_non_null(json);
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_null(json_parse(deep, 2 * (JSON_DEPTH_MAX + 1), BODY_MAX_BYTES, &err));
    assert_int_equal(err.kind, ERR_INVALID_JSON);
    /* Brackets in texts nest nothing, nor does a quote behind a backslash end one. */
    json_decref(take_ptr(json));
    memset(huge, '[', 200);
    memcpy(huge, "\"\\\"[", 4);
    huge[200] = '"';
    json = json_parse(huge, 201, BODY_MAX_BYTES, &err);
    assert_non_null(json);
    memset(huge, '[', 10 << 20); /* a hundred thousand deep and ten megabytes */
    assert_null(json_parse(huge, 10 << 20, 20 << 20, &err));
    assert_int_equal(err.kind, ERR_INVALID_JSON);
    assert_null(json_parse(huge, 10 << 20, BODY_MAX_BYTES, &err));
    assert_int_equal(err.kind, ERR_BODY_TOO_LARGE);
}

/* A tree is many times as large as its text, so values are counted before it is built; what is in a
 * string is none. */
static void more_values_than_a_message_has_are_refused(void **state)
{
    enum { MOST = JSON_VALUE_MAX_COUNT, BYTES = 3 * (MOST + 8) };
    AUTO_BUF struct buf text = BUF_INIT(BYTES);
    struct err err = ERR_INIT;
    json_t *json = NULL;

    assert_int_equal(buf_add_string(&text, "[\""), 0);
    for (int i = 0; i < 2 * MOST; i++)
        assert_int_equal(buf_add_byte(&text, i % 2 ? ',' : '['), 0);
    assert_int_equal(buf_add_string(&text, "\"]"), 0);
    json = json_parse(text.data, text.len, BYTES, &err);
    assert_non_null(json);
    json_decref(json);

    buf_clear(&text);
    assert_int_equal(buf_add_string(&text, "[[]"), 0);
    for (int i = 0; i < MOST / 2; i++)
        assert_int_equal(buf_add_string(&text, ",[]"), 0);
    assert_int_equal(buf_add_byte(&text, ']'), 0);
    assert_null(json_parse(text.data, text.len, BYTES, &err));
    assert_int_equal(err.kind, ERR_INVALID_JSON);
    assert_non_null(strstr(err.message, "100000 values"));
}

static const char *refusal(const char *body, const char *how)
{
    static struct err err;
    enum err_kind kind = ERR_NONE;
    AUTO_JSON json_t *object = parse(body, &kind);
    const char *text = "untouched";
    bool flag = true;
    int64_t integer = 77;
    double number = 7.5;
    int rc = 0;

    err_clear(&err);
    assert_non_null(object);
    if (strcmp(how, "text") == 0)
        rc = json_read_text(object, "f", &text, &err);
    else if (strcmp(how, "bool") == 0)
        rc = json_read_bool(object, "f", &flag, &err);
    else if (strcmp(how, "integer") == 0)
        rc = json_read_integer(object, "f", -1, 10, &integer, &err);
    else
        rc = json_read_number(object, "f", 0, 0.5, &number, &err);
    assert_int_equal(rc, err_is_set(&err) ? -1 : 0);
    if (rc < 0) {
        assert_int_equal(err.kind, ERR_INVALID_FIELD);
        assert_string_equal(text, "untouched");
        assert_true(flag && integer == 77 && number == 7.5);
    }
    return err.message;
}

static void a_wrong_field_is_named_with_its_constraint_and_value(void **state)
{
    static const struct {
        const char *body;
        const char *how;
        const char *message;
    } CASES[] = {
        {"{}", "text", ""},
        {"{\"f\":null}", "number", ""},
        {"{\"f\":\"x\"}", "text", ""},
        {"{\"f\":5}", "text", "f must be text, not 5"},
        {"{\"f\":[1]}", "text", "f must be text, not an array"},
        {"{\"f\":{}}", "bool", "f must be true or false, not an object"},
        {"{\"f\":false}", "bool", ""},
        {"{\"f\":1}", "bool", "f must be true or false, not 1"},
        {"{\"f\":-1}", "integer", ""},
        {"{\"f\":11}", "integer", "f must be a whole number from -1 to 10, not 11"},
        {"{\"f\":1.5}", "integer", "f must be a whole number from -1 to 10, not 1.5"},
        {"{\"f\":true}", "integer", "f must be a whole number from -1 to 10, not true"},
        {"{\"f\":0}", "number", ""},
        {"{\"f\":0.5}", "number", ""},
        {"{\"f\":0.51}", "number", "f must be a number from 0 to 0.5, not 0.51"},
        {"{\"f\":\"hot\"}", "number", "f must be a number from 0 to 0.5, not \"hot\""},
        {"{\"f\":\"0123456789012345678901234567890123456789!\"}", "number",
         "f must be a number from 0 to 0.5, not \"0123456789012345678901234567890123456789...\""},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_string_equal(refusal(CASES[i].body, CASES[i].how), CASES[i].message);
}

static void text_and_numbers_without_a_json_form_are_refused(void **state)
{
    AUTO_JSON json_t *object = json_object();
    struct err err = ERR_INIT;
    const char *text = NULL;

    assert_int_equal(json_object_set_new(object, "f", json_stringn("a\0b", 3)), 0);
    assert_int_equal(json_read_text(object, "f", &text, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID_FIELD);
    assert_null(text);
}

static void a_label_survives_bad_bytes(void **state)
{
    static const char BYTES[] = "a\xff\xc3\xa9\0b\xe2\x82";
    AUTO_JSON json_t *json = json_text_lossy(BYTES, sizeof(BYTES) - 1);
    AUTO_JSON json_t *good = json_text_lossy("abc", 2);
    AUTO_JSON json_t *empty = json_text_lossy("", 0);
    AUTO_JSON json_t *known = json_text_or_null("a\xff");
    AUTO_FREE char *text = json_to_text(json);
    struct err err = ERR_INIT;
    AUTO_JSON json_t *again = json_parse(text, strlen(text), BODY_MAX_BYTES, &err);

    assert_string_equal(json_string_value(json), "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd"
                                                 "b\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(json_string_value(good), "ab");
    assert_string_equal(json_string_value(empty), "");
    assert_string_equal(json_string_value(known), "a\xef\xbf\xbd");
    assert_true(json_is_null(json_text_or_null("")) && json_is_null(json_text_or_null(NULL)));
    assert_non_null(again);
}

static void an_error_crosses_the_wire_and_is_the_same(void **state)
{
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        struct err err = ERR_INIT;
        struct err again = ERR_INIT;
        AUTO_JSON json_t *envelope = NULL;
        const json_t *error = NULL;

        err_fill(&err, (enum err_kind)kind, "what \"happened\" \xc3\xa9");
        err.retry_after_ms = kind % 2 == 0 ? 0 : 1500;
        envelope = json_error_envelope(&err, "label", NULL);
        error = json_object_get(envelope, "error");
        assert_string_equal(json_string_value(json_object_get(error, "request_id")), "label");
        assert_true(json_is_object(json_object_get(error, "details")));
        assert_true(json_is_string(json_object_get(error, "type")));
        json_error_from_envelope(envelope, &again);
        assert_int_equal(again.kind, kind);
        assert_string_equal(again.message, err.message);
        assert_int_equal(again.retry_after_ms, err.retry_after_ms);
        assert_int_equal(json_object_get(error, "retry_after_ms") != NULL, err.retry_after_ms > 0);
    }
}

/* The last event of a stream says the same; what is not known is not there. */
static void an_error_may_end_a_stream(void **state)
{
    struct err err = ERR_INIT;

    for (int retry_after_ms = 0; retry_after_ms < 2; retry_after_ms++) {
        AUTO_JSON json_t *event = NULL;
        AUTO_FREE char *text = NULL;

        err_fill(&err, ERR_QUEUE_FULL, "m");
        assert_int_equal(err.retry_after_ms, 0); /* not of the failure before */
        err.retry_after_ms = (uint64_t)retry_after_ms;
        event = json_error_event(&err, "label", NULL);
        text = json_to_text(event);
        assert_string_equal(text, retry_after_ms == 0
                                      ? "{\"type\":\"error\",\"code\":\"QUEUE_FULL\",\"message\":"
                                        "\"m\",\"request_id\":\"label\"}"
                                      : "{\"type\":\"error\",\"code\":\"QUEUE_FULL\",\"message\":"
                                        "\"m\",\"retry_after_ms\":1,\"request_id\":\"label\"}");
    }
}

/* A time that is none is not one. */
static void a_strange_time_to_retry_is_ignored(void **state)
{
    static const char *const TIMES[] = {"-1", "0", "\"soon\"", "1.5", "null", "{}"};

    for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        AUTO_FREE char *text =
            xasprintf("{\"error\":{\"code\":\"INTERNAL\",\"message\":\"m\",\"retry_after_ms\":%s}}",
                      TIMES[i]);
        enum err_kind kind = ERR_NONE;
        AUTO_JSON json_t *envelope = parse(text, &kind);
        struct err err = ERR_INIT;

        json_error_from_envelope(envelope, &err);
        assert_int_equal(err.kind, ERR_INTERNAL);
        assert_int_equal(err.retry_after_ms, 0);
    }
}

static void what_is_no_envelope_is_a_protocol_error(void **state)
{
    static const char *const BODIES[] = {
        "{}",
        "[]",
        "5",
        "{\"error\":\"text\"}",
        "{\"error\":{}}",
        "{\"error\":{\"code\":1,\"message\":\"m\"}}",
        "{\"error\":{\"code\":\"INTERNAL\"}}",
        "{\"error\":{\"code\":\"FROM_THE_FUTURE\",\"message\":\"m\"}}",
    };

    for (size_t i = 0; i < ARRAY_COUNT(BODIES); i++) {
        enum err_kind kind = ERR_NONE;
        AUTO_JSON json_t *envelope = parse(BODIES[i], &kind);
        struct err err = ERR_INIT;

        json_error_from_envelope(envelope, &err);
        assert_int_equal(err.kind, ERR_PROTOCOL);
    }
}

/* TEXT with LONG for each @. */
static char *with_long_strings(const char *text, const char *piece, size_t count)
{
    struct buf out = BUF_INIT(1 << 20);

    for (; *text != '\0'; text++) {
        for (size_t i = 0; *text == '@' && i < count; i++)
            assert_int_equal(buf_add_string(&out, piece), 0);
        if (*text != '@')
            assert_int_equal(buf_add_byte(&out, *text), 0);
    }
    return buf_take(&out);
}

static void long_strings_are_what_jansson_reads(void **state)
{
    static const char *const TEXTS[] = {
        "\"@\"",
        "{\"prompt\":\"@\",\"model\":\"m\"}",
        "[\"\",\"@\",\"x\",[\"@y\"],{\"@\":\"z@\"}]",
        "{\"a\" : \"@\" , \"b\":{\"c\":[1,\"@\",null]},\"@\" : \"\"}",
        "{\"a\":\"@\",\"a\":\"\"}",
        "{\"@\":1,\"@\":2}",
        "[\"@\"",
        "[\"@]",
        "\"@\":1",
        "[\"@\" \"@\"]",
        "[\"@\",]",
        "\n\n[\"@\",\n x]",
    };
    static const char *const PIECES[] = {
        "x",  "\\n", "\\\"\\\\\\/\\b\\f\\r\\t", "\303\244\360\237\220\235", "\\u00e4", "\\",
        "\t", "\\q"};

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS) * ARRAY_COUNT(PIECES); i++) {
        AUTO_FREE char *text =
            with_long_strings(TEXTS[i / ARRAY_COUNT(PIECES)], PIECES[i % ARRAY_COUNT(PIECES)], 400);
        struct err err = ERR_INIT;
        json_error_t why;
        AUTO_JSON json_t *ours = json_parse(text, strlen(text), 1 << 20, &err);
        AUTO_JSON json_t *theirs = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

        assert_int_equal(ours == NULL, theirs == NULL);
        assert_true(ours == NULL || json_equal(ours, theirs));
        assert_true(ours != NULL || strstr(err.message, why.text) != NULL);
    }
}

static void more_long_strings_than_are_lifted_are_read(void **state)
{
    AUTO_FREE char *piece = xasprintf("\"%0400d\",", 1);
    AUTO_FREE char *text = with_long_strings("[@0]", piece, 100);
    struct err err = ERR_INIT;
    AUTO_JSON json_t *ours = json_parse(text, strlen(text), 1 << 20, &err);
    AUTO_JSON json_t *theirs = json_loads(text, 0, NULL);

    assert_int_equal(json_array_size(ours), 101);
    assert_true(json_equal(ours, theirs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_one_plain_value_is_refused),
        cmocka_unit_test(more_values_than_a_message_has_are_refused),
        cmocka_unit_test(length_and_depth_are_looked_at_first),
        cmocka_unit_test(a_wrong_field_is_named_with_its_constraint_and_value),
        cmocka_unit_test(text_and_numbers_without_a_json_form_are_refused),
        cmocka_unit_test(a_label_survives_bad_bytes),
        cmocka_unit_test(an_error_crosses_the_wire_and_is_the_same),
        cmocka_unit_test(an_error_may_end_a_stream),
        cmocka_unit_test(a_strange_time_to_retry_is_ignored),
        cmocka_unit_test(what_is_no_envelope_is_a_protocol_error),
        cmocka_unit_test(long_strings_are_what_jansson_reads),
        cmocka_unit_test(more_long_strings_than_are_lifted_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

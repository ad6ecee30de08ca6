/* Every field of an inference at its bounds and past them, and what belongs together. */
#include "common/inference.h"

#include "common/json.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_MAX_BYTES = 4 << 20 };

/* The message of the refusal of BODY, "" when it is taken. *OUT borrows from *out_body. */
static const char *parse(const char *text, struct inference_request *out, json_t **out_body,
                         json_t *unknown)
{
    static struct err err;

    err_clear(&err);
    *out_body = json_parse(text, strlen(text), BODY_MAX_BYTES, &err);
    assert_non_null(*out_body);
    if (inference_parse(*out_body, out, unknown, &err) < 0)
        assert_int_equal(err.kind, ERR_INVALID_FIELD);
    return err.message;
}

static void without_fields_the_defaults_hold(void **state)
{
    struct inference_request request;
    AUTO_JSON json_t *body = NULL;
    AUTO_JSON json_t *unknown = json_array();

    assert_string_equal(parse("{\"prompt\":\"hi\"}", &request, &body, unknown), "");
    assert_string_equal(request.prompt, "hi");
    assert_null(request.messages);
    assert_null(request.model);
    assert_null(request.device);
    assert_true(request.max_tokens == -1 && request.seed == -1 && request.top_k == 40);
    assert_true(request.temperature == 0.8 && request.top_p == 0.95 && request.min_p == 0.05);
    assert_true(request.repeat_penalty == 1.0 && request.stop_count == 0);
    assert_true(request.stream && request.start && !request.raw && !request.allow_cpu);
    assert_true(request.context_tokens == 0 && request.slots == 0);
    assert_true(request.typical_p == 1 && request.mirostat == 0 && request.mirostat_tau == 5);
    assert_true(request.frequency_penalty == 0 && request.presence_penalty == 0);
    assert_true(request.logprobs == -1);
    assert_true(request.logit_bias == NULL && request.given == 0);
    assert_int_equal(json_array_size(unknown), 0);
}

/* What is null has not been given. */
static void what_is_given_is_known(void **state)
{
    struct inference_request request;
    AUTO_JSON json_t *body = NULL;
    AUTO_JSON json_t *unknown = json_array();

    assert_string_equal(
        parse("{\"prompt\":\"hi\",\"temperature\":0.8,\"top_p\":null}", &request, &body, unknown),
        "");
    assert_true(inference_is_given(&request, INFERENCE_FIELD_temperature));
    assert_false(inference_is_given(&request, INFERENCE_FIELD_top_p));
    assert_false(inference_is_given(&request, INFERENCE_FIELD_top_k));
}

static void every_field_arrives(void **state)
{
    struct inference_request request;
    AUTO_JSON json_t *body = NULL;
    AUTO_JSON json_t *unknown = json_array();

    assert_string_equal(
        parse("{\"prompt\":\"hi\",\"model\":\"m\",\"max_tokens\":8,\"temperature\":0,"
              "\"top_p\":0.5,\"top_k\":3,\"min_p\":0.25,\"repeat_penalty\":1.5,\"seed\":9,"
              "\"stop\":[\"a\",\"b\"],\"raw\":true,\"stream\":false,\"context\":512,\"slots\":2,"
              "\"kv_type\":\"q8_0\","
              "\"device\":\"gpu:0000:03:00.0\",\"allow_cpu\":true,\"start\":false,\"logprobs\":5}",
              &request, &body, unknown),
        "");
    assert_string_equal(request.model, "m");
    assert_true(request.max_tokens == 8 && request.temperature == 0 && request.top_p == 0.5);
    assert_true(request.top_k == 3 && request.min_p == 0.25 && request.repeat_penalty == 1.5);
    assert_true(request.seed == 9 && request.stop_count == 2);
    assert_string_equal(request.stop[1], "b");
    assert_true(request.raw && !request.stream && request.allow_cpu && !request.start);
    assert_true(request.context_tokens == 512 && request.slots == 2 && request.logprobs == 5);
    assert_string_equal(request.device, "gpu:0000:03:00.0");
    assert_string_equal(request.kv_type, "q8_0");
}

/* FIELD with VALUE beside a prompt; MESSAGE is what the refusal begins with, "" for none. */
static const struct {
    const char *field;
    const char *value;
    const char *message;
} FIELD_CASES[] = {
    {"max_tokens", "-1", ""},
    {"max_tokens", "1", ""},
    {"max_tokens", "1048576", ""},
    {"max_tokens", "0", "max_tokens must be at least 1"},
    {"max_tokens", "-2", "max_tokens must be a whole number from -1 to 1048576, not -2"},
    {"max_tokens", "1048577", "max_tokens must be"},
    {"max_tokens", "1.5", "max_tokens must be"},
    {"max_tokens", "\"8\"", "max_tokens must be"},
    {"max_tokens", "null", ""},
    {"temperature", "0", ""},
    {"temperature", "100", ""},
    {"temperature", "-0.001", "temperature must be a number from 0 to 100, not -0.001"},
    {"temperature", "100.1", "temperature must be"},
    {"temperature", "\"NaN\"", "temperature must be a number from 0 to 100, not \"NaN\""},
    {"top_p", "1", ""},
    {"top_p", "0.0001", ""},
    {"top_p", "0", "top_p must be a number above 0, up to 1, not 0"},
    {"top_p", "1.0001", "top_p must be"},
    {"top_k", "0", ""},
    {"top_k", "1000000", ""},
    {"top_k", "-1", "top_k must be"},
    {"top_k", "1000001", "top_k must be"},
    {"min_p", "0", ""},
    {"min_p", "1", ""},
    {"min_p", "-0.1", "min_p must be"},
    {"min_p", "1.1", "min_p must be"},
    {"repeat_penalty", "10", ""},
    {"repeat_penalty", "0", "repeat_penalty must be a number above 0, up to 10, not 0"},
    {"repeat_penalty", "10.5", "repeat_penalty must be"},
    {"frequency_penalty", "-2", ""},
    {"frequency_penalty", "2.1", "frequency_penalty must be a number from -2 to 2, not 2.1"},
    {"presence_penalty", "2", ""},
    {"presence_penalty", "-2.1", "presence_penalty must be"},
    {"typical_p", "1", ""},
    {"typical_p", "0", "typical_p must be a number above 0, up to 1, not 0"},
    {"mirostat", "2", ""},
    {"mirostat", "3", "mirostat must be a whole number from 0 to 2, not 3"},
    {"mirostat_tau", "101", "mirostat_tau must be"},
    {"mirostat_eta", "1.5", "mirostat_eta must be"},
    {"logit_bias", "null", ""},
    {"logit_bias", "{}", ""},
    {"logit_bias", "{\"0\":-100,\"262143\":1.5}", ""},
    {"logit_bias", "[[1,2]]", "logit_bias must be an object"},
    {"logit_bias", "{\"word\":1}", "logit_bias must have numbers of tokens"},
    {"logit_bias", "{\"-1\":1}", "logit_bias must have"},
    {"logit_bias", "{\"\":1}", "logit_bias must have"},
    {"logit_bias", "{\"1234567890\":1}", "logit_bias must have"},
    {"logit_bias", "{\"1\":100.5}", "logit_bias must have"},
    {"logit_bias", "{\"1\":false}", "logit_bias must have"},
    {"logprobs", "-1", ""},
    {"logprobs", "0", ""},
    {"logprobs", "20", ""},
    {"logprobs", "21", "logprobs must be a whole number from -1 to 20, not 21"},
    {"logprobs", "-2", "logprobs must be"},
    {"logprobs", "true", "logprobs must be a whole number from -1 to 20, not true"},
    {"seed", "0", ""},
    {"seed", "9007199254740992", ""},
    {"seed", "9007199254740993", "seed must be"},
    {"seed", "-1", ""},
    {"seed", "-2", "seed must be"},
    {"raw", "1", "raw must be true or false, not 1"},
    {"stream", "\"no\"", "stream must be true or false"},
    {"stream", "null", ""},
    {"context", "1048576", ""},
    {"context", "-1", "context must be"},
    {"slots", "257", "slots must be"},
    {"kv_type", "\"q4_0\"", "kv_type must be one of f16, q8_0, not \"q4_0\""},
    {"kv_type", "8", "kv_type must be"},
    {"allow_cpu", "0", "allow_cpu must be"},
    {"start", "[]", "start must be"},
    {"device", "\"cpu\"", ""},
    {"device", "\"gpu:0\"", ""},
    {"device", "\"gpu:\"", "device must be"},
    {"device", "\"tpu\"", "device must be"},
    {"device", "\"\"", "device must be"},
    {"device", "\"gpu\"", ""},
    {"device", "\"cpu:0\"", "device must be"},
    {"device", "\"gpu:0 \"", "device must be"},
    {"device", "\"gpu:GPU-2c5f9b7e-10a4.d3c8_0\"", ""},
    {"device", "7", "device must be text"},
    {"model", "\"\"", "model must have 1 to 4096 bytes, not 0"},
    {"model", "7", "model must be text"},
    {"stop", "\"x\"", ""},
    {"stop", "[]", ""},
    {"stop", "[\"\"]", "stop must be texts of 1 to 256 bytes"},
    {"stop", "\"\"", "stop must be texts of 1 to 256 bytes"},
    {"stop", "[1]", "stop must be a text or an array of texts"},
    {"stop", "{}", "stop must be a text or an array of texts"},
    {"stop", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "stop must be at most 16 texts, not 17"},
};

static void a_field_is_good_up_to_its_bounds(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(FIELD_CASES); i++) {
        struct inference_request request;
        AUTO_JSON json_t *body = NULL;
        AUTO_JSON json_t *unknown = json_array();
        AUTO_FREE char *text =
            xasprintf("{\"prompt\":\"hi\",\"%s\":%s}", FIELD_CASES[i].field, FIELD_CASES[i].value);
        const char *message = parse(text, &request, &body, unknown);
        size_t len = strlen(FIELD_CASES[i].message);

        if (len == 0 ? message[0] != '\0' : strncmp(message, FIELD_CASES[i].message, len) != 0)
            fail_msg("%s: \"%s\"", text, message);
        assert_int_equal(json_array_size(unknown), 0);
    }
}

static void one_input_and_a_whole_one(void **state)
{
    static const struct {
        const char *body;
        const char *message;
    } CASES[] = {
        {"{}", "prompt is missing (or messages)"},
        {"[]", "the body must be an object"},
        {"\"hi\"", "the body must be an object"},
        {"{\"prompt\":\"\"}", "prompt must not be empty"},
        {"{\"prompt\":5}", "prompt must be text, not 5"},
        {"{\"prompt\":null}", "prompt is missing (or messages)"},
        {"{\"prompt\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}",
         "prompt and messages exclude each other"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}", ""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}],\"raw\":true}",
         "raw needs prompt: messages are made for a template"},
        {"{\"messages\":[]}", "messages must be 1 to 1024, not 0"},
        {"{\"messages\":\"hi\"}", "messages must be an array"},
        {"{\"messages\":[5]}", "messages[0] must be an object"},
        {"{\"messages\":[{}]}", "messages[0].role must be system, user or assistant, not \"\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"tool\"}]}",
         "messages[1].role must be system, user or assistant, not \"tool\""},
        {"{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content is missing"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[1]}]}",
         "messages[0]: content must be text, not an array"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct inference_request request;
        AUTO_JSON json_t *body = NULL;
        AUTO_JSON json_t *unknown = json_array();

        assert_string_equal(parse(CASES[i].body, &request, &body, unknown), CASES[i].message);
    }
}

static void text_with_nul_is_refused_where_a_parser_lets_it_through(void **state)
{
    static const char *const FIELDS[] = {"prompt", "model", "device", "stop"};

    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++) {
        AUTO_JSON json_t *body = json_pack("{s:s}", "prompt", "hi");
        AUTO_JSON json_t *unknown = json_array();
        struct inference_request request;
        struct err err = ERR_INIT;

        assert_int_equal(json_object_set_new(body, FIELDS[i], json_stringn("a\0b", 3)), 0);
        assert_int_equal(inference_parse(body, &request, unknown, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID_FIELD);
    }
}

static void what_we_do_not_know_is_named_and_bounded(void **state)
{
    AUTO_JSON json_t *body = json_pack("{s:[{s:s,s:s,s:s}],s:i}", "messages", "role", "user",
                                       "content", "hi", "name", "me", "top_logprobs", 1);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request request;
    struct err err = ERR_INIT;

    assert_int_equal(inference_parse(body, &request, unknown, &err), 0);
    assert_int_equal(json_array_size(unknown), 2);
    assert_string_equal(json_string_value(json_array_get(unknown, 0)), "top_logprobs");
    assert_string_equal(json_string_value(json_array_get(unknown, 1)), "messages[0].name");
    for (int i = 0; i < 100; i++) {
        AUTO_FREE char *name = xasprintf("field%d%0300d", i, 0);

        assert_int_equal(json_object_set_new(body, name, json_null()), 0);
    }
    assert_int_equal(inference_parse(body, &request, unknown, &err), 0);
    assert_int_equal(json_array_size(unknown), 16);
    for (size_t i = 0; i < 16; i++)
        assert_true(json_string_length(json_array_get(unknown, i)) < 110);
}

static void limits_of_counts_and_lengths_are_exact(void **state)
{
    static const struct {
        const char *field;
        size_t max;
    } CASES[] = {{"model", 4096}, {"stop", INFERENCE_STOP_MAX_BYTES}};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        for (size_t more = 0; more < 2; more++) {
            AUTO_FREE char *text = xcalloc(CASES[i].max + 2, 1);
            AUTO_JSON json_t *body = json_pack("{s:s}", "prompt", "hi");
            AUTO_JSON json_t *unknown = json_array();
            struct inference_request request;
            struct err err = ERR_INIT;

            memset(text, 'x', CASES[i].max + more);
            assert_int_equal(json_object_set_new(body, CASES[i].field, json_string(text)), 0);
            assert_int_equal(inference_parse(body, &request, unknown, &err), more == 0 ? 0 : -1);
        }
    }
    for (int more = 0; more < 2; more++) {
        AUTO_JSON json_t *body = json_object();
        AUTO_JSON json_t *unknown = json_array();
        json_t *messages = json_array();
        struct inference_request request;
        struct err err = ERR_INIT;

        for (int i = 0; i < INFERENCE_MESSAGE_MAX_COUNT + more; i++)
            (void)json_array_append_new(messages,
                                        json_pack("{s:s,s:s}", "role", "user", "content", ""));
        (void)json_object_set_new(body, "messages", messages);
        assert_int_equal(inference_parse(body, &request, unknown, &err), more == 0 ? 0 : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_fields_the_defaults_hold),
        cmocka_unit_test(what_is_given_is_known),
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(a_field_is_good_up_to_its_bounds),
        cmocka_unit_test(one_input_and_a_whole_one),
        cmocka_unit_test(text_with_nul_is_refused_where_a_parser_lets_it_through),
        cmocka_unit_test(what_we_do_not_know_is_named_and_bounded),
        cmocka_unit_test(limits_of_counts_and_lengths_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

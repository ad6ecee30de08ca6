/* Our requests in the words of OpenAI's API, and what counts as a token of it. */
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/openai_body.h"
#include "supervisor/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_MAX_BYTES = 64 << 10 };

static json_t *parse(const char *text)
{
    struct err err = ERR_INIT;
    json_t *json = json_parse(text, strlen(text), BODY_MAX_BYTES, &err);

    if (json == NULL)
        fail_msg("%s: %s", text, err.message);
    return json;
}

static void fields_have_their_names_there_and_unset_ones_none(void **state)
{
    static const struct {
        const char *ours;
        bool is_chat;
        const char *theirs;
    } CASES[] = {
        {"{\"prompt\":\"hi\"}", true,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"},
        {"{\"prompt\":\"hi\",\"raw\":true}", false, "{\"model\":\"m\",\"prompt\":\"hi\""},
        {"{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}],\"model\":\"x\"}", true,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"}]"},
        {"{\"prompt\":\"p\",\"max_tokens\":-1,\"seed\":-1,\"temperature\":null,\"context\":9}",
         false, "{\"model\":\"m\",\"prompt\":\"p\""},
        {"{\"prompt\":\"p\",\"seed\":0,\"max_tokens\":1,\"temperature\":0,\"top_k\":0,\"stop\":"
         "\"x\"}",
         false,
         "{\"model\":\"m\",\"prompt\":\"p\",\"temperature\":0,\"top_k\":0,\"stop\":\"x\","
         "\"max_tokens\":1,\"seed\":0"},
        {"{\"prompt\":\"p\",\"repeat_penalty\":1.5,\"min_p\":0.5,\"top_p\":0.25}", false,
         "{\"model\":\"m\",\"prompt\":\"p\",\"top_p\":0.25,\"min_p\":0.5,\"repeat_penalty\":1.5,"
         "\"repetition_penalty\":1.5"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_JSON json_t *ours = parse(CASES[i].ours);
        AUTO_JSON json_t *theirs = openai_body(ours, "m", CASES[i].is_chat);
        AUTO_FREE char *text = json_to_text(theirs);
        AUTO_FREE char *wanted = xasprintf(
            "%s,\"stream\":true,\"stream_options\":{\"include_usage\":true}}", CASES[i].theirs);

        assert_string_equal(text, wanted);
    }
}

/* Each dialect's canary, in its own words and in others'. */
static void only_a_token_is_a_token(void **state)
{
    static const struct {
        int status;
        const char *body; /* NULL: no JSON */
        bool is_native;
        bool is_openai;
    } CASES[] = {
        {200, "{\"text\":\"a\",\"stop_reason\":\"length\",\"usage\":{\"completion_tokens\":1}}",
         true, false},
        {200, "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}", false, true},
        {200, "{\"choices\":[{}],\"usage\":{\"completion_tokens\":1}}", false, true},
        {200, "{\"choices\":[{}],\"usage\":{\"completion_tokens\":0}}", false, false},
        {200, "{\"choices\":[]}", false, false},
        {200, "{\"choices\":{}}", false, false},
        {200, "[]", false, false},
        {200, NULL, false, false},
        {503, "{\"choices\":[{}],\"stop_reason\":\"stop\",\"usage\":{}}", false, false},
        {500, NULL, false, false},
    };
    struct worker worker = {.name = "w"};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        AUTO_JSON json_t *body = CASES[i].body == NULL ? NULL : parse(CASES[i].body);
        struct err native = ERR_INIT;
        struct err openai = ERR_INIT;

        assert_int_equal(DIALECT_NATIVE.take_canary(&worker, CASES[i].status, body, &native) == 0,
                         CASES[i].is_native);
        assert_int_equal(DIALECT_OPENAI.take_canary(&worker, CASES[i].status, body, &openai) == 0,
                         CASES[i].is_openai);
        assert_int_equal(err_is_set(&native), !CASES[i].is_native);
        assert_int_equal(err_is_set(&openai), !CASES[i].is_openai);
    }
}

static void a_canary_asks_for_one_token_in_one_piece(void **state)
{
    static const struct {
        const struct worker_dialect *dialect;
        bool lacks_chat;
        const char *target;
    } CASES[] = {
        {&DIALECT_NATIVE, false, "/v1/inference"},
        {&DIALECT_OPENAI, false, "/v1/chat/completions"},
        {&DIALECT_OPENAI, true, "/v1/completions"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct worker worker = {.name = "w", .facts = {.lacks_chat = CASES[i].lacks_chat}};
        struct dialect_ask ask;
        AUTO_JSON json_t *body = NULL;
        AUTO_FREE char *text = NULL;

        CASES[i].dialect->ask_canary(&worker, &ask);
        text = ask.body;
        body = parse(text);
        assert_string_equal(ask.target, CASES[i].target);
        assert_int_equal(json_integer_value(json_object_get(body, "max_tokens")), 1);
        assert_true(json_is_false(json_object_get(body, "stream")));
    }
}

/* What a load is asked, one question after the other. */
static void a_load_goes_step_by_step(void **state)
{
    char model[] = "m";
    char path[] = "";
    char health[] = "/up";
    struct worker worker = {.name = "w", .model = model, .model_path = path, .health = health};
    const struct worker_dialect *dialect = &DIALECT_OPENAI;
    AUTO_JSON json_t *models = parse("{\"data\":[{\"id\":3},{\"id\":\"a\"},{\"id\":\"m\"},"
                                     "{\"id\":\"w\"}]}");
    AUTO_JSON json_t *token = parse("{\"choices\":[{}]}");
    struct dialect_ask ask;

    dialect->ask_ready(&worker, &ask);
    assert_string_equal(ask.target, "/up");
    assert_int_equal(dialect->take_ready(&worker, 503, NULL), DIALECT_NOT_YET);
    assert_int_equal(dialect->take_ready(&worker, 200, NULL), DIALECT_GO_ON);
    dialect->ask_ready(&worker, &ask);
    assert_string_equal(ask.target, "/v1/models");
    assert_int_equal(dialect->take_ready(&worker, 200, models), DIALECT_GO_ON);
    assert_string_equal(worker.facts.model_name, "m");
    assert_int_equal(dialect->take_ready(&worker, 503, NULL), DIALECT_NOT_YET);
    assert_int_equal(dialect->take_ready(&worker, 404, NULL), DIALECT_GO_ON);
    assert_true(worker.facts.lacks_chat);
    assert_int_equal(dialect->take_ready(&worker, 404, NULL), DIALECT_NOT_YET);
    assert_int_equal(dialect->take_ready(&worker, 200, models), DIALECT_NOT_YET);
    assert_int_equal(dialect->take_ready(&worker, 200, token), DIALECT_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_have_their_names_there_and_unset_ones_none),
        cmocka_unit_test(only_a_token_is_a_token),
        cmocka_unit_test(a_canary_asks_for_one_token_in_one_piece),
        cmocka_unit_test(a_load_goes_step_by_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Log-probabilities of a request: every token that was generated and is seen is told exactly once,
 * in order, with the text it adds, whatever is held back. */
#include "tests/unit/engine_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* What is asked beside the prompt "a", temperature 0 and raw; texts may be NULL, numbers -1. */
struct wish {
    const char *said; /* by the model */
    const char *stop;
    int logprobs;
    int max_tokens;
};

static struct engine_request *submit_wish(struct engine *engine, const struct wish *wish)
{
    AUTO_JSON json_t *body =
        json_pack("{s:s, s:i, s:b, s:i, s:i}", "prompt", "a", "temperature", 0, "raw", 1,
                  "max_tokens", wish->max_tokens, "logprobs", wish->logprobs);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request asked;
    struct err err = ERR_INIT;

    if (wish->stop != NULL)
        json_object_set_new(body, "stop", json_string(wish->stop));
    assert_int_equal(inference_parse(body, &asked, unknown, &err), 0);
    return engine_submit(engine, &asked, take_ptr(body), NULL, NULL);
}

/* "TEXT=TOKEN " of each text, the token as a letter, or as the two digits of its byte. */
static void tell(struct story *story, const struct engine_event *event)
{
    size_t room = sizeof(story->text) - story->len;
    uint32_t token = 0;

    story->is_over = event->kind == ENGINE_EVENT_END || event->kind == ENGINE_EVENT_ERROR;
    if (event->kind != ENGINE_EVENT_TEXT) {
        assert_int_equal(event->logprob_count, 0);
        return;
    }
    assert_true(event->logprob_count >= 1);
    token = event->logprobs[0].token;
    story->len +=
        (size_t)snprintf(story->text + story->len, room, token < 0x80 ? "%.*s=%c " : "%.*s=%02x ",
                         (int)event->text_len, event->text, token);
    assert_true(story->len < sizeof(story->text));
}

static void read_tokens(struct engine *engine, struct engine_request *request, struct story *story)
{
    while (!story->is_over) {
        struct engine_event *event = engine_request_take(request);

        if (event == NULL) {
            wait_for_engine(engine);
            continue;
        }
        tell(story, event);
        free(event);
    }
}

static void expect_told(const struct wish *wish, enum engine_stop_reason reason,
                        const char *expected)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct story story = {0};

    fake_model_say(wish->said);
    request = submit_wish(engine, wish);
    read_tokens(engine, request, &story);
    assert_string_equal(story.text, expected);
    assert_false(err_is_set(&engine_request_outcome(request)->error));
    assert_int_equal(engine_request_outcome(request)->stop_reason, reason);
    engine_request_free(request);
    engine_free(engine);
}

static void each_token_is_an_event(void **state)
{
    expect_told(&(struct wish){.logprobs = 0, .max_tokens = 3}, ENGINE_STOP_LENGTH, "b=b c=c d=d ");
    /* the one that ends the text is none of the answer's */
    expect_told(&(struct wish){.said = "xy", .logprobs = 2, .max_tokens = -1}, ENGINE_STOP_END,
                "x=x y=y ");
}

/* The model's logits are 1 for what it says, and 0 for the 255 others. */
static void the_numbers_are_the_models(void **state)
{
    enum { TOP = 3 };
    struct engine *engine = ready_engine();
    struct engine_request *request =
        submit_wish(engine, &(struct wish){.logprobs = TOP, .max_tokens = 1});
    double log_sum = log(exp(1) + VOCAB_COUNT - 1);
    struct engine_event *event = NULL;

    while ((event = engine_request_take(request)) == NULL || event->kind != ENGINE_EVENT_TEXT) {
        if (event == NULL)
            wait_for_engine(engine);
        free(event);
    }
    assert_int_equal(event->logprob_count, 1 + TOP);
    assert_int_equal(event->logprobs[0].token, 'b');
    assert_true(fabs(event->logprobs[0].value - (1 - log_sum)) < 1e-12);
    assert_int_equal(event->logprobs[1].token, 'b');
    assert_int_equal(event->logprobs[2].token, 0);
    assert_int_equal(event->logprobs[3].token, 1);
    assert_true(fabs(event->logprobs[3].value + log_sum) < 1e-12);
    free(event);
    engine_request_cancel(request);
    read_tokens(engine, request, &(struct story){0});
    engine_request_free(request);
    engine_free(engine);
}

static void who_does_not_ask_gets_none(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request =
        submit_wish(engine, &(struct wish){.logprobs = -1, .max_tokens = 2});
    struct engine_event *event = NULL;
    bool is_over = false;

    while (!is_over) {
        event = engine_request_take(request);
        if (event == NULL) {
            wait_for_engine(engine);
            continue;
        }
        assert_int_equal(event->logprob_count, 0);
        is_over = event->kind == ENGINE_EVENT_END;
        free(event);
    }
    engine_request_free(request);
    engine_free(engine);
}

/* ---- what is held back ---- */

static void a_character_is_its_last_tokens(void **state)
{
    expect_told(&(struct wish){.said = "x\u00e9y", .max_tokens = -1}, ENGINE_STOP_END,
                "x=x =c3 \u00e9=a9 y=y ");
    expect_told(&(struct wish){.said = "\U0001f600", .max_tokens = -1}, ENGINE_STOP_END,
                "=f0 =9f =98 \U0001f600=80 ");
}

static void what_is_no_character_loses_no_token(void **state)
{
    expect_told(&(struct wish){.said = "\xe2\x82x", .max_tokens = -1}, ENGINE_STOP_END,
                "=e2 \ufffd=82 x=x ");
    expect_told(&(struct wish){.said = "\xe2\x82STOP", .stop = "STOP", .max_tokens = -1},
                ENGINE_STOP_STRING, "=e2 \ufffd=82 ");
    expect_told(&(struct wish){.said = "x\xe2\x82", .max_tokens = -1}, ENGINE_STOP_END,
                "x=x =e2 \ufffd=82 ");
    expect_told(&(struct wish){.said = "\xff\xc3", .max_tokens = -1}, ENGINE_STOP_END,
                "\ufffd=ff \ufffd=c3 ");
    expect_told(&(struct wish){.said = "\xc3xxx", .max_tokens = 1}, ENGINE_STOP_LENGTH,
                "\ufffd=c3 ");
}

static void a_stop_string_takes_its_tokens_along(void **state)
{
    expect_told(&(struct wish){.said = "abSTOPcd", .stop = "STOP", .max_tokens = -1},
                ENGINE_STOP_STRING, "a=a b=b ");
    expect_told(&(struct wish){.said = "STOP", .stop = "STOP", .max_tokens = -1},
                ENGINE_STOP_STRING, "");
    /* whose first byte alone may still become something else */
    expect_told(&(struct wish){.said = "a\u00e9b", .stop = "\u00e9", .max_tokens = -1},
                ENGINE_STOP_STRING, "a=a ");
}

static void what_only_began_as_one_is_told_later(void **state)
{
    expect_told(&(struct wish){.said = "SSTSTOx", .stop = "STOP", .max_tokens = -1},
                ENGINE_STOP_END, "S=S S=S T=T S=S T=T O=O x=x ");
    expect_told(&(struct wish){.said = "aST", .stop = "STOP", .max_tokens = -1}, ENGINE_STOP_END,
                "a=a S=S T=T ");
    expect_told(&(struct wish){.said = "aSTx", .stop = "STOP", .max_tokens = 3}, ENGINE_STOP_LENGTH,
                "a=a S=S T=T ");
}

/* As much as can be held back, for far longer than there is room for. */
static void the_longest_hold_loses_none(void **state)
{
    enum { COUNT = 3000 };
    char stop[INFERENCE_STOP_MAX_BYTES + 1];
    AUTO_FREE char *said = text_of_len(COUNT);
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct engine_event *event = NULL;
    unsigned count = 0;
    bool is_over = false;

    memset(stop, 'a', sizeof(stop) - 2);
    memcpy(stop + sizeof(stop) - 2, "b", 2);
    fake_model_say(said);
    request = submit_wish(engine, &(struct wish){.stop = stop, .logprobs = 1, .max_tokens = -1});
    while (!is_over) {
        event = engine_request_take(request);
        if (event == NULL) {
            wait_for_engine(engine);
            continue;
        }
        if (event->kind == ENGINE_EVENT_TEXT) {
            assert_int_equal(event->text_len, 1);
            assert_int_equal(event->logprob_count, 2);
            count++;
        }
        is_over = event->kind == ENGINE_EVENT_END;
        free(event);
    }
    assert_int_equal(count, COUNT);
    engine_request_free(request);
    engine_free(engine);
}

/* The tokens that were held when the client left are told, as their text is. */
static void a_cancelled_one_tells_what_it_held(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct story story = {0};

    fake_model_hold_steps();
    request = submit_wish(engine, &(struct wish){.stop = "bcdefg", .max_tokens = -1});
    fake_model_let_steps(3);
    fake_model_wait_for_steps(3);
    engine_request_cancel(request);
    fake_model_release_steps();
    read_tokens(engine, request, &story);
    assert_non_null(strstr("b=b c=c d=d e=e ", story.text)); /* a step more may have run */
    assert_true(story.len >= strlen("b=b c=c d=d "));
    engine_request_free(request);
    engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_token_is_an_event),
        cmocka_unit_test(the_numbers_are_the_models),
        cmocka_unit_test(who_does_not_ask_gets_none),
        cmocka_unit_test(a_character_is_its_last_tokens),
        cmocka_unit_test(what_is_no_character_loses_no_token),
        cmocka_unit_test(a_stop_string_takes_its_tokens_along),
        cmocka_unit_test(what_only_began_as_one_is_told_later),
        cmocka_unit_test(the_longest_hold_loses_none),
        cmocka_unit_test(a_cancelled_one_tells_what_it_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

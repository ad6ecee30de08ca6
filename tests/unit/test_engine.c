/* The engine on a model that is told what to do: the order of requests, their ends, and what passes
 * between the two threads. The test is the loop. */
#include "tests/unit/engine_rig.h"

#include "common/clock.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- one request ---- */

static void a_request_tells_its_story_in_order(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = submit(engine, "a", 3);
    const struct engine_outcome *outcome = engine_request_outcome(request);
    struct story story = {0};

    read_to_end(engine, request, &story);
    assert_string_equal(story.text, "started b c d end ");
    assert_int_equal(outcome->stop_reason, ENGINE_STOP_LENGTH);
    assert_int_equal(outcome->prompt_tokens, 1);
    assert_int_equal(outcome->completion_tokens, 3);
    assert_true(outcome->first_token_us >= outcome->queue_us + outcome->prefill_us);
    engine_request_free(request);
    engine_free(engine);
}

static void the_token_that_ends_a_text_is_not_counted(void **state)
{
    struct engine *engine = ready_engine();
    /* U+00FC is the bytes C3 BC, after which the fake says BD to FF, none of which is a character,
     * and then ends. */
    struct engine_request *request = submit(engine, "\u00fc", -1);
    const struct engine_outcome *outcome = engine_request_outcome(request);
    struct story story = {0};

    read_to_end(engine, request, &story);
    assert_int_equal(outcome->stop_reason, ENGINE_STOP_END);
    assert_int_equal(outcome->completion_tokens, 0xff - 0xbc);
    assert_true(story.text_count > 0);
    engine_request_free(request);
    engine_free(engine);
}

/* A prompt may leave room for one token, and then gets one; one token more is refused, with both
 * numbers, before anything is told. */
static void the_context_is_the_limit_of_prompt_and_answer(void **state)
{
    struct engine *engine = ready_engine();
    AUTO_FREE char *fitting = text_of_len(FAKE_CONTEXT_TOKENS - 1);
    AUTO_FREE char *too_long = text_of_len(FAKE_CONTEXT_TOKENS);
    struct engine_request *request = submit(engine, fitting, -1);
    struct story story = {0};
    struct story refused = {0};

    read_to_end(engine, request, &story);
    assert_string_equal(story.text, "started b end ");
    assert_int_equal(engine_request_outcome(request)->stop_reason, ENGINE_STOP_LENGTH);
    engine_request_free(request);

    request = submit(engine, too_long, -1);
    read_to_end(engine, request, &refused);
    assert_string_equal(refused.text, "error ");
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_PROMPT_TOO_LONG);
    assert_non_null(strstr(engine_request_outcome(request)->error.message, "4096 tokens"));
    assert_non_null(strstr(engine_request_outcome(request)->error.message, "context 4096"));
    engine_request_free(request);
    engine_free(engine);
}

/* One that is longer by far is not counted to its end: the others would wait for that. */
static void a_prompt_far_too_long_is_not_counted_to_its_end(void **state)
{
    struct engine *engine = ready_engine();
    AUTO_FREE char *huge = text_of_len((size_t)64 * FAKE_CONTEXT_TOKENS);
    struct engine_request *request = submit(engine, huge, -1);
    struct story story = {0};

    read_to_end(engine, request, &story);
    assert_string_equal(story.text, "error ");
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_PROMPT_TOO_LONG);
    assert_int_equal(engine_request_outcome(request)->prompt_tokens,
                     ENGINE_PROMPT_COUNTED_CONTEXTS * FAKE_CONTEXT_TOKENS + 1);
    assert_non_null(
        strstr(engine_request_outcome(request)->error.message, "at least 16385 tokens"));
    assert_in_range(fake_model_tokenized_bytes(), 1,
                    ENGINE_PROMPT_COUNTED_CONTEXTS * FAKE_CONTEXT_TOKENS + 1);
    engine_request_free(request);
    engine_free(engine);
}

/* ---- several ---- */

static void the_second_waits_and_then_runs(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *first = NULL;
    struct engine_request *second = NULL;
    struct story first_story = {0};
    struct story second_story = {0};

    fake_model_hold_steps();
    first = submit(engine, "a", 2);
    second = submit(engine, "k", 2);
    fake_model_release_steps();
    read_to_end(engine, first, &first_story);
    read_to_end(engine, second, &second_story);
    assert_string_equal(first_story.text, "started b c end ");
    assert_string_equal(second_story.text, "queued started l m end ");
    engine_request_free(first);
    engine_request_free(second);
    engine_free(engine);
}

/* An impossible prompt is refused while another request runs, not when its turn comes. */
static void the_impossible_is_told_at_once(void **state)
{
    struct engine *engine = ready_engine();
    AUTO_FREE char *too_long = text_of_len(FAKE_CONTEXT_TOKENS);
    struct engine_request *running = submit(engine, "a", -1);
    struct engine_request *refused = NULL;
    struct story story = {0};
    struct story rest = {0};

    fake_model_hold_steps();
    refused = submit(engine, too_long, -1);
    fake_model_let_steps(3);
    read_to_end(engine, refused, &story);
    assert_string_equal(story.text, "error ");
    engine_request_cancel(running);
    fake_model_release_steps();
    read_to_end(engine, running, &rest);
    engine_request_free(refused);
    engine_request_free(running);
    engine_free(engine);
}

/* ---- cancelling ---- */

static void a_cancelled_one_computes_one_more_step_at_most(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct story story = {0};
    unsigned steps = 0;

    fake_model_hold_steps();
    request = submit(engine, "a", -1);
    fake_model_let_steps(5);
    fake_model_wait_for_steps(5);
    engine_request_cancel(request);
    steps = fake_model_step_count();
    fake_model_release_steps();
    read_to_end(engine, request, &story);
    assert_int_equal(engine_request_outcome(request)->stop_reason, ENGINE_STOP_CANCELLED);
    assert_in_range(fake_model_step_count(), steps, steps + 1);
    engine_request_free(request);
    engine_free(engine);
}

static void a_cancelled_prefill_ends_within_a_chunk(void **state)
{
    struct engine *engine = ready_engine();
    AUTO_FREE char *prompt = text_of_len(FAKE_CONTEXT_TOKENS - 1);
    struct engine_request *request = NULL;
    struct story story = {0};

    fake_model_hold_steps();
    request = submit(engine, prompt, -1);
    fake_model_let_steps(1);
    fake_model_wait_for_steps(1);
    engine_request_cancel(request);
    fake_model_release_steps();
    read_to_end(engine, request, &story);
    assert_string_equal(story.text, "started end ");
    assert_int_equal(engine_request_outcome(request)->completion_tokens, 0);
    assert_in_range(fake_model_step_count(), 1, 2);
    assert_in_range(fake_model_row_count(), 1, 2 * SESSION_BATCH_MAX_ROWS);
    engine_request_free(request);
    engine_free(engine);
}

/* Who leaves before the engine has looked costs nothing. */
static void a_cancelled_one_is_not_tokenized(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *running = NULL;
    struct engine_request *left = NULL;
    struct story story = {0};
    struct story rest = {0};

    fake_model_hold_steps();
    running = submit(engine, "a", 20);
    fake_model_let_steps(3);
    fake_model_wait_for_steps(3);
    left = submit(engine, "kkkk", -1);
    engine_request_cancel(left);
    fake_model_release_steps();
    read_to_end(engine, left, &story);
    assert_string_equal(story.text, "end ");
    assert_int_equal(engine_request_outcome(left)->stop_reason, ENGINE_STOP_CANCELLED);
    read_to_end(engine, running, &rest);
    assert_int_equal(fake_model_tokenized_bytes(), 1);
    engine_request_free(left);
    engine_request_free(running);
    engine_free(engine);
}

/* ---- deadlines ---- */

static struct engine_request *submit_until(struct engine *engine, uint64_t at_us)
{
    const struct deadline deadline = {.at_us = at_us};
    AUTO_JSON json_t *body =
        json_pack("{s:s, s:i, s:b}", "prompt", "a", "temperature", 0, "raw", 1);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request asked;
    struct err err = ERR_INIT;

    assert_int_equal(inference_parse(body, &asked, unknown, &err), 0);
    return engine_submit(engine, &asked, take_ptr(body), &deadline, NULL);
}

static void one_that_is_late_when_it_comes_costs_nothing(void **state)
{
    struct engine *engine = ready_engine();
    unsigned steps = fake_model_step_count();
    struct engine_request *request = submit_until(engine, clock_monotonic_us());
    struct story story = {0};

    read_to_end(engine, request, &story);
    assert_string_equal(story.text, "error ");
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_DEADLINE);
    assert_int_equal(engine_request_outcome(request)->phase, DEADLINE_QUEUE);
    assert_int_equal(fake_model_step_count(), steps);
    assert_int_equal(fake_model_tokenized_bytes(), 0);
    engine_request_free(request);
    engine_free(engine);
}

/* The step that runs is its last, and then its slot is free. */
static void one_whose_time_passes_ends_and_leaves_its_slot(void **state)
{
    struct engine *engine = ready_engine();
    unsigned steps = fake_model_step_count();
    uint64_t at_us = clock_monotonic_us() + 20000;
    struct engine_request *late = NULL;
    struct engine_request *next = NULL;
    struct story story = {0};
    struct story rest = {0};

    fake_model_hold_steps();
    late = submit_until(engine, at_us);
    while (clock_monotonic_us() < at_us)
        (void)sched_yield();
    fake_model_release_steps();
    read_to_end(engine, late, &story);
    assert_int_equal(engine_request_outcome(late)->error.kind, ERR_DEADLINE);
    assert_in_range(fake_model_step_count(), steps, steps + 1);
    steps = fake_model_step_count();
    next = submit(engine, "a", 3);
    read_to_end(engine, next, &rest);
    assert_string_equal(rest.text, "started b c d end ");
    assert_int_equal(fake_model_step_count(), steps + 3);
    engine_request_free(late);
    engine_request_free(next);
    engine_free(engine);
}

/* Its reader takes nothing, so there is no step after which one could look. */
static void one_that_rests_ends_by_itself(void **state)
{
    struct engine *engine = ready_engine();
    uint64_t at_us = clock_monotonic_us() + 300000;
    struct engine_request *request = submit_until(engine, at_us);
    struct story story = {0};

    /* Once it rests nothing is told but its end. */
    while (clock_monotonic_us() < at_us)
        wait_for_engine(engine);
    read_to_end(engine, request, &story);
    assert_in_range(story.text_count, 1, ENGINE_EVENT_MAX_COUNT);
    assert_string_equal(story.text + story.len - strlen("error "), "error ");
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_DEADLINE);
    engine_request_free(request);
    engine_free(engine);
}

/* Text that was held back, because a stop string could have begun there, is told when the end comes
 * in another way. */
static void a_cancelled_one_shows_what_was_held_back(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct story story = {0};

    fake_model_hold_steps();
    request = submit_with_stop(engine, "a", "bcdefX");
    fake_model_let_steps(3);
    fake_model_wait_for_steps(3);
    engine_request_cancel(request);
    fake_model_release_steps();
    read_to_end(engine, request, &story);
    assert_memory_equal(story.text, "started bcd", strlen("started bcd")); /* one step more runs */
    engine_request_free(request);
    engine_free(engine);
}

static void an_error_comes_behind_what_was_held_back(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct story story = {0};

    fake_model_hold_steps();
    request = submit_with_stop(engine, "a", "bcdefX");
    fake_model_let_steps(3);
    fake_model_wait_for_steps(3);
    engine_drain(engine);
    fake_model_release_steps();
    read_to_end(engine, request, &story);
    assert_memory_equal(story.text, "started bcd", strlen("started bcd"));
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_WORKER_DRAINING);
    engine_request_free(request);
    engine_free(engine);
}

static void a_cancelled_one_in_the_queue_never_runs(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *running = NULL;
    struct engine_request *waiting = NULL;
    struct story story = {0};
    struct story rest = {0};

    fake_model_hold_steps();
    running = submit(engine, "a", 20);
    waiting = submit(engine, "k", -1);
    fake_model_let_steps(3);
    fake_model_wait_for_steps(3);
    engine_request_cancel(waiting);
    fake_model_let_steps(2);
    read_to_end(engine, waiting, &story);
    assert_string_equal(story.text, "queued end ");
    assert_int_equal(engine_request_outcome(waiting)->stop_reason, ENGINE_STOP_CANCELLED);
    fake_model_release_steps();
    read_to_end(engine, running, &rest);
    assert_int_equal(engine_request_outcome(running)->completion_tokens, 20);
    engine_request_free(waiting);
    engine_request_free(running);
    engine_free(engine);
}

/* ---- a client that does not read ---- */

static void assert_is_alphabet_from_b(const struct story *story)
{
    const char *text = story->text + strlen("started ");

    for (unsigned i = 0; i < story->text_count; i++)
        assert_int_equal(text[2 * i], 'a' + (int)((i + 1) % 26));
}

/* It costs a bounded number of events, nothing of its text is lost, and it goes on by itself when
 * it is read again. */
static void events_that_nobody_takes_pause_the_request(void **state)
{
    enum { WANTED = 3 * ENGINE_EVENT_MAX_COUNT };
    struct engine *engine = ready_engine();
    struct engine_request *request = submit(engine, "a", WANTED);
    struct engine_request *other = NULL;
    struct engine_status status;
    struct story story = {0};
    struct story other_story = {0};

    /* STARTED is one of the events, so the last token before the pause is one fewer. */
    fake_model_wait_for_steps(ENGINE_EVENT_MAX_COUNT - 1);
    /* That the engine has looked at something else proves that it has come round since. */
    other = submit(engine, "a", 1);
    engine_request_cancel(other);
    read_to_end(engine, other, &other_story);
    engine_read_status(engine, &status);
    assert_int_equal(status.tokens, ENGINE_EVENT_MAX_COUNT - 1);

    read_to_end(engine, request, &story);
    assert_int_equal(engine_request_outcome(request)->completion_tokens, WANTED);
    assert_int_equal(story.text_count, WANTED);
    assert_is_alphabet_from_b(&story);
    engine_request_free(other);
    engine_request_free(request);
    engine_free(engine);
}

/* ---- faults ---- */

static void nan_fails_the_request_and_nothing_else(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct story story = {0};
    struct story next = {0};

    fake_model_make_nan(true);
    request = submit(engine, "a", 3);
    read_to_end(engine, request, &story);
    assert_string_equal(story.text, "started error ");
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_INTERNAL);
    engine_request_free(request);
    fake_model_make_nan(false);
    request = submit(engine, "a", 1);
    read_to_end(engine, request, &next);
    assert_string_equal(next.text, "started b end ");
    engine_request_free(request);
    engine_free(engine);
}

static void memory_that_is_short_in_a_step_fails_the_request(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *request = NULL;
    struct engine_status status;
    struct story story = {0};

    fake_model_fail_steps(ERR_NO_MEMORY);
    request = submit(engine, "a", 3);
    read_to_end(engine, request, &story);
    assert_int_equal(engine_request_outcome(request)->error.kind, ERR_NO_MEMORY);
    engine_read_status(engine, &status);
    assert_int_equal(status.phase, ENGINE_READY);
    engine_request_free(request);
    engine_free(engine);
}

static void a_device_that_fails_ends_the_engine_and_every_request(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *requests[3];
    struct engine_status status;
    struct err failure = ERR_INIT;

    fake_model_hold_steps();
    fake_model_fail_steps(ERR_DEVICE);
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
        requests[i] = submit(engine, "a", -1);
    fake_model_release_steps();
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        struct story story = {0};

        read_to_end(engine, requests[i], &story);
        assert_int_equal(engine_request_outcome(requests[i])->error.kind, ERR_DEVICE);
        engine_request_free(requests[i]);
    }
    engine_read_status(engine, &status);
    assert_int_equal(status.phase, ENGINE_FAILED);
    engine_read_failure(engine, &failure);
    assert_int_equal(failure.kind, ERR_DEVICE);
    assert_true(engine_is_idle(engine));
    engine_free(engine);
}

static void a_load_that_fails_says_why(void **state)
{
    struct engine *engine = NULL;
    struct err failure = ERR_INIT;

    fake_model_reset();
    fake_model_fail_load(ERR_INVALID_MODEL);
    engine = start_engine(1, 0);
    assert_int_equal(wait_until_loaded(engine), ENGINE_FAILED);
    engine_read_failure(engine, &failure);
    assert_int_equal(failure.kind, ERR_INVALID_MODEL);
    assert_true(engine_is_idle(engine));
    engine_free(engine);
}

/* Later it fails the request alone: nan_fails_the_request_and_nothing_else. */
static void nan_in_the_first_step_fails_the_load(void **state)
{
    struct engine *engine = NULL;
    struct err failure = ERR_INIT;

    fake_model_reset();
    fake_model_make_nan(true);
    engine = start_engine(1, 0);
    assert_int_equal(wait_until_loaded(engine), ENGINE_FAILED);
    engine_read_failure(engine, &failure);
    assert_int_equal(failure.kind, ERR_INVALID_MODEL);
    assert_non_null(strstr(failure.message, "the model computes no numbers"));
    engine_free(engine);
}

/* ---- stopping ---- */

static void a_drain_ends_what_runs_what_waits_and_what_comes(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_request *requests[3];

    fake_model_hold_steps();
    requests[0] = submit(engine, "a", -1);
    requests[1] = submit(engine, "b", -1);
    fake_model_let_steps(2);
    fake_model_wait_for_steps(2);
    engine_drain(engine);
    fake_model_release_steps();
    requests[2] = submit(engine, "c", -1);
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        struct story story = {0};

        read_to_end(engine, requests[i], &story);
        assert_int_equal(engine_request_outcome(requests[i])->error.kind, ERR_WORKER_DRAINING);
        engine_request_free(requests[i]);
    }
    assert_true(engine_is_idle(engine));
    assert_int_equal(fake_model_tokenized_bytes(), 2); /* nothing of what came then */
    engine_free(engine);
}

/* The supervisor takes counters that rise for life: they never fall, and they stand still when
 * nothing runs. */
static void the_counters_only_rise_and_rest_when_idle(void **state)
{
    struct engine *engine = ready_engine();
    struct engine_status last;
    struct engine_status now;

    engine_read_status(engine, &last);
    assert_int_equal(last.tokens, 0);
    for (int i = 1; i <= 3; i++) {
        struct engine_request *request = submit(engine, "abcd", 5);
        struct story story = {0};

        read_to_end(engine, request, &story);
        engine_request_free(request);
        engine_read_status(engine, &now);
        assert_int_equal(now.tokens, last.tokens + 5);
        assert_int_equal(now.prefill_tokens, last.prefill_tokens + 4);
        last = now;
    }
    engine_read_status(engine, &now);
    assert_int_equal(now.tokens, last.tokens);
    engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_tells_its_story_in_order),
        cmocka_unit_test(the_token_that_ends_a_text_is_not_counted),
        cmocka_unit_test(the_context_is_the_limit_of_prompt_and_answer),
        cmocka_unit_test(the_second_waits_and_then_runs),
        cmocka_unit_test(the_impossible_is_told_at_once),
        cmocka_unit_test(a_cancelled_one_computes_one_more_step_at_most),
        cmocka_unit_test(a_cancelled_prefill_ends_within_a_chunk),
        cmocka_unit_test(a_cancelled_one_is_not_tokenized),
        cmocka_unit_test(a_cancelled_one_shows_what_was_held_back),
        cmocka_unit_test(one_that_is_late_when_it_comes_costs_nothing),
        cmocka_unit_test(one_whose_time_passes_ends_and_leaves_its_slot),
        cmocka_unit_test(one_that_rests_ends_by_itself),
        cmocka_unit_test(an_error_comes_behind_what_was_held_back),
        cmocka_unit_test(a_prompt_far_too_long_is_not_counted_to_its_end),
        cmocka_unit_test(a_cancelled_one_in_the_queue_never_runs),
        cmocka_unit_test(events_that_nobody_takes_pause_the_request),
        cmocka_unit_test(nan_fails_the_request_and_nothing_else),
        cmocka_unit_test(memory_that_is_short_in_a_step_fails_the_request),
        cmocka_unit_test(a_device_that_fails_ends_the_engine_and_every_request),
        cmocka_unit_test(a_load_that_fails_says_why),
        cmocka_unit_test(nan_in_the_first_step_fails_the_load),
        cmocka_unit_test(a_drain_ends_what_runs_what_waits_and_what_comes),
        cmocka_unit_test(the_counters_only_rise_and_rest_when_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

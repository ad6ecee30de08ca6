/* Several requests at a time on one KV store: what each computes is what it would alone, however
 * they share steps, slots, blocks and what has been computed before. */
#include "tests/tiny_model.h"
#include "tests/unit/engine_rig.h"

/* ---- at the same time ---- */

/* What a deep fake says after PROMPT: COUNT letters, each decided by all before it. */
static void expect_deep(const char *prompt, unsigned count, char *out)
{
    uint32_t hash = 0;

    for (const char *c = prompt; *c != '\0'; c++)
        hash = fake_deep_hash(hash, (unsigned char)*c);
    for (unsigned i = 0; i < count; i++) {
        uint32_t next = fake_deep_next(hash);

        out[i] = (char)next;
        hash = fake_deep_hash(hash, next);
    }
    out[count] = '\0';
}

static void assert_text(const struct story *story, const char *text)
{
    const char *at = strstr(story->text, "started ");

    assert_non_null(at);
    at += strlen("started ");
    for (; *text != '\0'; text++, at += 2)
        assert_int_equal(*at, *text);
    assert_string_equal(at, "end ");
}

static void as_many_run_as_there_are_slots(void **state)
{
    static const char *const PROMPTS[] = {"a", "k", "p", "u"};
    struct engine *engine = ready_engine_of(3, 0);
    struct engine_request *requests[4];

    fake_model_hold_steps();
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
        requests[i] = submit(engine, PROMPTS[i], 5);
    fake_model_release_steps();
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        struct story story = {0};

        read_to_end(engine, requests[i], &story);
        assert_true(strncmp(story.text, "queued ", strlen("queued ")) == 0 ? i == 3 : i < 3);
        assert_int_equal(engine_request_outcome(requests[i])->completion_tokens, 5);
        engine_request_free(requests[i]);
    }
    engine_free(engine);
}

/* Four streams in one step are four rows, not four steps. */
static void a_step_has_a_row_of_each(void **state)
{
    struct engine *engine = ready_engine_of(4, 0);
    struct engine_request *requests[4];

    fake_model_hold_steps();
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++)
        requests[i] = submit(engine, "a", 50);
    fake_model_release_steps();
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        struct story story = {0};

        read_to_end(engine, requests[i], &story);
        engine_request_free(requests[i]);
    }
    assert_int_equal(fake_model_row_count(), 4 * 50);
    assert_in_range(fake_model_step_count(), 50, 50 + 3); /* the first step may have begun alone */
    engine_free(engine);
}

/* Greedy, from the 40 most probable, with what needs all logits, or drawn from all. */
static struct engine_request *submit_with(struct engine *engine, const char *prompt,
                                          const char *parameters)
{
    AUTO_JSON json_t *body = json_loads(parameters, 0, NULL);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request asked;
    struct err err = ERR_INIT;

    json_object_set_new(body, "prompt", json_string(prompt));
    json_object_set_new(body, "raw", json_true());
    json_object_set_new(body, "max_tokens", json_integer(20));
    json_object_set_new(body, "seed", json_integer(5));
    assert_int_equal(inference_parse(body, &asked, unknown, &err), 0);
    return engine_submit(engine, &asked, take_ptr(body), NULL, NULL);
}

/* The stories of a request of each of PARAMETERS, all in one step; returns how many of the steps
 * gave candidates. */
static unsigned run_together(const char *const parameters[], size_t count, bool picks,
                             struct story *stories)
{
    static const char *const PROMPTS[] = {"a", "kp", "uuu"};
    struct engine *engine = ready_engine_of(3, 0);
    struct engine_request *requests[3];
    unsigned picked = 0;

    fake_model_make_deep();
    if (picks)
        fake_model_make_picking();
    fake_model_hold_steps();
    for (size_t i = 0; i < count; i++)
        requests[i] = submit_with(engine, PROMPTS[i], parameters[i]);
    fake_model_release_steps();
    for (size_t i = 0; i < count; i++) {
        stories[i] = (struct story){0};
        read_to_end(engine, requests[i], &stories[i]);
        engine_request_free(requests[i]);
    }
    picked = fake_model_picked_step_count();
    engine_free(engine);
    return picked;
}

/* Where the device gives candidates, texts are the same; and it is asked for all logits as soon as
 * one of the step needs them. */
static void candidates_change_no_text(void **state)
{
    static const struct {
        const char *parameters[3];
        bool is_picked;
    } CASES[] = {
        {{"{\"temperature\": 0}", "{\"temperature\": 0}", "{}"}, true},
        {{"{}", "{\"top_k\": 64, \"top_p\": 1, \"min_p\": 0}", "{\"top_k\": 3}"}, true},
        {{"{}", "{\"top_k\": 0}", "{}"}, false},
        {{"{}", "{\"temperature\": 0, \"logprobs\": 2}", "{}"}, false},
        {{"{\"presence_penalty\": 0.5}", "{}", "{}"}, false},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct story all[3];
        struct story few[3];
        unsigned picked = 0;

        assert_int_equal(run_together(CASES[i].parameters, 3, false, all), 0);
        picked = run_together(CASES[i].parameters, 3, true, few);
        /* One that is not picked for may have begun, or ended, apart from the others. */
        assert_true(CASES[i].is_picked ? picked >= 20 : picked < 20);
        for (size_t j = 0; j < 3; j++)
            assert_string_equal(strstr(few[j].text, "started"), strstr(all[j].text, "started"));
    }
}

/* A prompt shares its chunks with those that came after it, and does not make them wait. */
static void a_short_prompt_does_not_wait_for_a_long_one(void **state)
{
    struct engine *engine = ready_engine_of(2, 0);
    AUTO_FREE char *prompt = text_of_len(FAKE_CONTEXT_TOKENS - 100);
    struct engine_request *lengthy = NULL;
    struct engine_request *brief = NULL;
    struct story story = {0};
    struct story rest = {0};

    fake_model_hold_steps();
    lengthy = submit(engine, prompt, 1);
    fake_model_let_steps(1);
    fake_model_wait_for_steps(1);
    brief = submit(engine, "xa", 1);
    /* The one that may have been built before it came, and its own. */
    fake_model_let_steps(2);
    read_to_end(engine, brief, &story);
    assert_string_equal(story.text, "started b end ");
    engine_request_cancel(lengthy);
    fake_model_release_steps();
    read_to_end(engine, lengthy, &rest);
    assert_int_equal(engine_request_outcome(lengthy)->completion_tokens, 0);
    engine_request_free(brief);
    engine_request_free(lengthy);
    engine_free(engine);
}

/* ---- the store is full ---- */

/* COUNT requests of equal length, which cross the ends of blocks in the same steps, on a store that
 * is far too small for all. Each gives its blocks away and takes them again, and none says anything
 * else than alone. */
static void run_short_of_room(unsigned count, uint32_t context_tokens)
{
    enum { MOST = 7, TOKENS = 90 };
    struct engine *engine = ready_engine_of(count, context_tokens);
    struct engine_request *requests[MOST];
    char prompt[] = "prompt 0";

    assert_true(count <= MOST);
    fake_model_make_deep();
    fake_model_hold_steps();
    for (unsigned i = 0; i < count; i++) {
        prompt[7] = (char)('0' + i);
        requests[i] = submit(engine, prompt, TOKENS);
    }
    fake_model_release_steps();
    for (unsigned i = 0; i < count; i++) {
        char text[TOKENS + 1];
        struct story story = {0};

        read_to_end(engine, requests[i], &story);
        prompt[7] = (char)('0' + i);
        expect_deep(prompt, TOKENS, text);
        assert_text(&story, text);
        engine_request_free(requests[i]);
    }
    /* Some tokens were computed twice: the store was full indeed. */
    assert_true(fake_model_row_count() > count * (TOKENS + 7));
    engine_free(engine);
}

static void the_youngest_gives_way_and_goes_on_where_it_was(void **state)
{
    run_short_of_room(4, 4 * 32);
    run_short_of_room(7, 14 * 32);
}

/* Who gave way goes on before those who came after it, even if they would have room. */
static void who_gave_way_keeps_its_place(void **state)
{
    struct engine *engine = ready_engine_of(2, 192);
    AUTO_FREE char *prompt = text_of_len(40);
    struct engine_request *first = NULL;
    struct engine_request *second = NULL;
    struct engine_request *third = NULL;
    struct story first_story = {0};
    struct story second_story = {0};
    struct story third_story = {0};
    unsigned steps = 0;

    fake_model_hold_steps();
    first = submit(engine, prompt, 110);
    second = submit(engine, "second", 120);
    third = submit(engine, "third", 1);
    while (!first_story.is_over) {
        take_all(third, &third_story);
        assert_null(strstr(third_story.text, "started"));
        fake_model_let_steps(1);
        fake_model_wait_for_steps(++steps);
        take_all(first, &first_story);
        take_all(second, &second_story);
    }
    assert_true(second_story.text_count > 0); /* it had begun, and gave way */
    assert_false(second_story.is_over);
    fake_model_release_steps();
    read_to_end(engine, second, &second_story);
    read_to_end(engine, third, &third_story);
    assert_string_equal(third_story.text, "queued started e end ");
    engine_request_free(first);
    engine_request_free(second);
    engine_request_free(third);
    engine_free(engine);
}

/* ---- what has been computed is found again ---- */

static void a_prompt_that_is_known_is_not_computed_again(void **state)
{
    struct engine *engine = ready_engine_of(1, 0);
    AUTO_FREE char *prompt = text_of_len(10 * 32 + 7);
    unsigned rows = 0;

    fake_model_make_deep();
    for (int round = 0; round < 2; round++) {
        struct engine_request *request = submit(engine, prompt, 4);
        struct story story = {0};
        char text[5];

        read_to_end(engine, request, &story);
        expect_deep(prompt, 4, text);
        assert_text(&story, text);
        assert_int_equal(engine_request_outcome(request)->cached_tokens, round == 0 ? 0 : 10 * 32);
        assert_int_equal(fake_model_row_count() - rows, (round == 0 ? 10 * 32 : 0) + 7 + 3);
        rows = fake_model_row_count();
        engine_request_free(request);
    }
    engine_free(engine);
}

/* What led to no numbers leads there again, if it is not computed anew. */
static void what_failed_is_not_found_again(void **state)
{
    struct engine *engine = ready_engine_of(1, 0);
    AUTO_FREE char *prompt = text_of_len(64);
    struct engine_request *request = NULL;
    struct story story = {0};
    struct story again = {0};
    unsigned rows = 0;

    fake_model_make_nan(true);
    request = submit(engine, prompt, 1);
    read_to_end(engine, request, &story);
    engine_request_free(request);
    rows = fake_model_row_count();
    fake_model_make_nan(false);
    request = submit(engine, prompt, 1);
    read_to_end(engine, request, &again);
    assert_string_equal(again.text, "started b end ");
    assert_int_equal(fake_model_row_count() - rows, 64);
    engine_request_free(request);
    engine_free(engine);
}

/* ---- a storm ---- */

enum {
    STORM_REQUESTS = 10000,
    STORM_SLOTS = 4,
    STORM_CONTEXT = 256,
    STORM_AT_A_TIME = 12,
    STORM_PROMPT_MAX = 120,
    STORM_TOKENS_MAX = 60,
};

struct storm_request {
    struct engine_request *request;
    struct story story;
    char prompt[STORM_PROMPT_MAX + 1];
    unsigned token_count;
    bool is_cancelled;
};

static uint32_t storm_draw(uint64_t *seed, uint32_t below)
{
    return (uint32_t)(tiny_next(seed) % below);
}

/* Many prompts begin alike, so that blocks are shared. */
static void storm_submit(struct engine *engine, struct storm_request *one, uint64_t *seed)
{
    size_t len = 1 + storm_draw(seed, STORM_PROMPT_MAX);
    size_t alike = storm_draw(seed, STORM_PROMPT_MAX);
    char kind = (char)('a' + storm_draw(seed, 3));

    *one = (struct storm_request){.token_count = 1 + storm_draw(seed, STORM_TOKENS_MAX)};
    for (size_t i = 0; i < len; i++)
        one->prompt[i] = i < alike ? kind : (char)('a' + storm_draw(seed, 26));
    one->request = submit(engine, one->prompt, (int)one->token_count);
}

/* Whole, or what there was of it when it was cancelled. */
static void storm_check(const struct storm_request *one)
{
    const struct engine_outcome *outcome = engine_request_outcome(one->request);
    char text[STORM_TOKENS_MAX + 1];

    assert_false(err_is_set(&outcome->error));
    if (outcome->stop_reason == ENGINE_STOP_CANCELLED)
        assert_true(one->is_cancelled);
    else
        assert_int_equal(outcome->completion_tokens, one->token_count);
    if (strstr(one->story.text, "started ") == NULL)
        return;
    expect_deep(one->prompt, outcome->completion_tokens, text);
    assert_text(&one->story, text);
}

/* Thousands of requests over few slots and a store that two of them fill, a third of them cancelled
 * at some moment: each says what it would alone, and nothing is left behind. */
static void a_storm_changes_no_text(void **state)
{
    static struct storm_request running[STORM_AT_A_TIME];
    struct engine *engine = ready_engine_of(STORM_SLOTS, STORM_CONTEXT);
    unsigned submitted = 0;
    unsigned ended = 0;
    uint64_t cached_tokens = 0;
    uint64_t seed = 20261127;

    fake_model_make_deep();
    while (ended < STORM_REQUESTS) {
        struct storm_request *one = &running[storm_draw(&seed, STORM_AT_A_TIME)];

        if (one->request == NULL) {
            if (submitted < STORM_REQUESTS) {
                storm_submit(engine, one, &seed);
                submitted++;
            }
            continue;
        }
        if (storm_draw(&seed, 8) == 0 && !one->is_cancelled) {
            one->is_cancelled = true;
            engine_request_cancel(one->request);
        }
        take_all(one->request, &one->story);
        if (!one->story.is_over)
            continue;
        storm_check(one);
        cached_tokens += engine_request_outcome(one->request)->cached_tokens;
        engine_request_free(one->request);
        one->request = NULL;
        ended++;
    }
    assert_true(engine_is_idle(engine));
    assert_true(cached_tokens > STORM_REQUESTS); /* blocks were shared indeed */
    engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_run_as_there_are_slots),
        cmocka_unit_test(a_step_has_a_row_of_each),
        cmocka_unit_test(candidates_change_no_text),
        cmocka_unit_test(a_short_prompt_does_not_wait_for_a_long_one),
        cmocka_unit_test(the_youngest_gives_way_and_goes_on_where_it_was),
        cmocka_unit_test(who_gave_way_keeps_its_place),
        cmocka_unit_test(a_prompt_that_is_known_is_not_computed_again),
        cmocka_unit_test(what_failed_is_not_found_again),
        cmocka_unit_test(a_storm_changes_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

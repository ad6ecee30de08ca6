/* The judgement whether a worker works, with a clock that the test moves. */
#include "supervisor/liveness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    PROGRESS_MS = 20000,
    CANARY_MS = 30000,
    CANARY_MAX_MS = 600000,
    START_MS = 1000000, /* a clock does not begin at 0 */
    LOOK_MS = 500,
};

struct world {
    struct liveness liveness;
    struct liveness_counters counters; /* what a read of the process would show */
    uint64_t now_ms;
};

static struct world world_with(uint64_t canary_ms, uint64_t step_ms)
{
    struct liveness_limits limits = {.progress_ms = PROGRESS_MS,
                                     .canary_ms = canary_ms,
                                     .canary_max_ms = CANARY_MAX_MS,
                                     .has_counters = true};
    struct world world = {.counters = {.tokens = 1, .prefill_tokens = 1}, .now_ms = START_MS};

    liveness_begin(&world.liveness, &limits, step_ms, &world.counters, world.now_ms);
    return world;
}

static struct world world_new(void)
{
    return world_with(CANARY_MS, 0);
}

/* Waits for what is due next; it must not be due before. */
static enum liveness_action next(struct world *world)
{
    uint64_t due_ms = liveness_due_ms(&world->liveness);

    assert_true(due_ms != LIVENESS_NEVER);
    if (due_ms > world->now_ms) {
        assert_int_equal(liveness_take(&world->liveness, due_ms - 1), LIVENESS_WAIT);
        world->now_ms = due_ms;
    }
    return liveness_take(&world->liveness, world->now_ms);
}

static void read_counters(struct world *world)
{
    liveness_read(&world->liveness, &world->counters, world->now_ms);
}

/* A process that answers each probe at once, until something else than a probe is due. */
static enum liveness_action next_but_probes(struct world *world)
{
    enum liveness_action action = LIVENESS_PROBE;

    while ((action = next(world)) == LIVENESS_PROBE)
        read_counters(world);
    return action;
}

static void set_load(struct world *world, enum liveness_load load)
{
    liveness_set_load(&world->liveness, load, world->now_ms);
}

static void progress_after(struct world *world, uint64_t ms)
{
    world->now_ms += ms;
    liveness_progress(&world->liveness, world->now_ms);
}

static void assert_fault(struct world *world, enum liveness_fault fault, const char *words)
{
    char reason[LIVENESS_REASON_BYTES];

    assert_int_equal(world->liveness.fault, fault);
    assert_int_equal(liveness_due_ms(&world->liveness), 0);
    assert_int_equal(liveness_take(&world->liveness, world->now_ms), LIVENESS_HUNG);
    liveness_describe(&world->liveness, reason);
    if (strstr(reason, words) == NULL)
        fail_msg("'%s' does not say '%s'", reason, words);
}

static void assert_well(const struct world *world)
{
    assert_int_equal(world->liveness.fault, LIVENESS_WELL);
}

/* ---- busy ---- */

static void a_busy_process_is_asked_and_an_idle_one_is_not(void **state)
{
    struct world world = world_new();

    assert_int_equal(liveness_due_ms(&world.liveness), START_MS + CANARY_MS);
    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    assert_int_equal(world.now_ms, START_MS + LOOK_MS);
    read_counters(&world);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    assert_int_equal(world.now_ms, START_MS + 2 * LOOK_MS);
    liveness_progress(&world.liveness, world.now_ms);
    read_counters(&world);
    set_load(&world, LIVENESS_IDLE);
    assert_int_equal(liveness_due_ms(&world.liveness), world.now_ms + CANARY_MS);
}

static void without_progress_a_busy_process_hangs_at_the_limit_and_not_before(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + PROGRESS_MS);
    assert_fault(&world, LIVENESS_NO_PROGRESS, "no progress for 20000 ms while it had work");
}

static void tokens_that_stop_are_a_hang_from_the_last_one_on(void **state)
{
    struct world world = world_new();
    uint64_t last_ms = 0;

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 100; i++)
        progress_after(&world, 300);
    last_ms = world.now_ms;
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_in_range(world.now_ms, last_ms + PROGRESS_MS, last_ms + PROGRESS_MS + LOOK_MS);
    assert_fault(&world, LIVENESS_NO_PROGRESS, "while it had work");
}

static void while_tokens_come_nobody_asks(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 1000; i++) {
        progress_after(&world, LOOK_MS - 1);
        assert_int_equal(liveness_take(&world.liveness, world.now_ms), LIVENESS_WAIT);
    }
}

/* Neither a stream nor an answer in one piece has shown anything yet. */
static void prompt_chunks_are_progress(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 20; i++) {
        world.now_ms += PROGRESS_MS / 2;
        assert_int_equal(liveness_take(&world.liveness, world.now_ms), LIVENESS_PROBE);
        world.counters.prefill_tokens += 64;
        read_counters(&world);
        assert_well(&world);
    }
}

static void a_slow_process_gets_twenty_times_its_slowest_step(void **state)
{
    struct world world = world_new();
    uint64_t last_ms = 0;

    set_load(&world, LIVENESS_BUSY);
    progress_after(&world, 3000);
    last_ms = world.now_ms;
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_in_range(world.now_ms, last_ms + 60000, last_ms + 60000 + LOOK_MS);

    world = world_with(CANARY_MS, 5000); /* its first token, while it loaded, was one */
    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + 100000);

    world = world_with(CANARY_MS, 3); /* a fast one still has the limit */
    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + PROGRESS_MS);
}

/* Looking seldom does not make steps longer than they are allowed to be. */
static void looking_alone_raises_no_limit(void **state)
{
    struct world world = world_new();
    uint64_t last_ms = 0;

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(next(&world), LIVENESS_PROBE);
        world.counters.tokens += 7;
        read_counters(&world);
    }
    last_ms = world.now_ms;
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, last_ms + PROGRESS_MS);
}

static void a_process_that_waits_for_its_clients_owes_nothing(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    progress_after(&world, 10);
    set_load(&world, LIVENESS_HELD);
    assert_int_equal(liveness_due_ms(&world.liveness), LIVENESS_NEVER); /* no canary, either */
    world.now_ms += 100 * (uint64_t)PROGRESS_MS;
    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    read_counters(&world);
    assert_well(&world);
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
}

static void a_counter_that_falls_is_a_lie(void **state)
{
    for (int which = 0; which < 2; which++) {
        struct world world = world_new();

        set_load(&world, LIVENESS_BUSY);
        world.counters = (struct liveness_counters){.tokens = 90, .prefill_tokens = 80};
        assert_int_equal(next(&world), LIVENESS_PROBE);
        read_counters(&world);
        world.counters.tokens += which == 0 ? -1 : 500;
        world.counters.prefill_tokens += which == 0 ? 500 : -1;
        assert_int_equal(next(&world), LIVENESS_PROBE);
        read_counters(&world);
        assert_fault(&world, LIVENESS_COUNTER_FELL, "counters fell from 90+80 to");
    }
}

/* ---- silence, nonsense, refusal ---- */

static void silence_is_a_hang_at_the_limit_only(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    assert_int_equal(next(&world), LIVENESS_HUNG); /* one probe is enough, no second beside it */
    assert_int_equal(world.now_ms, START_MS + PROGRESS_MS);
    assert_fault(&world, LIVENESS_SILENT, "answered nothing for 19500 ms");
}

static void tokens_make_up_for_a_probe_without_answer(void **state)
{
    struct world world = world_new();
    uint64_t last_ms = 0;

    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    progress_after(&world, 900);
    last_ms = world.now_ms;
    assert_int_equal(next(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, last_ms + LIVENESS_STEPS * (LOOK_MS + 900));
}

static void the_last_probe_has_time_for_its_answer(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    world.now_ms += PROGRESS_MS - 1; /* nobody looked until now */
    assert_int_equal(liveness_take(&world.liveness, world.now_ms), LIVENESS_PROBE);
    assert_int_equal(liveness_due_ms(&world.liveness), world.now_ms + PROGRESS_MS / LIVENESS_STEPS);
}

static void nonsense_is_no_progress_and_no_more(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    while (next(&world) == LIVENESS_PROBE) {
        assert_in_range(world.now_ms, START_MS, START_MS + PROGRESS_MS);
        liveness_nonsense(&world.liveness, world.now_ms);
    }
    assert_int_equal(world.now_ms, START_MS + PROGRESS_MS);
    assert_fault(&world, LIVENESS_NONSENSE, "answers nonsense");

    world = world_new();
    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(next(&world), LIVENESS_PROBE);
        liveness_progress(&world.liveness, world.now_ms);
        liveness_nonsense(&world.liveness, world.now_ms);
        assert_well(&world);
    }
}

static void refusals_are_a_fault_soon(void **state)
{
    struct world world = world_new();
    uint64_t first_ms = 0;

    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    first_ms = world.now_ms;
    liveness_refused(&world.liveness, world.now_ms);
    while (next(&world) == LIVENESS_PROBE)
        liveness_refused(&world.liveness, world.now_ms);
    assert_int_equal(world.now_ms, first_ms + LIVENESS_REFUSED_MS);
    assert_true(LIVENESS_REFUSED_MS < PROGRESS_MS / 10);
    assert_fault(&world, LIVENESS_REFUSES, "refused every connection");
}

/* Many requests at once are refused together: that is one look. */
static void many_refusals_at_one_time_are_no_fault_yet(void **state)
{
    struct world world = world_new();

    for (int i = 0; i < 50; i++)
        liveness_refused(&world.liveness, world.now_ms);
    assert_well(&world);
    assert_int_equal(next(&world), LIVENESS_PROBE); /* idle or not */
    assert_int_equal(world.now_ms, START_MS + LIVENESS_REFUSED_RETRY_MS);
    read_counters(&world);
    assert_int_equal(world.liveness.refused_count, 0);
    assert_int_equal(next_but_probes(&world), LIVENESS_CANARY);
}

static void any_answer_ends_the_refusals(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 20; i++) {
        for (int k = 1; k < LIVENESS_REFUSED_COUNT; k++) {
            assert_int_equal(next(&world), LIVENESS_PROBE);
            liveness_refused(&world.liveness, world.now_ms);
        }
        assert_int_equal(next(&world), LIVENESS_PROBE);
        world.counters.tokens++;
        read_counters(&world);
        assert_well(&world);
    }
}

/* What runs may go on; nothing new can come in. */
static void tokens_do_not_hide_refusals(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    liveness_refused(&world.liveness, world.now_ms);
    while (next(&world) == LIVENESS_PROBE) {
        liveness_refused(&world.liveness, world.now_ms);
        liveness_progress(&world.liveness, world.now_ms);
    }
    assert_int_equal(world.liveness.fault, LIVENESS_REFUSES);
}

static void what_fails_for_our_own_reasons_says_nothing(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(next(&world), LIVENESS_PROBE);
        liveness_missed(&world.liveness, world.now_ms);
    }
    assert_well(&world);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    read_counters(&world); /* the first real look */
    assert_fault(&world, LIVENESS_NO_PROGRESS, "no progress");
}

/* ---- canaries ---- */

static void canaries_come_at_doubling_intervals_up_to_the_longest(void **state)
{
    static const uint64_t SECONDS[] = {30, 60, 120, 240, 480, 600, 600, 600};
    struct world world = world_new();
    uint64_t last_ms = world.now_ms;

    for (size_t i = 0; i < sizeof(SECONDS) / sizeof(SECONDS[0]); i++) {
        assert_int_equal(next_but_probes(&world), LIVENESS_CANARY);
        assert_int_equal(world.now_ms, last_ms + SECONDS[i] * 1000);
        liveness_canary_done(&world.liveness, world.now_ms);
        last_ms = world.now_ms;
    }
    set_load(&world, LIVENESS_BUSY);
    progress_after(&world, 5);
    set_load(&world, LIVENESS_IDLE);
    last_ms = world.now_ms;
    assert_int_equal(next_but_probes(&world), LIVENESS_CANARY);
    assert_int_equal(world.now_ms, last_ms + CANARY_MS); /* from the beginning, after work */
}

static void counters_are_read_after_a_canary(void **state)
{
    struct world world = world_new();

    assert_int_equal(next(&world), LIVENESS_CANARY);
    liveness_canary_done(&world.liveness, world.now_ms);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    assert_int_equal(world.now_ms, START_MS + CANARY_MS);
    world.counters.tokens = 0;
    read_counters(&world);
    assert_fault(&world, LIVENESS_COUNTER_FELL, "fell");
}

static void off_means_no_canary_at_all(void **state)
{
    struct world world = world_with(0, 0);

    assert_int_equal(liveness_due_ms(&world.liveness), LIVENESS_NEVER);
    set_load(&world, LIVENESS_BUSY);
    world.now_ms += PROGRESS_MS / 2;
    set_load(&world, LIVENESS_IDLE); /* with a debt, too */
    assert_int_equal(liveness_due_ms(&world.liveness), LIVENESS_NEVER);
}

static void a_canary_without_answer_is_a_hang(void **state)
{
    struct world world = world_new();

    assert_int_equal(next(&world), LIVENESS_CANARY);
    assert_true(liveness_owes(&world.liveness));
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + CANARY_MS + PROGRESS_MS);
    assert_fault(&world, LIVENESS_NO_PROGRESS, "while one token was asked of it");
}

static void a_silent_process_is_found_by_its_canary(void **state)
{
    struct world world = world_new();

    assert_int_equal(next(&world), LIVENESS_CANARY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    assert_int_equal(next(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + CANARY_MS + PROGRESS_MS);
    assert_int_equal(world.liveness.fault, LIVENESS_SILENT);
}

static void a_refused_canary_is_a_refusal(void **state)
{
    struct world world = world_new();

    assert_int_equal(next(&world), LIVENESS_CANARY);
    liveness_canary_withdrawn(&world.liveness, world.now_ms);
    liveness_refused(&world.liveness, world.now_ms);
    while (next(&world) == LIVENESS_PROBE) /* and no second canary */
        liveness_refused(&world.liveness, world.now_ms);
    assert_int_equal(world.now_ms, START_MS + CANARY_MS + LIVENESS_REFUSED_MS);
    assert_int_equal(world.liveness.fault, LIVENESS_REFUSES);
}

/* It answers at once, again and again, and never with a token. */
static void canaries_that_fail_for_the_limit_are_a_hang(void **state)
{
    struct world world = world_new();
    unsigned count = 0;

    while (next_but_probes(&world) == LIVENESS_CANARY) {
        liveness_canary_failed(&world.liveness, world.now_ms);
        count++;
    }
    assert_int_equal(count, LIVENESS_STEPS + 1);
    assert_int_equal(world.now_ms, START_MS + CANARY_MS + PROGRESS_MS);
    assert_fault(&world, LIVENESS_CANARY_FAILED, "failed for 20000 ms");
}

static void a_token_makes_up_for_canaries_that_failed(void **state)
{
    struct world world = world_new();

    for (int i = 0; i < 100; i++) {
        assert_int_equal(next_but_probes(&world), LIVENESS_CANARY);
        liveness_canary_failed(&world.liveness, world.now_ms);
        if (i % 10 == 9) {
            set_load(&world, LIVENESS_BUSY);
            progress_after(&world, 5);
            set_load(&world, LIVENESS_IDLE);
        }
        assert_well(&world);
    }
}

/* Requests that are refused for what they ask, or by a process that refuses all, do not put the
 * canary off. */
static void work_without_progress_does_not_count_as_work(void **state)
{
    struct world world = world_new();

    while (world.now_ms < START_MS + CANARY_MS - 100) {
        set_load(&world, LIVENESS_BUSY);
        world.now_ms += 5;
        set_load(&world, LIVENESS_IDLE);
        assert_int_equal(liveness_due_ms(&world.liveness), START_MS + CANARY_MS);
        world.now_ms += 50;
    }
    assert_int_equal(next(&world), LIVENESS_CANARY);
}

static void a_withdrawn_canary_comes_again_unless_the_work_got_on(void **state)
{
    struct world world = world_new();

    assert_int_equal(next(&world), LIVENESS_CANARY);
    liveness_canary_withdrawn(&world.liveness, world.now_ms);
    set_load(&world, LIVENESS_BUSY);
    world.now_ms += 5;
    set_load(&world, LIVENESS_IDLE);
    assert_true(liveness_due_ms(&world.liveness) <= world.now_ms + PROGRESS_MS / LIVENESS_STEPS);
    assert_int_equal(next(&world), LIVENESS_CANARY);
    liveness_canary_withdrawn(&world.liveness, world.now_ms);
    set_load(&world, LIVENESS_BUSY);
    progress_after(&world, 5);
    set_load(&world, LIVENESS_IDLE);
    assert_int_equal(liveness_due_ms(&world.liveness), world.now_ms + CANARY_MS);
}

static void a_card_that_sleeps_is_left_alone(void **state)
{
    struct world world = world_new();

    for (int i = 1; i <= 5; i++) {
        assert_int_equal(next(&world), LIVENESS_CANARY);
        liveness_canary_put_off(&world.liveness, world.now_ms);
        assert_false(liveness_owes(&world.liveness));
        assert_int_equal(liveness_due_ms(&world.liveness), world.now_ms + CANARY_MS);
    }
}

/* ---- debts ---- */

/* Each client leaves long before the limit; together they have waited for longer. */
static void impatient_clients_do_not_hide_a_hang(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    world.now_ms += 3000;
    set_load(&world, LIVENESS_IDLE);
    assert_int_equal(next(&world), LIVENESS_CANARY); /* at once */
    assert_int_equal(world.now_ms, START_MS + 3000);

    world = world_with(0, 0);
    for (int i = 0; i < 6; i++) {
        set_load(&world, LIVENESS_BUSY);
        world.now_ms += 3000;
        set_load(&world, LIVENESS_IDLE);
        world.now_ms += 10 * (uint64_t)PROGRESS_MS; /* idle time is not owed */
    }
    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    read_counters(&world);
    assert_well(&world);
    assert_int_equal(next_but_probes(&world), LIVENESS_HUNG);
}

static void a_debt_is_forgotten_with_the_next_progress(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    world.now_ms += PROGRESS_MS - 1;
    set_load(&world, LIVENESS_IDLE);
    assert_int_equal(next(&world), LIVENESS_CANARY);
    liveness_canary_done(&world.liveness, world.now_ms);
    assert_int_equal(world.liveness.debt_ms, 0);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    read_counters(&world);
    assert_int_equal(next(&world), LIVENESS_CANARY); /* as if it had never owed */
    assert_well(&world);
}

/* ---- our own sleep ---- */

static void time_in_which_we_slept_is_not_held_against_it(void **state)
{
    struct world world = world_new();
    uint64_t slept_ms = 10 * (uint64_t)PROGRESS_MS;

    set_load(&world, LIVENESS_BUSY);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    world.now_ms += slept_ms;
    liveness_overslept(&world.liveness, slept_ms, world.now_ms);
    assert_int_equal(liveness_take(&world.liveness, world.now_ms), LIVENESS_WAIT);
    assert_int_equal(next(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + slept_ms + PROGRESS_MS);
}

static void no_sleep_moves_anything_into_the_future(void **state)
{
    struct world world = world_new();

    set_load(&world, LIVENESS_BUSY);
    progress_after(&world, 10);
    liveness_overslept(&world.liveness, 5000, world.now_ms);
    assert_int_equal(world.liveness.owed_since_ms, world.now_ms);
}

/* ---- a program without counters ---- */

static struct world mute_world(void)
{
    struct world world = world_new();

    world.liveness.limits.has_counters = false;
    return world;
}

/* It is asked seldom, and may take any time over a prompt as long as it answers; how long it takes
 * to answer says nothing of its steps, so that a hang is found as soon as ever. */
static void a_program_without_counters_may_read_as_long_as_it_answers(void **state)
{
    struct world world = mute_world();

    set_load(&world, LIVENESS_BUSY);
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(next(&world), LIVENESS_PROBE);
        assert_int_equal(world.now_ms, START_MS + i * PROGRESS_MS / 2);
        liveness_answered(&world.liveness, true, world.now_ms);
    }
    assert_int_equal(next(&world), LIVENESS_PROBE);
    assert_int_equal(next(&world), LIVENESS_HUNG); /* no answer to that */
    assert_int_equal(world.now_ms, START_MS + 10 * PROGRESS_MS / 2 + PROGRESS_MS);
    assert_int_equal(world.liveness.fault, LIVENESS_SILENT);
}

/* Once tokens have come, an answer does not do in the place of the next ones. */
static void a_program_without_counters_owes_tokens_once_they_come(void **state)
{
    struct world world = mute_world();

    set_load(&world, LIVENESS_BUSY);
    liveness_progress(&world.liveness, world.now_ms);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    liveness_answered(&world.liveness, false, world.now_ms);
    assert_int_equal(next(&world), LIVENESS_PROBE);
    liveness_answered(&world.liveness, false, world.now_ms);
    assert_int_equal(next(&world), LIVENESS_HUNG);
    assert_int_equal(world.now_ms, START_MS + PROGRESS_MS);
    assert_int_equal(world.liveness.fault, LIVENESS_NO_PROGRESS);
}

/* As long as its tokens come, nobody disturbs it. */
static void a_program_without_counters_is_not_asked_while_tokens_come(void **state)
{
    struct world world = mute_world();

    set_load(&world, LIVENESS_BUSY);
    for (int i = 0; i < 100; i++) {
        world.now_ms += PROGRESS_MS / 2 - 1;
        assert_int_equal(liveness_take(&world.liveness, world.now_ms), LIVENESS_WAIT);
        liveness_progress(&world.liveness, world.now_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_process_is_asked_and_an_idle_one_is_not),
        cmocka_unit_test(without_progress_a_busy_process_hangs_at_the_limit_and_not_before),
        cmocka_unit_test(tokens_that_stop_are_a_hang_from_the_last_one_on),
        cmocka_unit_test(while_tokens_come_nobody_asks),
        cmocka_unit_test(prompt_chunks_are_progress),
        cmocka_unit_test(a_slow_process_gets_twenty_times_its_slowest_step),
        cmocka_unit_test(looking_alone_raises_no_limit),
        cmocka_unit_test(a_process_that_waits_for_its_clients_owes_nothing),
        cmocka_unit_test(a_counter_that_falls_is_a_lie),
        cmocka_unit_test(silence_is_a_hang_at_the_limit_only),
        cmocka_unit_test(tokens_make_up_for_a_probe_without_answer),
        cmocka_unit_test(the_last_probe_has_time_for_its_answer),
        cmocka_unit_test(nonsense_is_no_progress_and_no_more),
        cmocka_unit_test(refusals_are_a_fault_soon),
        cmocka_unit_test(many_refusals_at_one_time_are_no_fault_yet),
        cmocka_unit_test(any_answer_ends_the_refusals),
        cmocka_unit_test(tokens_do_not_hide_refusals),
        cmocka_unit_test(what_fails_for_our_own_reasons_says_nothing),
        cmocka_unit_test(canaries_come_at_doubling_intervals_up_to_the_longest),
        cmocka_unit_test(counters_are_read_after_a_canary),
        cmocka_unit_test(off_means_no_canary_at_all),
        cmocka_unit_test(a_canary_without_answer_is_a_hang),
        cmocka_unit_test(a_silent_process_is_found_by_its_canary),
        cmocka_unit_test(a_refused_canary_is_a_refusal),
        cmocka_unit_test(canaries_that_fail_for_the_limit_are_a_hang),
        cmocka_unit_test(a_token_makes_up_for_canaries_that_failed),
        cmocka_unit_test(work_without_progress_does_not_count_as_work),
        cmocka_unit_test(a_withdrawn_canary_comes_again_unless_the_work_got_on),
        cmocka_unit_test(a_card_that_sleeps_is_left_alone),
        cmocka_unit_test(impatient_clients_do_not_hide_a_hang),
        cmocka_unit_test(a_debt_is_forgotten_with_the_next_progress),
        cmocka_unit_test(time_in_which_we_slept_is_not_held_against_it),
        cmocka_unit_test(no_sleep_moves_anything_into_the_future),
        cmocka_unit_test(a_program_without_counters_may_read_as_long_as_it_answers),
        cmocka_unit_test(a_program_without_counters_owes_tokens_once_they_come),
        cmocka_unit_test(a_program_without_counters_is_not_asked_while_tokens_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

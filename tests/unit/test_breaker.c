/* The circuit breaker alone: what opens it, what a probe does, and what ends it. */
#include "supervisor/breaker.h"

#include "common/mem.h"
#include "supervisor/restart.h"
#include "tests/unit/recovery_defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool record(struct breaker *breaker, const struct breaker_policy *policy,
                   enum fault_class fault, int64_t cycle_ms, int64_t at_ms)
{
    const struct breaker_failure failure = {.at_ms = at_ms, .cycle_ms = cycle_ms, .fault = fault};

    return breaker_record(breaker, policy, &failure, (uint32_t)at_ms);
}

static bool crash(struct breaker *breaker, const struct breaker_policy *policy, int64_t at_ms)
{
    return record(breaker, policy, FAULT_CRASH, 0, at_ms);
}

/* Plain open times: what a test computes with. */
static struct breaker_policy without_jitter(struct breaker_policy policy)
{
    policy.jitter_pct = 0;
    return policy;
}

/* Opened for attempts at NOW_MS, its time over, and a probe made. Returns when. */
static int64_t open_and_probe(struct breaker *breaker, const struct breaker_policy *policy,
                              int64_t now_ms)
{
    if (breaker->state == BREAKER_CLOSED)
        assert_true(breaker_trip(breaker, policy, BREAKER_BY_ATTEMPTS, now_ms, 0));
    assert_int_equal(breaker->state, BREAKER_OPEN);
    assert_true(breaker_tick(breaker, breaker->until_ms));
    breaker_on_start(breaker);
    return breaker->until_ms;
}

/* ---- what opens it ---- */

/* For every limit: the failure that fills the window opens, no earlier one does. */
static void so_many_failures_in_the_window_open_it(void **state)
{
    for (int64_t limit = 1; limit <= BREAKER_FAILURES_MAX_COUNT; limit++) {
        struct breaker_policy policy = breaker_defaults();
        struct breaker breaker;

        policy.failures = limit;
        policy.flap_failures = 0;
        breaker_init(&breaker);
        for (int64_t i = 1; i <= limit; i++) {
            assert_true(breaker_allows_start(&breaker));
            assert_int_equal(crash(&breaker, &policy, i), i == limit);
            assert_int_equal(breaker_count(&breaker, &policy, i), i);
        }
        assert_int_equal(breaker.state, BREAKER_OPEN);
        assert_int_equal(breaker.cause, BREAKER_BY_WINDOW);
        assert_int_equal(breaker.opened_by, BREAKER_BY_WINDOW);
        assert_false(breaker_allows_start(&breaker));
    }
}

/* The window is to the millisecond: five within 300 s open, five over 300 s do not. */
static void the_window_ends_to_the_millisecond(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    for (int64_t late_ms = 0; late_ms <= 1; late_ms++) {
        struct breaker breaker;

        breaker_init(&breaker);
        for (int i = 0; i < 4; i++)
            assert_false(crash(&breaker, &policy, i));
        assert_int_equal(crash(&breaker, &policy, policy.window_ms - 1 + late_ms), late_ms == 0);
    }
}

/* Two thousand failures, each just too late for the fifth before it, open nothing but a day's
 * count; the ring goes round many times. */
static void failures_that_are_far_apart_open_nothing(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;

    policy.flap_failures = 0;
    breaker_init(&breaker);
    for (int64_t i = 0; i < 2000; i++)
        assert_false(crash(&breaker, &policy, -HOUR_MS + i * policy.window_ms / 4));
    assert_int_equal(breaker.failure_count, BREAKER_FAILURES_MAX_COUNT);
}

/* A loop whose rounds of CYCLE_MS follow each other: opened by which failure, 0 by none. */
static int64_t opened_by_failure(const struct breaker_policy *policy, int64_t cycle_ms)
{
    struct breaker breaker;

    breaker_init(&breaker);
    for (int64_t i = 1; i <= 8; i++) {
        if (record(&breaker, policy, FAULT_CRASH, cycle_ms, i * cycle_ms))
            return i;
    }
    return 0;
}

/* However slow a round of the loop is, its fifth failure opens: the window stretches with it. Where
 * rounds are fast, it stays as it is. */
static void a_slow_crash_loop_is_seen_like_a_fast_one(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;

    for (int64_t cycle_ms = 0; cycle_ms <= HOUR_MS; cycle_ms += 10 * SECOND_MS)
        assert_int_equal(opened_by_failure(&policy, cycle_ms), 5);
    breaker_init(&breaker);
    (void)record(&breaker, &policy, FAULT_CRASH, MINUTE_MS, 0);
    assert_int_equal(breaker_window_ms(&breaker, &policy), 5 * MINUTE_MS);
    (void)record(&breaker, &policy, FAULT_CRASH, MINUTE_MS + 1, 0);
    assert_int_equal(breaker_window_ms(&breaker, &policy), 5 * (MINUTE_MS + 1));
}

/* Only the failures that would fill the window stretch it: a slow load of long ago does not. */
static void only_the_last_rounds_stretch_the_window(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;

    policy.flap_failures = 0;
    breaker_init(&breaker);
    (void)record(&breaker, &policy, FAULT_CRASH, 10 * MINUTE_MS, 0);
    for (int64_t i = 1; i <= 5; i++) {
        assert_int_equal(breaker_window_ms(&breaker, &policy), 50 * MINUTE_MS);
        (void)crash(&breaker, &policy, i * HOUR_MS);
    }
    assert_int_equal(breaker_window_ms(&breaker, &policy), policy.window_ms);
}

/* Ten in 24 hours, never two in one window: flapping. Nine, or the tenth too late: nothing. */
static void ten_failures_in_a_day_are_flapping(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    for (int64_t late_ms = 0; late_ms <= 1; late_ms++) {
        struct breaker breaker;

        breaker_init(&breaker);
        for (int64_t i = 0; i < 9; i++)
            assert_false(crash(&breaker, &policy, i * 2 * HOUR_MS));
        assert_int_equal(crash(&breaker, &policy, DAY_MS - 1 + late_ms), late_ms == 0);
        assert_int_equal(breaker.opened_by, late_ms == 0 ? BREAKER_BY_FLAPPING : BREAKER_BY_NONE);
    }
}

/* A GPU's opens on the second gpu_fault; on other classes by the window alone. */
static void a_second_gpu_fault_opens_a_device(void **state)
{
    for (int i = 1; i < FAULT_CLASS_COUNT; i++) {
        enum fault_class fault = (enum fault_class)i;
        struct breaker_policy policy = breaker_device_defaults();
        struct breaker breaker;

        if (!fault_is_of_device(fault))
            continue;
        breaker_init(&breaker);
        assert_false(record(&breaker, &policy, fault, 0, 0));
        assert_int_equal(record(&breaker, &policy, fault, 0, 1), fault == FAULT_GPU_FAULT);
        assert_false(record(&breaker, &policy, fault, 0, 2));
        breaker_init(&breaker);
        (void)record(&breaker, &policy, fault, 0, 0);
        assert_false(record(&breaker, &policy, fault, 0, policy.window_ms));
        /* A worker's own breaker has no such rule. */
        policy = breaker_defaults();
        breaker_init(&breaker);
        for (int64_t k = 1; k <= 5; k++)
            assert_int_equal(record(&breaker, &policy, fault, 0, k), k == 5);
    }
}

/* A limit of 0 is none. */
static void limits_that_are_off_open_nothing(void **state)
{
    struct breaker_policy policy = {.window_ms = DAY_MS, .flap_window_ms = DAY_MS};
    struct breaker breaker;

    breaker_init(&breaker);
    for (int64_t i = 0; i < 1000; i++)
        assert_false(record(&breaker, &policy, FAULT_GPU_FAULT, HOUR_MS, i));
}

/* A failure is remembered while it is open or forced open, and changes nothing; what ran before may
 * still fail. */
static void a_failure_while_open_changes_nothing(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    for (int is_forced = 0; is_forced <= 1; is_forced++) {
        struct breaker breaker;
        struct breaker before;

        breaker_init(&breaker);
        (void)breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0);
        if (is_forced == 1)
            assert_true(breaker_force_open(&breaker));
        before = breaker;
        for (int64_t i = 0; i < 20; i++)
            assert_false(crash(&breaker, &policy, i));
        assert_int_equal(breaker.state, before.state);
        assert_int_equal(breaker.until_ms, before.until_ms);
        assert_int_equal(breaker.trip_count, before.trip_count);
        assert_int_equal(breaker.failure_count, 20);
    }
}

/* ---- its time ---- */

/* Half-open at its time and not a millisecond before; and only from open. */
static void it_is_half_open_when_its_time_is_over(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    for (uint32_t random = 0; random < 200000; random += 777) {
        struct breaker breaker;

        breaker_init(&breaker);
        assert_false(breaker_tick(&breaker, INT64_MAX));
        assert_true(breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 1000, random));
        assert_in_range(breaker.until_ms - 1000, 240 * SECOND_MS, 360 * SECOND_MS);
        assert_false(breaker_tick(&breaker, breaker.until_ms - 1));
        assert_true(breaker_tick(&breaker, breaker.until_ms));
        assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
        assert_int_equal(breaker.cause, BREAKER_BY_TIME_OVER);
        assert_false(breaker_tick(&breaker, INT64_MAX));
    }
}

/* 300 s, 600, 1200, 2400, 3600, 3600 … : doubled by each failed probe of any class, configuration
 * too, and never above the maximum, jitter included. */
static void a_failed_probe_doubles_the_open_time(void **state)
{
    static const int64_t SECONDS[] = {300, 600, 1200, 2400, 3600, 3600, 3600};
    struct breaker_policy policy = without_jitter(breaker_defaults());
    struct breaker_policy jitter = breaker_defaults();

    for (int fault = FAULT_CRASH; fault < FAULT_CLASS_COUNT; fault++) {
        struct breaker breaker;
        int64_t now_ms = 0;

        breaker_init(&breaker);
        (void)breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0);
        for (size_t i = 0; i < ARRAY_COUNT(SECONDS); i++) {
            const struct breaker_policy *used = i % 2 == 0 ? &jitter : &policy;

            if (i > 0)
                assert_in_range(breaker.until_ms - now_ms, SECONDS[i] * 800,
                                SECONDS[i] * 1200 < HOUR_MS ? SECONDS[i] * 1200 : HOUR_MS);
            assert_int_equal(breaker.open_time_ms, SECONDS[i] * SECOND_MS);
            assert_int_equal(breaker.trip_count, i + 1);
            now_ms = open_and_probe(&breaker, &policy, now_ms);
            assert_true(record(&breaker, used, (enum fault_class)fault, 0, now_ms));
            assert_int_equal(breaker.cause, BREAKER_BY_PROBE_FAILED);
            assert_int_equal(breaker.opened_by, BREAKER_BY_ATTEMPTS);
        }
    }
}

/* Whatever chance says, jitter takes no open time above the maximum. */
static void jitter_keeps_within_the_longest_open_time(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    policy.open_time_ms = 2 * HOUR_MS;
    for (uint32_t random = 0; random < 2 * HOUR_MS; random += 9973) {
        struct breaker breaker;

        breaker_init(&breaker);
        assert_true(breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, random));
        assert_in_range(breaker.until_ms, HOUR_MS * 8 / 10, HOUR_MS);
    }
}

/* A longer open time stays over a closing, until it has been stable for stable_after. */
static void only_stability_takes_the_open_time_back(void **state)
{
    struct breaker_policy policy = without_jitter(breaker_defaults());
    struct breaker breaker;
    int64_t now_ms = 0;

    breaker_init(&breaker);
    now_ms = open_and_probe(&breaker, &policy, 0);
    (void)crash(&breaker, &policy, now_ms);
    now_ms = open_and_probe(&breaker, &policy, now_ms);
    assert_true(breaker_on_probe_stable(&breaker, now_ms));
    assert_true(breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, now_ms, 0));
    assert_int_equal(breaker.until_ms - now_ms, 600 * SECOND_MS);
    now_ms = open_and_probe(&breaker, &policy, now_ms);
    assert_true(breaker_on_probe_stable(&breaker, now_ms));
    breaker_on_stable(&breaker);
    assert_true(breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, now_ms, 0));
    assert_int_equal(breaker.until_ms - now_ms, 300 * SECOND_MS);
}

/* ---- the probe ---- */

/* Exactly one start while half-open: after it none is allowed, until it has ended. */
static void half_open_allows_exactly_one_start(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;

    breaker_init(&breaker);
    (void)breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0);
    (void)breaker_tick(&breaker, breaker.until_ms);
    assert_true(breaker_allows_start(&breaker));
    breaker_on_start(&breaker);
    assert_false(breaker_allows_start(&breaker));
    assert_true(breaker.has_probe);
}

/* Closed allows any number of starts, and none of them is a probe. */
static void a_start_while_closed_is_no_probe(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;

    breaker_init(&breaker);
    for (int i = 0; i < 5; i++) {
        breaker_on_start(&breaker);
        assert_false(breaker.has_probe);
        assert_false(breaker_on_probe_stable(&breaker, i));
        assert_false(breaker_on_no_verdict(&breaker, &policy, i, 0));
        assert_int_equal(breaker.state, BREAKER_CLOSED);
    }
}

/* The three ends of a probe: closed, open for longer, open for as long. None leaves a probe. */
static void a_probe_ends_in_three_ways(void **state)
{
    struct breaker_policy policy = without_jitter(breaker_defaults());

    for (int end = 0; end < 3; end++) {
        struct breaker breaker;
        int64_t now_ms = 0;

        breaker_init(&breaker);
        now_ms = open_and_probe(&breaker, &policy, 0);
        if (end == 0)
            assert_true(breaker_on_probe_stable(&breaker, now_ms));
        else if (end == 1)
            assert_true(crash(&breaker, &policy, now_ms));
        else
            assert_true(breaker_on_no_verdict(&breaker, &policy, now_ms, 0));
        assert_false(breaker.has_probe);
        assert_int_equal(breaker.state, end == 0 ? BREAKER_CLOSED : BREAKER_OPEN);
        if (end > 0)
            assert_int_equal(breaker.until_ms - now_ms, (end == 1 ? 600 : 300) * SECOND_MS);
        assert_int_equal(breaker.cause, end == 0   ? BREAKER_BY_PROBE_GOOD
                                        : end == 1 ? BREAKER_BY_PROBE_FAILED
                                                   : BREAKER_BY_NO_VERDICT);
        /* A second verdict about the same probe changes nothing. */
        assert_false(breaker_on_probe_stable(&breaker, now_ms));
        assert_false(breaker_on_no_verdict(&breaker, &policy, now_ms, 0));
    }
}

/* A failure of what ran before, while nothing has been tried yet, opens again, but no probe has
 * failed: the time is not doubled. */
static void a_failure_before_the_probe_is_no_failed_probe(void **state)
{
    struct breaker_policy policy = without_jitter(breaker_device_defaults());
    struct breaker breaker;

    breaker_init(&breaker);
    (void)breaker_trip(&breaker, &policy, BREAKER_BY_WINDOW, 0, 0);
    (void)breaker_tick(&breaker, breaker.until_ms);
    assert_true(record(&breaker, &policy, FAULT_HANG, 0, HOUR_MS));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.cause, BREAKER_BY_NO_PROBE);
    assert_int_equal(breaker.until_ms - HOUR_MS, 300 * SECOND_MS);
}

/* A good probe forgives the short window, in the very millisecond too; the next failure is a first
 * one, and the day goes on counting. */
static void a_good_probe_forgives_the_window_but_not_the_day(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;
    int64_t now_ms = 0;

    breaker_init(&breaker);
    /* So slow a loop that they would all still be in the window. */
    for (int64_t i = 0; i < 5; i++)
        (void)record(&breaker, &policy, FAULT_CRASH, HOUR_MS, i);
    now_ms = open_and_probe(&breaker, &policy, 5) + policy.probe_stable_ms;
    assert_true(breaker_on_probe_stable(&breaker, now_ms));
    assert_int_equal(breaker_count(&breaker, &policy, now_ms), 0);
    for (int64_t i = 0; i < 4; i++) {
        assert_false(crash(&breaker, &policy, now_ms));
        assert_int_equal(breaker_count(&breaker, &policy, now_ms), i + 1);
    }
    /* The fifth of the window would be the tenth of the day as well; a day's half later it is only
     * that. */
    assert_true(crash(&breaker, &policy, now_ms + 12 * HOUR_MS));
    assert_int_equal(breaker.opened_by, BREAKER_BY_FLAPPING);
}

/* What opened for flapping and closed by a good probe does not open on the next failure. */
static void a_good_probe_after_flapping_forgives_the_day(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;
    int64_t now_ms = 0;

    policy.failures = 0;
    breaker_init(&breaker);
    for (int64_t i = 1; i <= 10; i++)
        assert_int_equal(crash(&breaker, &policy, i), i == 10);
    now_ms = open_and_probe(&breaker, &policy, 10);
    (void)crash(&breaker, &policy, now_ms);
    now_ms = open_and_probe(&breaker, &policy, now_ms) + policy.probe_stable_ms;
    assert_true(breaker_on_probe_stable(&breaker, now_ms));
    for (int64_t i = 1; i <= 10; i++)
        assert_int_equal(crash(&breaker, &policy, now_ms + i), i == 10);
}

/* Configuration faults end probes and are then forgotten: twenty of them make no flapping. */
static void configuration_faults_of_probes_do_not_count_later(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;
    int64_t now_ms = 0;

    breaker_init(&breaker);
    for (int i = 0; i < 20; i++) {
        now_ms = open_and_probe(&breaker, &policy, now_ms);
        assert_true(record(&breaker, &policy, FAULT_CONFIG, 0, now_ms));
        assert_int_equal(breaker_count(&breaker, &policy, now_ms), 0);
    }
    now_ms = open_and_probe(&breaker, &policy, now_ms);
    assert_true(breaker_on_probe_stable(&breaker, now_ms));
    assert_false(crash(&breaker, &policy, now_ms));
    assert_int_equal(breaker_count(&breaker, &policy, now_ms), 1);
}

/* ---- people, reboots, stores ---- */

/* From every state: forced open allows nothing, whatever happens, until a reset, which closes and
 * forgets every count. */
static void forced_open_ends_by_a_reset_alone(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    for (int from = 0; from < BREAKER_STATE_COUNT; from++) {
        struct breaker breaker;

        breaker_init(&breaker);
        if (from != BREAKER_CLOSED)
            (void)breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0);
        if (from == BREAKER_HALF_OPEN)
            (void)open_and_probe(&breaker, &policy, 0);
        assert_true(breaker_force_open(&breaker));
        assert_false(breaker_force_open(&breaker));
        assert_false(breaker_tick(&breaker, INT64_MAX));
        assert_false(breaker_half_open(&breaker, BREAKER_BY_REBOOT));
        assert_false(breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0));
        assert_false(breaker_on_probe_stable(&breaker, 0));
        assert_false(breaker_on_no_verdict(&breaker, &policy, 0, 0));
        assert_false(crash(&breaker, &policy, 0));
        breaker_on_stable(&breaker);
        assert_int_equal(breaker.state, BREAKER_FORCED_OPEN);
        assert_false(breaker_allows_start(&breaker));
        assert_true(breaker_reset(&breaker, 1));
        assert_int_equal(breaker.state, BREAKER_CLOSED);
        assert_true(breaker_allows_start(&breaker));
    }
}

/* A reset closes from every state with all counts at 0: it takes five more failures to open, and
 * the first open time again. It says whether there was anything to close. */
static void a_reset_forgets_every_count(void **state)
{
    struct breaker_policy policy = without_jitter(breaker_defaults());

    for (int from = 0; from < BREAKER_STATE_COUNT; from++) {
        struct breaker breaker;
        int64_t now_ms = 0;

        breaker_init(&breaker);
        for (int i = 0; i < 4; i++)
            (void)crash(&breaker, &policy, 0);
        if (from != BREAKER_CLOSED) {
            now_ms = open_and_probe(&breaker, &policy, 0);
            (void)crash(&breaker, &policy, now_ms);
        }
        if (from == BREAKER_HALF_OPEN)
            now_ms = open_and_probe(&breaker, &policy, now_ms);
        if (from == BREAKER_FORCED_OPEN)
            (void)breaker_force_open(&breaker);
        assert_int_equal(breaker.state, from);
        assert_int_equal(breaker_reset(&breaker, now_ms), from != BREAKER_CLOSED);
        assert_int_equal(breaker.trip_count, 0);
        assert_int_equal(breaker_count(&breaker, &policy, now_ms), 0);
        for (int64_t i = 1; i <= 5; i++)
            assert_int_equal(crash(&breaker, &policy, now_ms), i == 5);
        assert_int_equal(breaker.opened_by, BREAKER_BY_WINDOW);
        assert_int_equal(breaker.until_ms - now_ms, 300 * SECOND_MS);
    }
}

/* What comes out of the store counts as it did before, but what a reset or a closing has forgiven
 * does not: the store keeps the failures longer than the breaker does. */
static void remembered_failures_count_from_the_last_pardon(void **state)
{
    struct breaker_policy policy = breaker_defaults();

    for (int64_t forgiven = 0; forgiven <= 4; forgiven++) {
        struct breaker breaker;

        breaker_init(&breaker);
        breaker.window_from_ms = breaker.flap_from_ms = forgiven;
        for (int64_t i = 0; i < 4; i++) {
            const struct breaker_failure failure = {.at_ms = i, .fault = FAULT_CRASH};

            breaker_remember(&breaker, &failure);
        }
        assert_int_equal(breaker.state, BREAKER_CLOSED);
        assert_int_equal(breaker_count(&breaker, &policy, 10), 4 - forgiven);
        assert_int_equal(crash(&breaker, &policy, 10), forgiven == 0);
    }
}

/* A reboot makes half-open what was open, and nothing else. */
static void a_reboot_makes_open_half_open(void **state)
{
    struct breaker_policy policy = breaker_defaults();
    struct breaker breaker;

    breaker_init(&breaker);
    assert_false(breaker_half_open(&breaker, BREAKER_BY_REBOOT));
    (void)breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0);
    assert_true(breaker_half_open(&breaker, BREAKER_BY_REBOOT));
    assert_int_equal(breaker.cause, BREAKER_BY_REBOOT);
    assert_true(breaker_allows_start(&breaker));
    assert_false(breaker_half_open(&breaker, BREAKER_BY_REBOOT));
}

/* From every state, out of the store: a probe that was under way has no verdict, and opens again
 * for as long as before; a reboot makes half-open what is open; everything else is as it was. */
static void what_comes_out_of_the_store_goes_on(void **state)
{
    struct breaker_policy policy = without_jitter(breaker_defaults());

    for (int from = 0; from < BREAKER_STATE_COUNT; from++) {
        for (int is_probed = 0; is_probed <= (from == BREAKER_HALF_OPEN); is_probed++) {
            for (int is_new_boot = 0; is_new_boot <= 1; is_new_boot++) {
                struct breaker breaker;
                enum breaker_state expected = (enum breaker_state)from;

                breaker_init(&breaker);
                if (from != BREAKER_CLOSED)
                    (void)breaker_trip(&breaker, &policy, BREAKER_BY_ATTEMPTS, 0, 0);
                if (from == BREAKER_HALF_OPEN)
                    (void)breaker_tick(&breaker, breaker.until_ms);
                if (is_probed == 1)
                    breaker_on_start(&breaker);
                if (from == BREAKER_FORCED_OPEN)
                    (void)breaker_force_open(&breaker);
                if (is_probed == 1)
                    expected = BREAKER_OPEN;
                if (is_new_boot == 1 && expected == BREAKER_OPEN)
                    expected = BREAKER_HALF_OPEN;
                assert_int_equal(
                    breaker_on_restored(&breaker, &policy, is_new_boot == 1, HOUR_MS, 0),
                    expected != (enum breaker_state)from);
                assert_int_equal(breaker.state, expected);
                assert_false(breaker.has_probe);
                if (is_probed == 1)
                    assert_int_equal(breaker.until_ms - HOUR_MS, 300 * SECOND_MS);
            }
        }
    }
}

/* Every word is there once, and is read back as what it was written for. */
static void every_word_is_read_back(void **state)
{
    enum breaker_state found = BREAKER_FORCED_OPEN;

    for (int i = 0; i < BREAKER_STATE_COUNT; i++) {
        assert_true(breaker_state_of_name(breaker_state_name((enum breaker_state)i), &found));
        assert_int_equal(found, i);
    }
    for (int i = 0; i < BREAKER_CAUSE_COUNT; i++) {
        enum breaker_cause cause = (enum breaker_cause)i;

        assert_int_equal(breaker_cause_of_name(breaker_cause_name(cause)), cause);
        assert_int_equal(strlen(breaker_cause_meaning(cause)) == 0, cause == BREAKER_BY_NONE);
    }
    found = BREAKER_FORCED_OPEN;
    assert_false(breaker_state_of_name("ajar", &found));
    assert_int_equal(found, BREAKER_FORCED_OPEN);
    assert_int_equal(breaker_cause_of_name("the weather"), BREAKER_BY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_failures_in_the_window_open_it),
        cmocka_unit_test(the_window_ends_to_the_millisecond),
        cmocka_unit_test(failures_that_are_far_apart_open_nothing),
        cmocka_unit_test(a_slow_crash_loop_is_seen_like_a_fast_one),
        cmocka_unit_test(only_the_last_rounds_stretch_the_window),
        cmocka_unit_test(ten_failures_in_a_day_are_flapping),
        cmocka_unit_test(a_second_gpu_fault_opens_a_device),
        cmocka_unit_test(limits_that_are_off_open_nothing),
        cmocka_unit_test(a_failure_while_open_changes_nothing),
        cmocka_unit_test(it_is_half_open_when_its_time_is_over),
        cmocka_unit_test(a_failed_probe_doubles_the_open_time),
        cmocka_unit_test(jitter_keeps_within_the_longest_open_time),
        cmocka_unit_test(only_stability_takes_the_open_time_back),
        cmocka_unit_test(half_open_allows_exactly_one_start),
        cmocka_unit_test(a_start_while_closed_is_no_probe),
        cmocka_unit_test(a_probe_ends_in_three_ways),
        cmocka_unit_test(a_failure_before_the_probe_is_no_failed_probe),
        cmocka_unit_test(a_good_probe_forgives_the_window_but_not_the_day),
        cmocka_unit_test(a_good_probe_after_flapping_forgives_the_day),
        cmocka_unit_test(configuration_faults_of_probes_do_not_count_later),
        cmocka_unit_test(forced_open_ends_by_a_reset_alone),
        cmocka_unit_test(a_reset_forgets_every_count),
        cmocka_unit_test(remembered_failures_count_from_the_last_pardon),
        cmocka_unit_test(a_reboot_makes_open_half_open),
        cmocka_unit_test(what_comes_out_of_the_store_goes_on),
        cmocka_unit_test(every_word_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

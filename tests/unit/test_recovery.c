/* What follows the end of a worker's process: the restart policy, the breaker, holds and faults
 * that no restart mends, together. */
#include "supervisor/recovery.h"

#include "common/mem.h"
#include "tests/unit/recovery_defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { STARTS_MAX_COUNT = 64 };

/* One worker on a clock of its own. */
struct scene {
    struct recovery recovery;
    struct recovery_policy policy;
    int64_t now_ms;
    uint32_t random;
    int64_t starts_ms[STARTS_MAX_COUNT];
    size_t start_count;
};

static struct scene scene_new(void)
{
    struct scene scene = {.policy = recovery_defaults()};

    recovery_init(&scene.recovery);
    return scene;
}

static struct scene scene_without_jitter(void)
{
    struct scene scene = scene_new();

    scene.policy.restart.jitter_pct = 0;
    scene.policy.breaker.jitter_pct = 0;
    return scene;
}

static uint32_t scene_random(struct scene *scene)
{
    scene->random = scene->random * 1664525U + 1013904223U;
    return scene->random;
}

static void scene_start(struct scene *scene, enum recovery_asker asker)
{
    assert_true(recovery_allows(&scene->recovery, asker));
    recovery_on_start(&scene->recovery, asker);
    assert_true(scene->start_count < STARTS_MAX_COUNT);
    scene->starts_ms[scene->start_count++] = scene->now_ms;
}

/* It ends by FAULT, AFTER_MS from its start; LOAD_MS of that it loaded, and then it was ready. */
static void scene_fails(struct scene *scene, enum fault_class fault, int64_t load_ms,
                        int64_t after_ms)
{
    if (after_ms > load_ms)
        recovery_on_ready(&scene->recovery, scene->now_ms + load_ms);
    scene->now_ms += after_ms;
    recovery_tick(&scene->recovery, &scene->policy, scene->now_ms);
    recovery_on_fault(&scene->recovery, &scene->policy, fault, load_ms, scene->now_ms,
                      scene_random(scene));
}

/* Restarts that are due are made, each ends in the same way, until nothing is due. */
static void scene_loops(struct scene *scene, enum fault_class fault, int64_t load_ms,
                        int64_t after_ms)
{
    scene_fails(scene, fault, load_ms, after_ms);
    while (recovery_rest(&scene->recovery) == RECOVERY_WAITING) {
        scene->now_ms = recovery_next_ms(&scene->recovery, &scene->policy);
        scene_start(scene, RECOVERY_OURSELVES);
        scene_fails(scene, fault, load_ms, after_ms);
    }
}

/* Its breaker's time passes. */
static void scene_to_half_open(struct scene *scene)
{
    assert_int_equal(scene->recovery.breaker.state, BREAKER_OPEN);
    scene->now_ms = recovery_next_ms(&scene->recovery, &scene->policy);
    assert_int_equal(scene->now_ms, scene->recovery.breaker.until_ms);
    recovery_tick(&scene->recovery, &scene->policy, scene->now_ms);
    assert_int_equal(scene->recovery.breaker.state, BREAKER_HALF_OPEN);
}

/* Opened by a crash loop, its time over. */
static struct scene scene_half_open(void)
{
    struct scene scene = scene_without_jitter();

    scene_start(&scene, RECOVERY_PERSON);
    scene_loops(&scene, FAULT_CRASH, 0, 0);
    scene_to_half_open(&scene);
    return scene;
}

/* ---- numbers of the default configuration ---- */

/* A worker that dies at once is started at 0, 1, 3 and 7 s, and then its breaker is open. */
static void four_starts_and_then_open(void **state)
{
    static const int64_t STARTS_MS[] = {0, 1000, 3000, 7000};
    struct scene scene = scene_without_jitter();

    scene_start(&scene, RECOVERY_PERSON);
    scene_loops(&scene, FAULT_CRASH, 0, 0);
    assert_int_equal(scene.start_count, ARRAY_COUNT(STARTS_MS));
    for (size_t i = 0; i < ARRAY_COUNT(STARTS_MS); i++)
        assert_int_equal(scene.starts_ms[i], STARTS_MS[i]);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
    assert_int_equal(scene.recovery.breaker.cause, BREAKER_BY_ATTEMPTS);
    assert_int_equal(scene.recovery.restart.attempt, 3);
    assert_int_equal(scene.recovery.restart.total, 3);
}

/* With jitter, whatever chance says: 20 % either way of each wait. */
static void jitter_moves_the_starts_a_little(void **state)
{
    for (uint32_t seed = 0; seed < 5000; seed++) {
        struct scene scene = scene_new();

        scene.random = seed;
        scene_start(&scene, RECOVERY_PERSON);
        scene_loops(&scene, FAULT_CRASH, 0, 0);
        assert_int_equal(scene.start_count, 4);
        assert_in_range(scene.starts_ms[1], 800, 1200);
        assert_in_range(scene.starts_ms[2], 2400, 3600);
        assert_in_range(scene.starts_ms[3], 5600, 8400);
    }
}

/* Slow loops, whatever chance says. With no limit of attempts, one that dies 70 s after each start
 * is opened by the window, and so is one that dies after 200 s of loading, by the stretched one. At
 * the defaults both run out of attempts before. */
static void slow_crash_loops_open_too(void **state)
{
    static const struct {
        int64_t load_ms;
        int64_t after_ms;
    } LOOPS[] = {
        {0, 70 * SECOND_MS},
        {70 * SECOND_MS, 70 * SECOND_MS},
        {10 * SECOND_MS, 70 * SECOND_MS},
        {200 * SECOND_MS, 200 * SECOND_MS},
        {10 * MINUTE_MS, 10 * MINUTE_MS},
    };

    for (size_t i = 0; i < ARRAY_COUNT(LOOPS); i++) {
        for (uint32_t seed = 0; seed < 1000; seed++) {
            for (int has_limit = 0; has_limit <= 1; has_limit++) {
                struct scene scene = scene_new();

                scene.random = seed;
                if (has_limit == 0)
                    scene.policy.restart.max_attempts = 0;
                scene_start(&scene, RECOVERY_PERSON);
                scene_loops(&scene, FAULT_CRASH, LOOPS[i].load_ms, LOOPS[i].after_ms);
                assert_int_equal(scene.start_count, has_limit == 0 ? 5 : 4);
                assert_int_equal(scene.recovery.breaker.cause,
                                 has_limit == 0 ? BREAKER_BY_WINDOW : BREAKER_BY_ATTEMPTS);
            }
        }
    }
}

/* Long waits stretch the window as long loads do: a worker that dies at once and waits 100 s each
 * time fails five times in 400 s, and opens. */
static void long_waits_stretch_the_window(void **state)
{
    struct scene scene = scene_without_jitter();

    scene.policy.restart.max_attempts = 0;
    scene.policy.restart.base_ms = scene.policy.restart.max_ms = 100 * SECOND_MS;
    scene_start(&scene, RECOVERY_PERSON);
    scene_loops(&scene, FAULT_CRASH, 0, 0);
    assert_int_equal(scene.start_count, 5);
    assert_int_equal(scene.recovery.breaker.cause, BREAKER_BY_WINDOW);
}

/* A person's start begins a new incident, with all its attempts and the base delay, but the window
 * remembers: of five failures over two starts by a person, the fifth opens. */
static void the_window_reaches_over_a_persons_start(void **state)
{
    struct scene scene = scene_without_jitter();

    scene_start(&scene, RECOVERY_PERSON);
    for (int i = 0; i < 3; i++) {
        scene_fails(&scene, FAULT_CRASH, 0, 0);
        if (i < 2) {
            scene.now_ms = scene.recovery.due_ms;
            scene_start(&scene, RECOVERY_OURSELVES);
        }
    }
    assert_int_equal(scene.recovery.restart.attempt, 2);
    scene_start(&scene, RECOVERY_PERSON);
    assert_int_equal(scene.recovery.restart.attempt, 0);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
    assert_int_equal(scene.recovery.delay_ms, SECOND_MS);
    scene.now_ms = scene.recovery.due_ms;
    scene_start(&scene, RECOVERY_OURSELVES);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
    assert_int_equal(scene.recovery.breaker.opened_by, BREAKER_BY_WINDOW);
    assert_int_equal(scene.recovery.restart.total, 3);
}

/* Ten failures in 24 hours, each forgiven by a long time of readiness: flapping. */
static void ten_failures_in_a_day_open(void **state)
{
    struct scene scene = scene_new();

    scene_start(&scene, RECOVERY_PERSON);
    for (int i = 1; i < 10; i++) {
        scene_fails(&scene, FAULT_HANG, 0, 2 * HOUR_MS);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
        assert_in_range(scene.recovery.delay_ms, 800, 1200);
        scene.now_ms = scene.recovery.due_ms;
        scene_start(&scene, RECOVERY_OURSELVES);
        assert_int_equal(scene.recovery.restart.attempt, 1);
    }
    scene_fails(&scene, FAULT_HANG, 0, 2 * HOUR_MS);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
    assert_int_equal(scene.recovery.breaker.opened_by, BREAKER_BY_FLAPPING);
}

/* ---- incidents ---- */

/* An incident ends when it has been ready for stable_after without a break, counted from ready; one
 * millisecond less, and it goes on. The window of its breaker then counts without the old waits. */
static void stability_counts_from_ready(void **state)
{
    for (int64_t short_ms = 0; short_ms <= 1; short_ms++) {
        struct scene scene = scene_without_jitter();
        int64_t stable_ms = scene.policy.restart.stable_after_ms;

        scene_start(&scene, RECOVERY_REQUEST);
        scene_fails(&scene, FAULT_CRASH, 0, 0);
        scene.now_ms = scene.recovery.due_ms;
        scene_start(&scene, RECOVERY_OURSELVES);
        recovery_on_ready(&scene.recovery, scene.now_ms + HOUR_MS);
        assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy),
                         scene.now_ms + HOUR_MS + stable_ms);
        scene.now_ms += HOUR_MS + stable_ms - short_ms;
        recovery_tick(&scene.recovery, &scene.policy, scene.now_ms);
        assert_int_equal(scene.recovery.restart.is_in_incident, short_ms == 1);
        assert_int_equal(scene.recovery.restart.attempt, short_ms);
        assert_int_equal(scene.recovery.delay_ms, short_ms * SECOND_MS);
        assert_int_equal(scene.recovery.restart.total, 1);
    }
}

/* Two times of readiness with a break between them are not one. */
static void stability_is_without_a_break(void **state)
{
    struct scene scene = scene_without_jitter();

    scene_start(&scene, RECOVERY_REQUEST);
    for (int64_t i = 1; i <= 3; i++) {
        scene_fails(&scene, FAULT_CRASH, 0, scene.policy.restart.stable_after_ms - 1);
        assert_int_equal(scene.recovery.restart.attempt, i - 1);
        assert_int_equal(scene.recovery.delay_ms, SECOND_MS << (i - 1));
        scene.now_ms = scene.recovery.due_ms;
        scene_start(&scene, RECOVERY_OURSELVES);
    }
    scene_fails(&scene, FAULT_CRASH, 0, scene.policy.restart.stable_after_ms - 1);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
}

/* A worker on demand that idleness stops and requests start again, all day long, has made no
 * restart by that: its next failure is met as the second of the incident. */
static void a_start_after_a_stop_is_no_restart(void **state)
{
    struct scene scene = scene_without_jitter();

    scene_start(&scene, RECOVERY_REQUEST);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    scene.now_ms = scene.recovery.due_ms;
    scene_start(&scene, RECOVERY_OURSELVES);
    for (int i = 0; i < 20; i++) {
        recovery_on_ready(&scene.recovery, scene.now_ms);
        scene.now_ms += MINUTE_MS;
        recovery_on_end(&scene.recovery, &scene.policy, scene.now_ms, 0);
        scene_start(&scene, RECOVERY_REQUEST);
    }
    assert_int_equal(scene.recovery.restart.attempt, 1);
    assert_int_equal(scene.recovery.restart.total, 1);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
    assert_int_equal(scene.recovery.delay_ms, 2 * SECOND_MS);
}

/* A worker that only requests want lapses after its wait; the request that starts it makes the
 * restart that was due, so that a crash loop is not forgiven by it. */
static void a_lapsed_restart_counts_when_it_is_made(void **state)
{
    struct scene scene = scene_without_jitter();

    for (int64_t i = 0; i < 4; i++) {
        scene_start(&scene, RECOVERY_REQUEST);
        assert_int_equal(scene.recovery.restart.attempt, i);
        scene_fails(&scene, FAULT_CRASH, 0, 0);
        scene.now_ms = scene.recovery.due_ms;
        recovery_on_lapse(&scene.recovery);
        assert_int_equal(recovery_rest(&scene.recovery), i < 3 ? RECOVERY_DOWN : RECOVERY_OPEN);
    }
}

/* A request never shortens a back-off; a person may, and the restart itself. */
static void a_request_waits_for_the_restart(void **state)
{
    struct scene scene = scene_new();

    scene_start(&scene, RECOVERY_REQUEST);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    assert_false(recovery_allows(&scene.recovery, RECOVERY_REQUEST));
    assert_true(recovery_allows(&scene.recovery, RECOVERY_OURSELVES));
    assert_true(recovery_allows(&scene.recovery, RECOVERY_PERSON));
    assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), scene.recovery.due_ms);
}

/* Exits that were asked for, however many, count nowhere and open nothing. */
static void ends_that_were_asked_for_open_nothing(void **state)
{
    struct scene scene = scene_new();

    for (int i = 0; i < 50; i++) {
        scene_start(&scene, i % 2 == 0 ? RECOVERY_REQUEST : RECOVERY_PERSON);
        if (i % 3 == 0)
            recovery_on_ready(&scene.recovery, scene.now_ms);
        recovery_on_end(&scene.recovery, &scene.policy, ++scene.now_ms, 0);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_DOWN);
        assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), INT64_MAX);
    }
    assert_int_equal(scene.recovery.restart.total, 0);
    assert_int_equal(scene.recovery.breaker.failure_count, 0);
}

/* ---- faults that no restart mends ---- */

/* A configuration fault is never retried and counts nowhere; requests do not start it again, a
 * person does, and so does a changed file. */
static void a_configuration_fault_is_never_retried(void **state)
{
    struct scene scene = scene_new();

    for (int i = 0; i < 20; i++) {
        scene_start(&scene, i % 2 == 0 ? RECOVERY_PERSON : RECOVERY_REQUEST);
        scene_fails(&scene, FAULT_CONFIG, 0, 0);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_FAILED);
        assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), INT64_MAX);
        assert_false(recovery_allows(&scene.recovery, RECOVERY_REQUEST));
        assert_false(recovery_allows(&scene.recovery, RECOVERY_OURSELVES));
        if (i % 2 == 0) {
            recovery_on_model_changed(&scene.recovery);
            assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_DOWN);
        }
    }
    assert_int_equal(scene.recovery.breaker.failure_count, 0);
    assert_int_equal(scene.recovery.breaker.state, BREAKER_CLOSED);
}

/* What a person's start forgives is forgiven when it is asked for, though the device may let it
 * wait for long: it has not failed any more, and no restart is due beside it. */
static void a_persons_start_forgives_before_it_is_made(void **state)
{
    static const enum fault_class FAULTS[] = {FAULT_CONFIG, FAULT_CRASH, FAULT_OOM_HOST};

    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++) {
        struct scene scene = scene_new();

        scene_start(&scene, RECOVERY_REQUEST);
        scene_fails(&scene, FAULTS[i], 0, 0);
        recovery_on_person(&scene.recovery);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_DOWN);
        assert_false(scene.recovery.is_reduced);
        assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), INT64_MAX);
        scene_start(&scene, RECOVERY_OURSELVES);
        assert_int_equal(scene.recovery.restart.attempt, 0);
        assert_int_equal(scene.recovery.restart.total, 0);
    }
}

/* A changed file begins a new incident, as a person's start does: the restarts that the old one has
 * used up are not missing. */
static void a_changed_file_begins_a_new_incident(void **state)
{
    struct scene scene = scene_without_jitter();

    scene_start(&scene, RECOVERY_REQUEST);
    for (int i = 0; i < 3; i++) {
        scene_fails(&scene, FAULT_CRASH, 0, 0);
        scene.now_ms = scene.recovery.due_ms;
        scene_start(&scene, RECOVERY_OURSELVES);
    }
    scene_fails(&scene, FAULT_CONFIG, 0, HOUR_MS);
    recovery_on_model_changed(&scene.recovery);
    scene_start(&scene, RECOVERY_REQUEST);
    assert_int_equal(scene.recovery.restart.attempt, 0);
    assert_int_equal(scene.recovery.restart.total, 3);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
    assert_int_equal(scene.recovery.delay_ms, SECOND_MS);
}

/* Out of memory is retried once with less, over other faults in between; the second time it has
 * failed. What helps a failed worker also gives it its whole context back. */
static void out_of_memory_is_retried_once_with_less(void **state)
{
    static const enum fault_class FAULTS[] = {FAULT_OOM_HOST, FAULT_OOM_DEVICE};

    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++) {
        for (int between = 0; between <= 1; between++) {
            struct scene scene = scene_new();

            scene_start(&scene, RECOVERY_REQUEST);
            scene_fails(&scene, FAULTS[i], 0, 0);
            assert_true(scene.recovery.is_reduced);
            assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
            scene_start(&scene, RECOVERY_OURSELVES);
            if (between == 1) {
                scene_fails(&scene, FAULT_CRASH, 0, HOUR_MS);
                assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
                scene_start(&scene, RECOVERY_OURSELVES);
            }
            assert_true(scene.recovery.is_reduced);
            scene_fails(&scene, FAULTS[1 - i], 0, 0);
            assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_FAILED);
            assert_false(recovery_allows(&scene.recovery, RECOVERY_REQUEST));
            if (between == 1)
                scene_start(&scene, RECOVERY_PERSON);
            else
                recovery_on_model_changed(&scene.recovery);
            assert_false(scene.recovery.is_reduced);
            assert_false(scene.recovery.has_failed_for_good);
        }
    }
}

/* ---- the probe ---- */

/* Half-open, exactly one start by whoever comes first; a failure of any class, configuration too,
 * opens again for twice as long and leaves the worker open, not failed. */
static void a_failed_probe_opens_for_twice_as_long(void **state)
{
    for (int fault = FAULT_CRASH; fault < FAULT_CLASS_COUNT; fault++) {
        struct scene scene = scene_half_open();
        int64_t total = scene.recovery.restart.total;

        for (int64_t i = 1; i <= 3; i++) {
            scene_start(&scene, (enum recovery_asker)(i % 3));
            for (int asker = 0; asker < 3; asker++)
                assert_false(recovery_allows(&scene.recovery, (enum recovery_asker)asker));
            scene_fails(&scene, (enum fault_class)fault, 0, 0);
            assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
            assert_false(scene.recovery.is_waiting);
            assert_int_equal(scene.recovery.breaker.until_ms - scene.now_ms, (300 * SECOND_MS)
                                                                                 << i);
            scene_to_half_open(&scene);
        }
        assert_true(scene.recovery.restart.total > total);
    }
}

/* Ready for a minute closes it, one millisecond less does not; attempts are 0 then, and a failure
 * after that is answered by a first restart. */
static void a_stable_probe_closes(void **state)
{
    struct scene scene = scene_half_open();
    int64_t stable_ms = scene.policy.breaker.probe_stable_ms;

    scene_start(&scene, RECOVERY_OURSELVES);
    scene.now_ms += HOUR_MS;
    recovery_tick(&scene.recovery, &scene.policy, scene.now_ms);
    assert_int_equal(scene.recovery.breaker.state, BREAKER_HALF_OPEN);
    recovery_on_ready(&scene.recovery, scene.now_ms);
    assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), scene.now_ms + stable_ms);
    recovery_tick(&scene.recovery, &scene.policy, scene.now_ms + stable_ms - 1);
    assert_int_equal(scene.recovery.breaker.state, BREAKER_HALF_OPEN);
    recovery_tick(&scene.recovery, &scene.policy, scene.now_ms + stable_ms);
    assert_int_equal(scene.recovery.breaker.state, BREAKER_CLOSED);
    assert_int_equal(scene.recovery.restart.attempt, 0);
    assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy),
                     scene.now_ms + scene.policy.restart.stable_after_ms);
    scene.now_ms += stable_ms;
    recovery_on_fault(&scene.recovery, &scene.policy, FAULT_CRASH, 0, scene.now_ms, 0);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_WAITING);
    assert_int_equal(scene.recovery.delay_ms, SECOND_MS);
}

/* The open time is back at its first value only after stable_after. */
static void stability_takes_the_open_time_back(void **state)
{
    for (int64_t short_ms = 0; short_ms <= 1; short_ms++) {
        struct scene scene = scene_half_open();

        scene_start(&scene, RECOVERY_OURSELVES);
        scene_fails(&scene, FAULT_CRASH, 0, 0);
        scene_to_half_open(&scene);
        scene_start(&scene, RECOVERY_OURSELVES);
        recovery_on_ready(&scene.recovery, scene.now_ms);
        scene.now_ms += scene.policy.breaker.probe_stable_ms;
        recovery_tick(&scene.recovery, &scene.policy, scene.now_ms);
        scene.now_ms +=
            scene.policy.restart.stable_after_ms - scene.policy.breaker.probe_stable_ms - short_ms;
        recovery_tick(&scene.recovery, &scene.policy, scene.now_ms);
        scene_loops(&scene, FAULT_CRASH, 0, 0);
        assert_int_equal(scene.recovery.breaker.until_ms - scene.now_ms,
                         (short_ms == 0 ? 300 : 600) * SECOND_MS);
    }
}

/* A probe that is cut short (stopped, evicted, held, the supervisor gone), while it loads or is
 * ready: open again, for as long as before, and after that the next one may be made. */
static void a_probe_without_verdict_leaves_nothing_stuck(void **state)
{
    for (int is_ready = 0; is_ready <= 1; is_ready++) {
        for (int is_held = 0; is_held <= 1; is_held++) {
            struct scene scene = scene_half_open();

            for (int i = 0; i < 3; i++) {
                scene_start(&scene, RECOVERY_REQUEST);
                if (is_ready == 1)
                    recovery_on_ready(&scene.recovery, scene.now_ms);
                if (is_held == 1)
                    recovery_hold(&scene.recovery);
                recovery_on_end(&scene.recovery, &scene.policy, scene.now_ms, 0);
                assert_int_equal(recovery_rest(&scene.recovery),
                                 is_held == 1 ? RECOVERY_HELD : RECOVERY_OPEN);
                recovery_release(&scene.recovery);
                assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
                assert_int_equal(scene.recovery.breaker.until_ms - scene.now_ms, 300 * SECOND_MS);
                scene_to_half_open(&scene);
                assert_true(recovery_allows(&scene.recovery, RECOVERY_REQUEST));
            }
        }
    }
}

/* ---- a supervisor that was killed ---- */

/* What the store keeps, as stored.c brings it back; the process is gone. */
static void scene_new_supervisor(struct scene *scene, bool is_new_boot)
{
    const struct recovery stored = scene->recovery;

    recovery_init(&scene->recovery);
    scene->recovery.restart = stored.restart;
    scene->recovery.owes_restart = stored.owes_restart;
    scene->recovery.is_waiting = stored.is_waiting;
    scene->recovery.due_ms = stored.due_ms;
    scene->recovery.breaker = stored.breaker;
    (void)breaker_on_restored(&scene->recovery.breaker, &scene->policy.breaker, is_new_boot,
                              scene->now_ms, 0);
}

/* It forgives no crash loop and forgets no due restart: a worker that was found waiting still waits
 * for the same moment, and its next start is the restart that it owes. A process that is gone
 * without a written exit is no failure. */
static void a_new_supervisor_goes_on_where_the_old_one_was(void **state)
{
    for (int was_running = 0; was_running <= 1; was_running++) {
        struct scene scene = scene_without_jitter();
        int64_t due_ms = 0;

        scene_start(&scene, RECOVERY_REQUEST);
        scene_fails(&scene, FAULT_CRASH, 0, 0);
        due_ms = scene.recovery.due_ms;
        if (was_running == 1) {
            scene_start(&scene, RECOVERY_OURSELVES);
            recovery_on_ready(&scene.recovery, scene.now_ms);
        }
        scene_new_supervisor(&scene, false);
        assert_int_equal(recovery_rest(&scene.recovery),
                         was_running == 1 ? RECOVERY_DOWN : RECOVERY_WAITING);
        assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy),
                         was_running == 1 ? INT64_MAX : due_ms);
        scene_start(&scene, RECOVERY_OURSELVES);
        assert_int_equal(scene.recovery.restart.attempt, 1);
        assert_int_equal(scene.recovery.breaker.failure_count, 1);
    }
}

/* Whatever a probe had come to, a new supervisor finds none of it: open again, not for longer.
 * After a reboot the next probe may be made at once. */
static void a_probe_ends_with_its_supervisor(void **state)
{
    for (int is_new_boot = 0; is_new_boot <= 1; is_new_boot++) {
        struct scene scene = scene_half_open();

        scene_start(&scene, RECOVERY_OURSELVES);
        recovery_on_ready(&scene.recovery, scene.now_ms);
        scene_new_supervisor(&scene, is_new_boot == 1);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
        assert_int_equal(recovery_allows(&scene.recovery, RECOVERY_OURSELVES), is_new_boot);
        assert_int_equal(scene.recovery.breaker.until_ms - scene.now_ms, 300 * SECOND_MS);
        recovery_tick(&scene.recovery, &scene.policy, scene.now_ms + 300 * SECOND_MS);
        assert_true(recovery_allows(&scene.recovery, RECOVERY_OURSELVES));
    }
}

/* ---- people ---- */

/* Held, nobody starts it, from whatever way it rested in before; released, it rests as it would
 * have without the hold, but a restart that was due is not: who wants it up starts it. */
static void a_hold_covers_every_way_to_rest(void **state)
{
    for (int rest = RECOVERY_DOWN; rest <= RECOVERY_FAILED; rest++) {
        struct scene scene = scene_without_jitter();

        scene_start(&scene, RECOVERY_REQUEST);
        switch ((enum recovery_rest)rest) {
        case RECOVERY_WAITING:
            scene_fails(&scene, FAULT_CRASH, 0, 0);
            break;
        case RECOVERY_OPEN:
            scene_loops(&scene, FAULT_CRASH, 0, 0);
            break;
        case RECOVERY_FAILED:
            scene_fails(&scene, FAULT_CONFIG, 0, 0);
            break;
        case RECOVERY_DOWN:
        case RECOVERY_HELD:
            recovery_on_end(&scene.recovery, &scene.policy, scene.now_ms, 0);
            break;
        }
        recovery_hold(&scene.recovery);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_HELD);
        for (int asker = 0; asker < 3; asker++)
            assert_false(recovery_allows(&scene.recovery, (enum recovery_asker)asker));
        recovery_release(&scene.recovery);
        assert_int_equal(recovery_rest(&scene.recovery),
                         rest == RECOVERY_WAITING || rest == RECOVERY_HELD ? RECOVERY_DOWN : rest);
    }
}

/* A worker that hangs while it is stopped for a hold has failed, and yet no restart is due, neither
 * then nor when it is released. */
static void a_fault_while_held_makes_no_restart_due(void **state)
{
    struct scene scene = scene_new();

    scene_start(&scene, RECOVERY_REQUEST);
    recovery_on_ready(&scene.recovery, 0);
    recovery_hold(&scene.recovery);
    scene_fails(&scene, FAULT_HANG, 0, 0);
    assert_int_equal(scene.recovery.breaker.failure_count, 1);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_HELD);
    assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), INT64_MAX);
    recovery_release(&scene.recovery);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_DOWN);
}

/* Forced open lets the running process run, and when that ends, however it does, nothing starts
 * until a reset. */
static void forced_open_lets_the_running_one_run(void **state)
{
    for (int fault = FAULT_NONE; fault < FAULT_CLASS_COUNT; fault++) {
        struct scene scene = scene_new();

        scene_start(&scene, RECOVERY_REQUEST);
        recovery_on_ready(&scene.recovery, 0);
        recovery_force_open(&scene.recovery);
        recovery_tick(&scene.recovery, &scene.policy, HOUR_MS);
        if (fault == FAULT_NONE)
            recovery_on_end(&scene.recovery, &scene.policy, HOUR_MS, 0);
        else
            recovery_on_fault(&scene.recovery, &scene.policy, (enum fault_class)fault, 0, HOUR_MS,
                              0);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
        recovery_tick(&scene.recovery, &scene.policy, DAY_MS);
        for (int asker = 0; asker < 3; asker++)
            assert_false(recovery_allows(&scene.recovery, (enum recovery_asker)asker));
        assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), INT64_MAX);
        recovery_reset(&scene.recovery, DAY_MS);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_DOWN);
    }
}

/* A restart that was due when it was forced open is not due after the reset. */
static void forced_open_takes_the_restart_back(void **state)
{
    struct scene scene = scene_new();

    scene_start(&scene, RECOVERY_REQUEST);
    scene_fails(&scene, FAULT_CRASH, 0, 0);
    recovery_force_open(&scene.recovery);
    assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_OPEN);
    assert_int_equal(recovery_next_ms(&scene.recovery, &scene.policy), INT64_MAX);
}

/* A failed worker that is forced open is not even started by a person. */
static void forced_open_comes_before_a_persons_start(void **state)
{
    struct scene scene = scene_new();

    scene_start(&scene, RECOVERY_REQUEST);
    scene_fails(&scene, FAULT_CONFIG, 0, 0);
    recovery_force_open(&scene.recovery);
    assert_false(recovery_allows(&scene.recovery, RECOVERY_PERSON));
    recovery_reset(&scene.recovery, scene.now_ms);
    assert_true(recovery_allows(&scene.recovery, RECOVERY_PERSON));
}

/* A reset from every way to rest: closed, counts 0, startable by anybody, unless it is held. The
 * next incident is a first one, with all attempts. */
static void a_reset_begins_anew(void **state)
{
    for (int way = 0; way < 4; way++) {
        static const enum fault_class FAULTS[] = {FAULT_CRASH, FAULT_CONFIG, FAULT_OOM_HOST,
                                                  FAULT_HANG};
        struct scene scene = scene_without_jitter();

        scene_start(&scene, RECOVERY_REQUEST);
        scene_loops(&scene, FAULTS[way], 0, 0);
        if (way == 3)
            recovery_force_open(&scene.recovery);
        recovery_reset(&scene.recovery, scene.now_ms);
        assert_int_equal(recovery_rest(&scene.recovery), RECOVERY_DOWN);
        assert_int_equal(scene.recovery.restart.total, 0);
        assert_int_equal(scene.recovery.restart.attempt, 0);
        assert_false(scene.recovery.restart.is_in_incident);
        assert_false(scene.recovery.is_reduced);
        assert_int_equal(scene.recovery.fault, FAULT_NONE);
        scene_start(&scene, RECOVERY_REQUEST);
        assert_int_equal(scene.recovery.restart.total, 0);
        scene.start_count = 0;
        scene_loops(&scene, FAULT_CRASH, 0, 0);
        assert_int_equal(scene.start_count, 3);
        assert_int_equal(scene.recovery.breaker.until_ms - scene.now_ms, 300 * SECOND_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_starts_and_then_open),
        cmocka_unit_test(jitter_moves_the_starts_a_little),
        cmocka_unit_test(slow_crash_loops_open_too),
        cmocka_unit_test(long_waits_stretch_the_window),
        cmocka_unit_test(the_window_reaches_over_a_persons_start),
        cmocka_unit_test(ten_failures_in_a_day_open),
        cmocka_unit_test(stability_counts_from_ready),
        cmocka_unit_test(stability_is_without_a_break),
        cmocka_unit_test(a_start_after_a_stop_is_no_restart),
        cmocka_unit_test(a_lapsed_restart_counts_when_it_is_made),
        cmocka_unit_test(a_request_waits_for_the_restart),
        cmocka_unit_test(ends_that_were_asked_for_open_nothing),
        cmocka_unit_test(a_configuration_fault_is_never_retried),
        cmocka_unit_test(a_persons_start_forgives_before_it_is_made),
        cmocka_unit_test(a_changed_file_begins_a_new_incident),
        cmocka_unit_test(out_of_memory_is_retried_once_with_less),
        cmocka_unit_test(a_failed_probe_opens_for_twice_as_long),
        cmocka_unit_test(a_stable_probe_closes),
        cmocka_unit_test(stability_takes_the_open_time_back),
        cmocka_unit_test(a_probe_without_verdict_leaves_nothing_stuck),
        cmocka_unit_test(a_new_supervisor_goes_on_where_the_old_one_was),
        cmocka_unit_test(a_probe_ends_with_its_supervisor),
        cmocka_unit_test(a_hold_covers_every_way_to_rest),
        cmocka_unit_test(a_fault_while_held_makes_no_restart_due),
        cmocka_unit_test(forced_open_lets_the_running_one_run),
        cmocka_unit_test(forced_open_takes_the_restart_back),
        cmocka_unit_test(forced_open_comes_before_a_persons_start),
        cmocka_unit_test(a_reset_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

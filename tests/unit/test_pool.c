/* The thread pool: every task once, whatever the number of threads, run after run. */
#include "hip/backend/pool.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TASK_MAX = 1000, RUN_COUNT = 2000 };

struct tally {
    _Atomic uint32_t times[TASK_MAX];
    uint32_t plain[TASK_MAX]; /* not atomic: seen by the caller because the run is over */
    uint32_t thread_count;
};

static void count_task(void *context, uint32_t task, uint32_t thread)
{
    struct tally *tally = context;

    assert_true(thread < tally->thread_count);
    atomic_fetch_add(&tally->times[task], 1);
    tally->plain[task] += task;
}

static void every_task_runs_exactly_once(void **state)
{
    for (uint32_t threads = 1; threads <= 5; threads++) {
        struct pool *pool = pool_new(threads, NULL);
        struct tally *tally = calloc(1, sizeof(*tally));

        assert_non_null(tally);
        assert_int_equal(pool_thread_count(pool), threads);
        tally->thread_count = threads;
        for (uint32_t count = 0; count <= TASK_MAX; count += 37) {
            struct pool_job job = {.task = count_task, .context = tally, .task_count = count};

            for (uint32_t i = 0; i < TASK_MAX; i++)
                tally->times[i] = tally->plain[i] = 0;
            pool_run(pool, &job);
            for (uint32_t i = 0; i < TASK_MAX; i++) {
                assert_int_equal(tally->times[i], i < count);
                assert_int_equal(tally->plain[i], i < count ? i : 0);
            }
        }
        free(tally);
        pool_free(pool);
    }
}

static void double_task(void *context, uint32_t task, uint32_t thread)
{
    uint32_t *values = context;

    values[task] = values[task] * 2 + 1;
}

/* Each run works on what the one before has left: nothing of a run may happen after it ended. */
static void a_run_sees_what_the_one_before_did(void **state)
{
    struct pool *pool = pool_new(4, NULL);
    uint32_t values[16] = {0};
    uint32_t expected = 0;
    struct pool_job job = {.task = double_task, .context = values, .task_count = 16};

    for (uint32_t run = 0; run < RUN_COUNT; run++) {
        pool_run(pool, &job);
        expected = expected * 2 + 1;
        for (uint32_t i = 0; i < 16; i++)
            assert_int_equal(values[i], expected);
    }
    pool_free(pool);
}

/* Longer than the turn after which a thread offers its core and comes back. */
static void long_task(void *context, uint32_t task, uint32_t thread)
{
    enum { LONGER_THAN_A_TURN_US = 1200 };
    uint64_t end_us = clock_monotonic_us() + LONGER_THAN_A_TURN_US;

    while (clock_monotonic_us() < end_us) {
    }
    count_task(context, task, thread);
}

/* A thread that comes back finds the job open, done, or another one; or the pool about to end. */
static void threads_that_offer_their_core_come_back(void **state)
{
    enum { LONG_TASKS = 7, POOLS = 10 };
    struct tally *tally = calloc(1, sizeof(*tally));

    assert_non_null(tally);
    tally->thread_count = 3;
    for (uint32_t p = 0; p < POOLS; p++) {
        struct pool *pool = pool_new(tally->thread_count, NULL);
        struct pool_job slow = {.task = long_task, .context = tally, .task_count = LONG_TASKS};
        struct pool_job quick = {.task = count_task, .context = tally, .task_count = TASK_MAX};

        for (uint32_t i = 0; i < TASK_MAX; i++)
            tally->times[i] = tally->plain[i] = 0;
        pool_run(pool, &slow);
        pool_run(pool, &quick);
        pool_run(pool, &slow);
        pool_free(pool);
        for (uint32_t i = 0; i < TASK_MAX; i++) {
            assert_int_equal(tally->times[i], i < LONG_TASKS ? 3 : 1);
            assert_int_equal(tally->plain[i], i < LONG_TASKS ? 3 * i : i);
        }
    }
    free(tally);
}

static _Atomic uint32_t started_count;

static void count_start(void)
{
    atomic_fetch_add(&started_count, 1);
}

static void each_new_thread_is_prepared_once_and_an_unused_pool_ends(void **state)
{
    pool_free(pool_new(4, count_start));
    assert_int_equal(started_count, 3);
    pool_free(NULL);
    assert_true(pool_core_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_exactly_once),
        cmocka_unit_test(a_run_sees_what_the_one_before_did),
        cmocka_unit_test(threads_that_offer_their_core_come_back),
        cmocka_unit_test(each_new_thread_is_prepared_once_and_an_unused_pool_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

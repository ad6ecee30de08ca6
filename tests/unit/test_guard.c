/* The storm guard of a device: at most so many starts in a window, one load at a time. */
#include "supervisor/guard.h"

#include "tests/unit/recovery_defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MADE_COUNT = 500 }; /* several times round the ring */

static const int64_t UNTOUCHED_MS = -77;

static enum guard_verdict ask(const struct guard *guard, const struct guard_policy *policy,
                              int64_t now_ms, int64_t *out_until_ms)
{
    *out_until_ms = UNTOUCHED_MS;
    return guard_ask(guard, policy, now_ms, out_until_ms);
}

/* A start whose load is over at once. */
static void start(struct guard *guard, int64_t now_ms)
{
    guard_on_start(guard, now_ms);
    guard_on_load_end(guard);
}

/* For every limit that is allowed: so many go through, the next one waits until the first of them
 * leaves the window. */
static void the_start_above_the_limit_waits_for_the_first_to_leave(void **state)
{
    for (int64_t limit = 1; limit <= GUARD_STARTS_MAX_COUNT; limit++) {
        struct guard_policy policy = {.starts = limit, .window_ms = MINUTE_MS};
        struct guard guard = {0};
        int64_t until_ms = 0;

        for (int64_t i = 0; i < limit; i++) {
            assert_int_equal(ask(&guard, &policy, 100 * i, &until_ms), GUARD_GO);
            assert_int_equal(until_ms, UNTOUCHED_MS);
            start(&guard, 100 * i);
        }
        assert_int_equal(ask(&guard, &policy, 100 * limit, &until_ms), GUARD_STORM);
        assert_int_equal(until_ms, MINUTE_MS);
    }
}

/* Ten within a minute, in any rhythm: no window of a minute ever holds an eleventh. */
static void no_window_holds_more_than_the_limit(void **state)
{
    struct guard_policy policy = guard_defaults();
    int64_t made_ms[MADE_COUNT] = {0};
    struct guard guard = {0};
    int64_t until_ms = 0;
    int64_t now_ms = -5000;
    size_t made = 0;

    for (uint32_t step = 1; made < MADE_COUNT; step++) {
        now_ms += step * 2654435761U % 4096;
        if (ask(&guard, &policy, now_ms, &until_ms) != GUARD_GO) {
            assert_true(made >= 10);
            assert_int_equal(until_ms, made_ms[made - 10] + policy.window_ms);
            continue;
        }
        assert_true(made < 10 || now_ms - made_ms[made - 10] >= policy.window_ms);
        start(&guard, now_ms);
        made_ms[made++] = now_ms;
    }
}

/* The eleventh at the last millisecond of the window waits; at its end it goes. */
static void the_window_ends_to_the_millisecond(void **state)
{
    struct guard_policy policy = guard_defaults();
    struct guard guard = {0};
    int64_t until_ms = 0;

    for (int i = 0; i < 10; i++)
        start(&guard, 0);
    assert_int_equal(ask(&guard, &policy, MINUTE_MS - 1, &until_ms), GUARD_STORM);
    assert_int_equal(until_ms, MINUTE_MS);
    assert_int_equal(ask(&guard, &policy, MINUTE_MS, &until_ms), GUARD_GO);
    assert_int_equal(until_ms, UNTOUCHED_MS);
}

/* While one model loads, no other start goes; when the load is over, however, it may. A storm is
 * told before a load, for its end is known. */
static void one_model_loads_at_a_time(void **state)
{
    struct guard_policy policy = guard_defaults();
    struct guard guard = {0};
    int64_t until_ms = 0;

    for (int i = 0; i < 9; i++)
        start(&guard, 0);
    assert_int_equal(ask(&guard, &policy, 1, &until_ms), GUARD_GO);
    guard_on_start(&guard, 1);
    assert_int_equal(ask(&guard, &policy, 2, &until_ms), GUARD_STORM);
    assert_int_equal(until_ms, MINUTE_MS);
    assert_int_equal(ask(&guard, &policy, MINUTE_MS, &until_ms), GUARD_LOADING);
    assert_int_equal(until_ms, UNTOUCHED_MS);
    assert_int_equal(ask(&guard, &policy, HOUR_MS, &until_ms), GUARD_LOADING);
    guard_on_load_end(&guard);
    assert_int_equal(ask(&guard, &policy, MINUTE_MS, &until_ms), GUARD_GO);
}

/* No limit: any number of starts at one moment, yet still one load at a time. */
static void without_a_limit_only_loads_wait(void **state)
{
    struct guard_policy policy = {.starts = 0, .window_ms = MINUTE_MS};
    struct guard guard = {0};
    int64_t until_ms = 0;

    for (int i = 0; i < 3 * GUARD_STARTS_MAX_COUNT; i++) {
        assert_int_equal(ask(&guard, &policy, 0, &until_ms), GUARD_GO);
        guard_on_start(&guard, 0);
        assert_int_equal(ask(&guard, &policy, 0, &until_ms), GUARD_LOADING);
        guard_on_load_end(&guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_above_the_limit_waits_for_the_first_to_leave),
        cmocka_unit_test(no_window_holds_more_than_the_limit),
        cmocka_unit_test(the_window_ends_to_the_millisecond),
        cmocka_unit_test(one_model_loads_at_a_time),
        cmocka_unit_test(without_a_limit_only_loads_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The restart policy: how long the wait is, and how many there are. */
#include "supervisor/restart.h"

#include "common/mem.h"
#include "tests/unit/recovery_defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FAR_RESTART = 1000 };

/* 1, 2, 4, 8, 16, 32, 60, 60 … seconds, without jitter. */
static void the_wait_doubles_up_to_its_maximum(void **state)
{
    static const int64_t SECONDS[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct restart_policy policy = restart_defaults();

    policy.jitter_pct = 0;
    for (size_t i = 0; i < ARRAY_COUNT(SECONDS); i++)
        assert_int_equal(restart_delay_ms(&policy, (int64_t)i + 1, UINT32_MAX),
                         SECONDS[i] * SECOND_MS);
    assert_int_equal(restart_delay_ms(&policy, INT64_MAX, 0), policy.max_ms);
}

/* Whatever chance says, a wait is within the jitter of its value and never above the maximum; both
 * ends of the span are reached. */
static void jitter_keeps_within_its_span_and_the_maximum(void **state)
{
    static const int64_t VALUES_MS[] = {0, 1, 4, 5, 999, 1000, 32000, 59999, 60000};

    for (size_t i = 0; i < ARRAY_COUNT(VALUES_MS); i++) {
        for (int64_t pct = 0; pct <= 100; pct += 10) {
            int64_t span_ms = VALUES_MS[i] * pct / 100;
            int64_t top_ms = VALUES_MS[i] + span_ms;

            for (uint32_t random = 0; random <= 2 * span_ms; random++) {
                int64_t ms = restart_jitter_ms(VALUES_MS[i], pct, MINUTE_MS, random);
                int64_t free_ms = VALUES_MS[i] - span_ms + random;

                assert_int_equal(ms, free_ms < MINUTE_MS ? free_ms : MINUTE_MS);
            }
            assert_int_equal(restart_jitter_ms(VALUES_MS[i], pct, INT64_MAX, 0),
                             VALUES_MS[i] - span_ms);
            assert_int_equal(
                restart_jitter_ms(VALUES_MS[i], pct, INT64_MAX, (uint32_t)(2 * span_ms)), top_ms);
        }
    }
}

/* Every restart of a long incident, at both ends of chance: from 80 % of the plain wait to 120 % of
 * it, at most the maximum. */
static void every_wait_keeps_within_the_maximum(void **state)
{
    struct restart_policy plain = restart_defaults();
    struct restart_policy policy = restart_defaults();

    plain.jitter_pct = 0;
    for (int64_t n = 1; n <= FAR_RESTART; n++) {
        int64_t value_ms = restart_delay_ms(&plain, n, 0);

        assert_int_equal(restart_delay_ms(&policy, n, 0), value_ms * 8 / 10);
        for (uint32_t random = 0; random <= 2 * MINUTE_MS; random += 997) {
            int64_t ms = restart_delay_ms(&policy, n, random);

            assert_true(ms <= policy.max_ms);
            assert_true(ms >= value_ms * 8 / 10 && ms <= value_ms * 12 / 10);
        }
    }
}

/* Odd settings: a base above the maximum is the maximum, a base of 0 is no wait, however late. */
static void odd_settings_do_not_escape(void **state)
{
    struct restart_policy policy = restart_defaults();

    policy.base_ms = 2 * MINUTE_MS;
    for (int64_t n = 1; n < FAR_RESTART; n++)
        assert_in_range(restart_delay_ms(&policy, n, (uint32_t)n * 7919), 48 * SECOND_MS,
                        MINUTE_MS);
    policy.base_ms = 0;
    assert_int_equal(restart_delay_ms(&policy, FAR_RESTART, UINT32_MAX), 0);
    /* Months, as in no configuration: no overflow on the way. */
    policy.base_ms = 1;
    policy.max_ms = INT64_MAX / 200;
    assert_true(restart_delay_ms(&policy, INT64_MAX, UINT32_MAX) > 0);
}

/* After so many restarts none is left, and with no limit there is always one. */
static void attempts_run_out_at_the_limit(void **state)
{
    for (int64_t limit = 0; limit <= 5; limit++) {
        struct restart_policy policy = restart_defaults();
        struct restart restart = {.is_in_incident = true};

        policy.max_attempts = limit;
        for (int64_t made = 0; made < FAR_RESTART; made++) {
            assert_int_equal(restart.attempt, made);
            assert_int_equal(restart_is_exhausted(&policy, &restart), limit > 0 && made >= limit);
            restart_count(&restart);
        }
    }
}

/* The end of an incident forgives its attempts; what was ever restarted stays counted. */
static void forgiving_keeps_the_total(void **state)
{
    struct restart restart = {.is_in_incident = true};

    for (int64_t round = 1; round <= 3; round++) {
        restart_count(&restart);
        restart_count(&restart);
        restart_forgive(&restart);
        assert_int_equal(restart.attempt, 0);
        assert_false(restart.is_in_incident);
        assert_int_equal(restart.total, 2 * round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wait_doubles_up_to_its_maximum),
        cmocka_unit_test(jitter_keeps_within_its_span_and_the_maximum),
        cmocka_unit_test(every_wait_keeps_within_the_maximum),
        cmocka_unit_test(odd_settings_do_not_escape),
        cmocka_unit_test(attempts_run_out_at_the_limit),
        cmocka_unit_test(forgiving_keeps_the_total),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The policies of the default configuration, for the tests of what decides about restarts. */
#ifndef RBEE_TESTS_UNIT_RECOVERY_DEFAULTS_H
#define RBEE_TESTS_UNIT_RECOVERY_DEFAULTS_H

#include "supervisor/guard.h"
#include "supervisor/recovery.h"

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
};

static inline struct restart_policy restart_defaults(void)
{
    return (struct restart_policy){.base_ms = SECOND_MS,
                                   .max_ms = MINUTE_MS,
                                   .jitter_pct = 20,
                                   .max_attempts = 3,
                                   .stable_after_ms = 300 * SECOND_MS};
}

static inline struct breaker_policy breaker_defaults(void)
{
    return (struct breaker_policy){.failures = 5,
                                   .window_ms = 300 * SECOND_MS,
                                   .open_time_ms = 300 * SECOND_MS,
                                   .open_max_ms = HOUR_MS,
                                   .probe_stable_ms = MINUTE_MS,
                                   .flap_failures = 10,
                                   .flap_window_ms = DAY_MS,
                                   .jitter_pct = 20};
}

static inline struct breaker_policy breaker_device_defaults(void)
{
    struct breaker_policy policy = breaker_defaults();

    policy.flap_failures = 0;
    policy.gpu_faults = 2;
    return policy;
}

static inline struct recovery_policy recovery_defaults(void)
{
    return (struct recovery_policy){.restart = restart_defaults(), .breaker = breaker_defaults()};
}

static inline struct guard_policy guard_defaults(void)
{
    return (struct guard_policy){.starts = 10, .window_ms = MINUTE_MS};
}

#endif

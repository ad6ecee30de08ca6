/* Owns the way from configuration keys to policies. Knows no rule. */
#include "supervisor/policy.h"

#include "common/config.h"

enum {
    DAY_MS = 24 * 60 * 60 * 1000, /* failures in a day are flapping */
    GPU_FAULTS = 2,               /* a driver that reports a second fault needs a look */
};

static void policy_read_restart(const struct config *config, struct restart_policy *out)
{
    *out = (struct restart_policy){
        .base_ms = config_number(config, CONFIG_restart_base),
        .max_ms = config_number(config, CONFIG_restart_max),
        .jitter_pct = config_number(config, CONFIG_restart_jitter_pct),
        .max_attempts = config_number(config, CONFIG_restart_max_attempts),
        .stable_after_ms = config_number(config, CONFIG_restart_stable_after),
    };
}

static void policy_read_breaker(const struct config *config, struct breaker_policy *out)
{
    *out = (struct breaker_policy){
        .failures = config_number(config, CONFIG_breaker_failures),
        .window_ms = config_number(config, CONFIG_breaker_window),
        .open_time_ms = config_number(config, CONFIG_breaker_open_time),
        .open_max_ms = config_number(config, CONFIG_breaker_open_max),
        .probe_stable_ms = config_number(config, CONFIG_breaker_probe_stable),
        .flap_failures = config_number(config, CONFIG_breaker_flap_failures),
        .flap_window_ms = DAY_MS,
        .jitter_pct = config_number(config, CONFIG_restart_jitter_pct),
    };
}

/* A GPU has no flapping of its own: what flaps is a worker. */
void policy_read(const struct config *config, struct policy *out)
{
    policy_read_restart(config, &out->worker.restart);
    policy_read_breaker(config, &out->worker.breaker);
    out->device = out->worker.breaker;
    out->device.flap_failures = 0;
    out->device.gpu_faults = GPU_FAULTS;
    out->guard = (struct guard_policy){
        .starts = config_number(config, CONFIG_restart_storm_starts),
        .window_ms = config_number(config, CONFIG_restart_storm_window),
    };
}

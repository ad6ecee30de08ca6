/* Owns back-off and the count of attempts. Knows no worker and no clock. */
#include "supervisor/restart.h"

#include <assert.h>

enum { PERCENT = 100 };

int64_t restart_jitter_ms(int64_t value_ms, int64_t pct, int64_t max_ms, uint32_t random)
{
    int64_t span_ms = 0;
    int64_t moved_ms = 0;

    assert(value_ms >= 0 && value_ms <= INT64_MAX / PERCENT && pct >= 0 && pct <= PERCENT);
    span_ms = value_ms * pct / PERCENT;
    /* -span … +span, both ends included. */
    moved_ms = value_ms - span_ms + (int64_t)((uint64_t)random % (uint64_t)(2 * span_ms + 1));
    return moved_ms < max_ms ? moved_ms : max_ms;
}

int64_t restart_delay_ms(const struct restart_policy *policy, int64_t n, uint32_t random)
{
    int64_t delay_ms = policy->base_ms;

    assert(n >= 1);
    for (int64_t i = 1; i < n && delay_ms > 0 && delay_ms < policy->max_ms; i++)
        delay_ms *= 2;
    if (delay_ms > policy->max_ms)
        delay_ms = policy->max_ms;
    return restart_jitter_ms(delay_ms, policy->jitter_pct, policy->max_ms, random);
}

bool restart_is_exhausted(const struct restart_policy *policy, const struct restart *restart)
{
    return policy->max_attempts > 0 && restart->attempt >= policy->max_attempts;
}

void restart_count(struct restart *restart)
{
    restart->attempt++;
    restart->total++;
}

void restart_forgive(struct restart *restart)
{
    restart->attempt = 0;
    restart->is_in_incident = false;
}

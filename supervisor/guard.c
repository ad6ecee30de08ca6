/* Owns the storm guard of a device. Knows no worker and no device. */
#include "supervisor/guard.h"

#include <assert.h>

/* The start that leaves the window first decides when there is room for one more. */
static bool guard_is_storm(const struct guard *guard, const struct guard_policy *policy,
                           int64_t now_ms, int64_t *out_until_ms)
{
    size_t limit = (size_t)policy->starts;
    size_t index = 0;
    int64_t until_ms = 0;

    assert(policy->starts >= 0 && policy->starts <= GUARD_STARTS_MAX_COUNT);
    if (limit == 0 || guard->start_count < limit)
        return false;
    index = (guard->start_next + GUARD_STARTS_MAX_COUNT - limit) % GUARD_STARTS_MAX_COUNT;
    until_ms = guard->starts_ms[index] + policy->window_ms;
    if (now_ms >= until_ms)
        return false;
    *out_until_ms = until_ms;
    return true;
}

enum guard_verdict guard_ask(const struct guard *guard, const struct guard_policy *policy,
                             int64_t now_ms, int64_t *out_until_ms)
{
    if (guard_is_storm(guard, policy, now_ms, out_until_ms))
        return GUARD_STORM;
    return guard->is_loading ? GUARD_LOADING : GUARD_GO;
}

void guard_on_start(struct guard *guard, int64_t now_ms)
{
    assert(!guard->is_loading);
    guard->starts_ms[guard->start_next] = now_ms;
    guard->start_next = (guard->start_next + 1) % GUARD_STARTS_MAX_COUNT;
    if (guard->start_count < GUARD_STARTS_MAX_COUNT)
        guard->start_count++;
    guard->is_loading = true;
}

void guard_on_load_end(struct guard *guard)
{
    guard->is_loading = false;
}

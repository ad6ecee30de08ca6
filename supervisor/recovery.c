/* Owns the decision what follows the end of a worker's process. Knows no process, no clock, no
 * store. */
#include "supervisor/recovery.h"

#include <assert.h>

static const int64_t NEVER_MS = INT64_MIN;

void recovery_init(struct recovery *recovery)
{
    *recovery = (struct recovery){.ready_ms = NEVER_MS};
    breaker_init(&recovery->breaker);
}

enum recovery_rest recovery_rest(const struct recovery *recovery)
{
    if (recovery->is_held)
        return RECOVERY_HELD;
    if (recovery->has_failed_for_good)
        return RECOVERY_FAILED;
    if (recovery->breaker.state != BREAKER_CLOSED)
        return RECOVERY_OPEN;
    return recovery->is_waiting ? RECOVERY_WAITING : RECOVERY_DOWN;
}

bool recovery_allows(const struct recovery *recovery, enum recovery_asker asker)
{
    switch (recovery_rest(recovery)) {
    case RECOVERY_DOWN:
        return true;
    case RECOVERY_WAITING:
        return asker != RECOVERY_REQUEST;
    case RECOVERY_OPEN:
        return breaker_allows_start(&recovery->breaker);
    case RECOVERY_FAILED:
        return asker == RECOVERY_PERSON && breaker_allows_start(&recovery->breaker);
    case RECOVERY_HELD:
        break;
    }
    return false;
}

/* A new incident begins at the base delay, and its first failure had no wait before it. */
static void recovery_forgive(struct recovery *recovery)
{
    restart_forgive(&recovery->restart);
    recovery->owes_restart = false;
    recovery->delay_ms = 0;
}

void recovery_on_person(struct recovery *recovery)
{
    assert(recovery_allows(recovery, RECOVERY_PERSON));
    recovery_forgive(recovery);
    recovery->is_reduced = false;
    recovery->has_failed_for_good = false;
    recovery->is_waiting = false;
}

void recovery_on_start(struct recovery *recovery, enum recovery_asker asker)
{
    assert(recovery_allows(recovery, asker));
    if (asker == RECOVERY_PERSON)
        recovery_on_person(recovery);
    else if (recovery->owes_restart)
        restart_count(&recovery->restart);
    recovery->owes_restart = false;
    recovery->is_waiting = false;
    recovery->ready_ms = NEVER_MS;
    breaker_on_start(&recovery->breaker);
}

void recovery_on_ready(struct recovery *recovery, int64_t now_ms)
{
    recovery->ready_ms = now_ms;
}

/* ---- faults ---- */

static void recovery_wait(struct recovery *recovery, const struct recovery_policy *policy,
                          int64_t now_ms, uint32_t random)
{
    recovery->delay_ms = restart_delay_ms(&policy->restart, recovery->restart.attempt + 1, random);
    recovery->due_ms = now_ms + recovery->delay_ms;
    recovery->is_waiting = true;
}

/* While the breaker is closed: what the class asks for, as long as attempts are left. */
static void recovery_answer(struct recovery *recovery, const struct recovery_policy *policy,
                            int64_t now_ms, uint32_t random)
{
    enum fault_then then = fault_then(recovery->fault);

    if (then == FAULT_THEN_GIVE_UP || (then == FAULT_THEN_REDUCE && recovery->is_reduced)) {
        recovery->has_failed_for_good = true;
        return;
    }
    if (restart_is_exhausted(&policy->restart, &recovery->restart)) {
        (void)breaker_trip(&recovery->breaker, &policy->breaker, BREAKER_BY_ATTEMPTS, now_ms,
                           random);
        return;
    }
    if (then == FAULT_THEN_REDUCE)
        recovery->is_reduced = true;
    if (recovery->is_held) /* it failed while it was being stopped for that */
        return;
    recovery_wait(recovery, policy, now_ms, random);
}

/* A configuration fault says nothing of how reliable a worker is: it counts in a probe alone. */
static void recovery_count(struct recovery *recovery, const struct recovery_policy *policy,
                           int64_t load_ms, int64_t now_ms, uint32_t random)
{
    const struct breaker_failure failure = {
        .at_ms = now_ms, .cycle_ms = load_ms + recovery->delay_ms, .fault = recovery->fault};

    if (fault_then(recovery->fault) != FAULT_THEN_GIVE_UP || recovery->breaker.has_probe)
        (void)breaker_record(&recovery->breaker, &policy->breaker, &failure, random);
}

void recovery_on_fault(struct recovery *recovery, const struct recovery_policy *policy,
                       enum fault_class fault, int64_t load_ms, int64_t now_ms, uint32_t random)
{
    assert(fault != FAULT_NONE);
    recovery->fault = fault;
    recovery->ready_ms = NEVER_MS;
    recovery->is_waiting = false;
    recovery->restart.is_in_incident = true;
    recovery->owes_restart = true;
    recovery_count(recovery, policy, load_ms, now_ms, random);
    if (recovery->breaker.state == BREAKER_CLOSED)
        recovery_answer(recovery, policy, now_ms, random);
}

void recovery_on_end(struct recovery *recovery, const struct recovery_policy *policy,
                     int64_t now_ms, uint32_t random)
{
    recovery->ready_ms = NEVER_MS;
    recovery->is_waiting = false;
    (void)breaker_on_no_verdict(&recovery->breaker, &policy->breaker, now_ms, random);
}

void recovery_on_lapse(struct recovery *recovery)
{
    recovery->is_waiting = false;
}

/* ---- time ---- */

static int64_t recovery_earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* Whether READY does anything more after a while: there is an incident or a long open time to
 * forgive. */
static bool recovery_has_to_forgive(const struct recovery *recovery)
{
    return recovery->restart.is_in_incident || recovery->breaker.open_time_ms > 0;
}

int64_t recovery_next_ms(const struct recovery *recovery, const struct recovery_policy *policy)
{
    int64_t next_ms = INT64_MAX;

    if (recovery->breaker.state == BREAKER_OPEN)
        next_ms = recovery_earlier(next_ms, recovery->breaker.until_ms);
    if (recovery->is_waiting)
        next_ms = recovery_earlier(next_ms, recovery->due_ms);
    if (recovery->ready_ms == NEVER_MS)
        return next_ms;
    if (recovery->breaker.has_probe)
        next_ms = recovery_earlier(next_ms, recovery->ready_ms + policy->breaker.probe_stable_ms);
    if (recovery_has_to_forgive(recovery))
        next_ms = recovery_earlier(next_ms, recovery->ready_ms + policy->restart.stable_after_ms);
    return next_ms;
}

void recovery_tick(struct recovery *recovery, const struct recovery_policy *policy, int64_t now_ms)
{
    int64_t ready_for_ms = recovery->ready_ms == NEVER_MS ? -1 : now_ms - recovery->ready_ms;

    (void)breaker_tick(&recovery->breaker, now_ms);
    if (recovery->breaker.has_probe && ready_for_ms >= policy->breaker.probe_stable_ms &&
        breaker_on_probe_stable(&recovery->breaker, now_ms))
        recovery_forgive(recovery);
    if (recovery_has_to_forgive(recovery) && ready_for_ms >= policy->restart.stable_after_ms) {
        recovery_forgive(recovery);
        breaker_on_stable(&recovery->breaker);
    }
}

/* ---- people ---- */

void recovery_hold(struct recovery *recovery)
{
    recovery->is_held = true;
    recovery->is_waiting = false;
}

void recovery_release(struct recovery *recovery)
{
    recovery->is_held = false;
}

void recovery_force_open(struct recovery *recovery)
{
    recovery->is_waiting = false;
    (void)breaker_force_open(&recovery->breaker);
}

void recovery_reset(struct recovery *recovery, int64_t now_ms)
{
    recovery_forgive(recovery);
    recovery->restart.total = 0;
    recovery->has_failed_for_good = false;
    recovery->is_reduced = false;
    recovery->is_waiting = false;
    recovery->fault = FAULT_NONE;
    (void)breaker_reset(&recovery->breaker, now_ms);
}

void recovery_on_model_changed(struct recovery *recovery)
{
    recovery_forgive(recovery);
    recovery->has_failed_for_good = false;
    recovery->is_reduced = false;
}

/* Owns the judgement whether a worker's process works. Knows no process, no request and no clock.
 */
#include "supervisor/liveness.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    /* Signs of progress are looked for so often within the limit that a step which falls between
     * two looks is shorter than a LIVENESS_STEPS-th of it. */
    LOOKS = 2 * LIVENESS_STEPS,
    LOOK_MIN_MS = 10,
    LOOK_MAX_MS = 500, /* a step is seen to half a second, however long the limit */
};

static uint64_t max_ms(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_ms(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t liveness_limit_ms(const struct liveness *liveness)
{
    return max_ms(liveness->limits.progress_ms, LIVENESS_STEPS * liveness->slowest_step_ms);
}

static uint64_t liveness_look_ms(const struct liveness *liveness)
{
    if (!liveness->limits.has_counters)
        return max_ms(liveness->limits.progress_ms / 2, LOOK_MIN_MS);
    return min_ms(max_ms(liveness->limits.progress_ms / LOOKS, LOOK_MIN_MS), LOOK_MAX_MS);
}

/* What a process may owe without being asked about it, and what one answer may take at least. */
static uint64_t liveness_patience_ms(const struct liveness *liveness)
{
    return max_ms(liveness_limit_ms(liveness) / LIVENESS_STEPS, LOOK_MIN_MS);
}

bool liveness_owes(const struct liveness *liveness)
{
    return liveness->load == LIVENESS_BUSY || liveness->is_canary_out;
}

static void liveness_fail(struct liveness *liveness, enum liveness_fault fault, uint64_t lasted_ms)
{
    if (liveness->fault != LIVENESS_WELL)
        return;
    liveness->fault = fault;
    liveness->fault_ms = lasted_ms;
}

/* ---- what it owes ---- */

static void liveness_begin_owing(struct liveness *liveness, uint64_t now_ms)
{
    liveness->owed_since_ms = now_ms - min_ms(liveness->debt_ms, now_ms);
    liveness->debt_ms = 0;
    if (liveness->refused_count == 0)
        liveness->probe_due_ms = now_ms + liveness_look_ms(liveness);
}

/* A debt is settled soon, by a canary: a process that hangs may otherwise be found by nobody, if
 * all its clients are less patient than we are. */
static void liveness_end_owing(struct liveness *liveness, uint64_t now_ms)
{
    liveness->debt_ms = now_ms - min_ms(liveness->owed_since_ms, now_ms);
    if (liveness->debt_ms < liveness_patience_ms(liveness))
        liveness->debt_ms = 0;
    if (liveness->debt_ms > 0 && liveness->canary_due_ms != LIVENESS_NEVER)
        liveness->canary_due_ms = min_ms(liveness->canary_due_ms, now_ms);
    if (liveness->refused_count == 0)
        liveness->probe_due_ms = LIVENESS_NEVER;
}

static void liveness_plan_canary(struct liveness *liveness, uint64_t interval_ms, uint64_t now_ms)
{
    if (liveness->limits.canary_ms == 0)
        return;
    liveness->canary_interval_ms = interval_ms;
    liveness->canary_due_ms = now_ms + interval_ms;
}

void liveness_begin(struct liveness *liveness, const struct liveness_limits *limits,
                    uint64_t step_ms, const struct liveness_counters *first, uint64_t now_ms)
{
    *liveness = (struct liveness){
        .limits = *limits,
        .slowest_step_ms = step_ms,
        .counters = *first,
        .probe_due_ms = LIVENESS_NEVER,
        .canary_due_ms = LIVENESS_NEVER,
        .canary_failing_since_ms = LIVENESS_NEVER,
    };
    liveness_plan_canary(liveness, limits->canary_ms, now_ms);
}

void liveness_set_load(struct liveness *liveness, enum liveness_load load, uint64_t now_ms)
{
    bool owed = liveness_owes(liveness);

    assert(load == LIVENESS_IDLE || !liveness->is_canary_out); /* withdrawn before */
    if (load == liveness->load)
        return;
    liveness->load = load;
    /* Work that got nowhere is no work: else requests that fail one after the other would put the
     * canary off for ever. */
    if (load == LIVENESS_IDLE && liveness->has_worked) {
        liveness->has_worked = false;
        liveness_plan_canary(liveness, liveness->limits.canary_ms, now_ms);
    }
    if (!owed && liveness_owes(liveness))
        liveness_begin_owing(liveness, now_ms);
    else if (owed && !liveness_owes(liveness))
        liveness_end_owing(liveness, now_ms);
}

void liveness_progress(struct liveness *liveness, uint64_t now_ms)
{
    uint64_t step_ms = now_ms - min_ms(liveness->owed_since_ms, now_ms);

    liveness->debt_ms = 0;
    liveness->canary_failing_since_ms = LIVENESS_NEVER;
    if (!liveness_owes(liveness))
        return;
    liveness->slowest_step_ms = max_ms(liveness->slowest_step_ms, step_ms);
    liveness->owed_since_ms = now_ms;
    liveness->has_worked |= liveness->load == LIVENESS_BUSY;
    if (liveness->refused_count == 0) /* while tokens come, nobody needs to ask */
        liveness->probe_due_ms = now_ms + liveness_look_ms(liveness);
}

/* ---- probes ---- */

static void liveness_probe_over(struct liveness *liveness, uint64_t now_ms)
{
    liveness->is_probing = false;
    liveness->probe_due_ms =
        liveness_owes(liveness) ? now_ms + liveness_look_ms(liveness) : LIVENESS_NEVER;
}

/* A look has found no progress. */
static void liveness_judge(struct liveness *liveness, enum liveness_fault fault, uint64_t now_ms)
{
    if (liveness_owes(liveness) && now_ms >= liveness->owed_since_ms + liveness_limit_ms(liveness))
        liveness_fail(liveness, fault, now_ms - liveness->owed_since_ms);
}

void liveness_read(struct liveness *liveness, const struct liveness_counters *counters,
                   uint64_t now_ms)
{
    struct liveness_counters last = liveness->counters;

    liveness->refused_count = 0;
    liveness_probe_over(liveness, now_ms);
    if (counters->tokens < last.tokens || counters->prefill_tokens < last.prefill_tokens) {
        liveness->fallen = *counters;
        liveness_fail(liveness, LIVENESS_COUNTER_FELL, 0);
        return;
    }
    liveness->counters = *counters;
    if (counters->tokens > last.tokens || counters->prefill_tokens > last.prefill_tokens)
        liveness_progress(liveness, now_ms);
    else
        liveness_judge(liveness, LIVENESS_NO_PROGRESS, now_ms);
}

/* The time since the last answer is no step of it: it would make the limit as many times as long.
 */
void liveness_answered(struct liveness *liveness, bool may_be_reading, uint64_t now_ms)
{
    liveness->refused_count = 0;
    liveness_probe_over(liveness, now_ms);
    if (may_be_reading)
        liveness->owed_since_ms = now_ms;
    else
        liveness_judge(liveness, LIVENESS_NO_PROGRESS, now_ms);
}

void liveness_nonsense(struct liveness *liveness, uint64_t now_ms)
{
    liveness->refused_count = 0;
    liveness_probe_over(liveness, now_ms);
    liveness_judge(liveness, LIVENESS_NONSENSE, now_ms);
}

void liveness_refused(struct liveness *liveness, uint64_t now_ms)
{
    liveness->is_probing = false;
    if (liveness->refused_count++ == 0)
        liveness->refused_since_ms = now_ms;
    liveness->probe_due_ms = now_ms + LIVENESS_REFUSED_RETRY_MS;
    if (liveness->refused_count >= LIVENESS_REFUSED_COUNT &&
        now_ms >= liveness->refused_since_ms + LIVENESS_REFUSED_MS)
        liveness_fail(liveness, LIVENESS_REFUSES, now_ms - liveness->refused_since_ms);
}

void liveness_missed(struct liveness *liveness, uint64_t now_ms)
{
    liveness_probe_over(liveness, now_ms);
}

/* ---- canaries ---- */

static void liveness_canary_over(struct liveness *liveness, uint64_t now_ms)
{
    assert(liveness->is_canary_out);
    liveness->is_canary_out = false;
    liveness_end_owing(liveness, now_ms);
}

void liveness_canary_done(struct liveness *liveness, uint64_t now_ms)
{
    uint64_t next_ms = min_ms(2 * liveness->canary_interval_ms,
                              max_ms(liveness->limits.canary_max_ms, liveness->limits.canary_ms));

    liveness_progress(liveness, now_ms);
    liveness_canary_over(liveness, now_ms);
    liveness_plan_canary(liveness, next_ms, now_ms);
    liveness->probe_due_ms = now_ms; /* its counters must have seen it too */
}

void liveness_canary_failed(struct liveness *liveness, uint64_t now_ms)
{
    uint64_t since_ms = min_ms(liveness->canary_failing_since_ms, now_ms);

    liveness_canary_over(liveness, now_ms);
    liveness->canary_failing_since_ms = since_ms;
    if (now_ms >= since_ms + liveness_limit_ms(liveness))
        liveness_fail(liveness, LIVENESS_CANARY_FAILED, now_ms - since_ms);
    liveness->canary_due_ms = now_ms + liveness_patience_ms(liveness);
}

void liveness_canary_withdrawn(struct liveness *liveness, uint64_t now_ms)
{
    liveness_canary_over(liveness, now_ms);
    liveness->canary_due_ms = now_ms + liveness_patience_ms(liveness);
}

void liveness_canary_put_off(struct liveness *liveness, uint64_t now_ms)
{
    liveness_canary_over(liveness, now_ms);
    liveness_plan_canary(liveness, liveness->canary_interval_ms, now_ms);
}

/* ---- what to do ---- */

/* When an answer that has not come is none. It has some time even if all the others had less. */
static uint64_t liveness_silence_ms(const struct liveness *liveness)
{
    uint64_t sent_ms = liveness->probe_sent_ms;

    if (!liveness->is_probing)
        return LIVENESS_NEVER;
    if (!liveness_owes(liveness))
        return sent_ms + liveness_limit_ms(liveness);
    return max_ms(liveness->owed_since_ms + liveness_limit_ms(liveness),
                  sent_ms + liveness_patience_ms(liveness));
}

static uint64_t liveness_next_probe_ms(const struct liveness *liveness)
{
    return liveness->is_probing ? LIVENESS_NEVER : liveness->probe_due_ms;
}

static uint64_t liveness_next_canary_ms(const struct liveness *liveness)
{
    if (liveness->load != LIVENESS_IDLE || liveness->is_canary_out || liveness->refused_count > 0)
        return LIVENESS_NEVER;
    return liveness->canary_due_ms;
}

uint64_t liveness_due_ms(const struct liveness *liveness)
{
    if (liveness->fault != LIVENESS_WELL)
        return 0;
    return min_ms(liveness_silence_ms(liveness),
                  min_ms(liveness_next_probe_ms(liveness), liveness_next_canary_ms(liveness)));
}

enum liveness_action liveness_take(struct liveness *liveness, uint64_t now_ms)
{
    if (now_ms >= liveness_silence_ms(liveness))
        liveness_fail(liveness, LIVENESS_SILENT, now_ms - liveness->probe_sent_ms);
    if (liveness->fault != LIVENESS_WELL)
        return LIVENESS_HUNG;
    if (now_ms >= liveness_next_probe_ms(liveness)) {
        liveness->is_probing = true;
        liveness->probe_sent_ms = now_ms;
        return LIVENESS_PROBE;
    }
    if (now_ms >= liveness_next_canary_ms(liveness)) {
        liveness->is_canary_out = true;
        liveness_begin_owing(liveness, now_ms);
        return LIVENESS_CANARY;
    }
    return LIVENESS_WAIT;
}

void liveness_overslept(struct liveness *liveness, uint64_t ms, uint64_t now_ms)
{
    liveness->owed_since_ms = min_ms(liveness->owed_since_ms + ms, now_ms);
    liveness->probe_sent_ms = min_ms(liveness->probe_sent_ms + ms, now_ms);
    liveness->refused_since_ms = min_ms(liveness->refused_since_ms + ms, now_ms);
    if (liveness->canary_failing_since_ms != LIVENESS_NEVER)
        liveness->canary_failing_since_ms = min_ms(liveness->canary_failing_since_ms + ms, now_ms);
}

/* ---- in words ---- */

static const char *liveness_occasion(const struct liveness *liveness)
{
    return liveness->is_canary_out ? "while one token was asked of it" : "while it had work";
}

void liveness_describe(const struct liveness *liveness, char out[LIVENESS_REASON_BYTES])
{
    const struct liveness_counters *last = &liveness->counters;
    const struct liveness_counters *fallen = &liveness->fallen;
    uint64_t ms = liveness->fault_ms;

    switch (liveness->fault) {
    case LIVENESS_WELL:
        assert(!"no fault");
        break;
    case LIVENESS_NO_PROGRESS:
        (void)snprintf(out, LIVENESS_REASON_BYTES, "made no progress for %" PRIu64 " ms %s", ms,
                       liveness_occasion(liveness));
        break;
    case LIVENESS_SILENT:
        (void)snprintf(out, LIVENESS_REASON_BYTES, "has answered nothing for %" PRIu64 " ms", ms);
        break;
    case LIVENESS_NONSENSE:
        (void)snprintf(out, LIVENESS_REASON_BYTES,
                       "made no progress for %" PRIu64 " ms %s, and answers nonsense", ms,
                       liveness_occasion(liveness));
        break;
    case LIVENESS_REFUSES:
        (void)snprintf(out, LIVENESS_REASON_BYTES,
                       "lives, but has refused every connection for %" PRIu64 " ms", ms);
        break;
    case LIVENESS_COUNTER_FELL:
        (void)snprintf(out, LIVENESS_REASON_BYTES,
                       "lied: its counters fell from %" PRId64 "+%" PRId64 " to %" PRId64
                       "+%" PRId64 " tokens",
                       last->tokens, last->prefill_tokens, fallen->tokens, fallen->prefill_tokens);
        break;
    case LIVENESS_CANARY_FAILED:
        (void)snprintf(out, LIVENESS_REASON_BYTES,
                       "has failed for %" PRIu64 " ms to compute the one token asked of it", ms);
        break;
    }
}

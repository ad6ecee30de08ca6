/* Owns the rules of a circuit breaker. Knows no worker, no GPU, no clock and no store. */
#include "supervisor/breaker.h"

#include "common/mem.h"
#include "supervisor/restart.h"

#include <assert.h>
#include <string.h>

struct breaker_word {
    const char *text;
    const char *meaning;
};

static const struct breaker_word STATES[BREAKER_STATE_COUNT] = {
#define STATE(name, word, what) [BREAKER_##name] = {.text = word, .meaning = what},
#define CAUSE(name, word, what)
#include "supervisor/breaker.def"
#undef STATE
#undef CAUSE
};

static const struct breaker_word CAUSES[BREAKER_CAUSE_COUNT] = {
#define STATE(name, word, what)
#define CAUSE(name, word, what) [BREAKER_BY_##name] = {.text = word, .meaning = what},
#include "supervisor/breaker.def"
#undef STATE
#undef CAUSE
};

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){
        .state = BREAKER_CLOSED, .window_from_ms = INT64_MIN, .flap_from_ms = INT64_MIN};
}

/* ---- transitions: the one place that assigns the state ---- */

static bool breaker_set(struct breaker *breaker, enum breaker_state state, enum breaker_cause cause)
{
    bool is_change = breaker->state != state;

    breaker->state = state;
    breaker->cause = cause;
    breaker->has_probe = false;
    return is_change;
}

static bool breaker_open(struct breaker *breaker, const struct breaker_policy *policy,
                         enum breaker_cause cause, int64_t now_ms, uint32_t random)
{
    if (breaker->state == BREAKER_CLOSED)
        breaker->opened_by = cause;
    if (breaker->open_time_ms == 0)
        breaker->open_time_ms = policy->open_time_ms;
    if (breaker->open_time_ms > policy->open_max_ms)
        breaker->open_time_ms = policy->open_max_ms;
    breaker->until_ms = now_ms + restart_jitter_ms(breaker->open_time_ms, policy->jitter_pct,
                                                   policy->open_max_ms, random);
    breaker->trip_count++;
    return breaker_set(breaker, BREAKER_OPEN, cause);
}

bool breaker_trip(struct breaker *breaker, const struct breaker_policy *policy,
                  enum breaker_cause cause, int64_t now_ms, uint32_t random)
{
    if (breaker->state != BREAKER_CLOSED)
        return false;
    return breaker_open(breaker, policy, cause, now_ms, random);
}

bool breaker_half_open(struct breaker *breaker, enum breaker_cause cause)
{
    if (breaker->state != BREAKER_OPEN)
        return false;
    return breaker_set(breaker, BREAKER_HALF_OPEN, cause);
}

bool breaker_tick(struct breaker *breaker, int64_t now_ms)
{
    if (breaker->state != BREAKER_OPEN || now_ms < breaker->until_ms)
        return false;
    return breaker_half_open(breaker, BREAKER_BY_TIME_OVER);
}

bool breaker_force_open(struct breaker *breaker)
{
    breaker->opened_by = BREAKER_BY_PERSON;
    return breaker_set(breaker, BREAKER_FORCED_OPEN, BREAKER_BY_PERSON);
}

bool breaker_reset(struct breaker *breaker, int64_t now_ms)
{
    bool was_closed = breaker->state == BREAKER_CLOSED;

    breaker_init(breaker);
    breaker->window_from_ms = now_ms;
    breaker->flap_from_ms = now_ms;
    breaker->cause = BREAKER_BY_PERSON;
    return !was_closed;
}

/* ---- counting ---- */

/* The AGE-th newest failure, from 0. */
static const struct breaker_failure *breaker_failure_at(const struct breaker *breaker, size_t age)
{
    size_t index = breaker->failure_next + BREAKER_FAILURES_MAX_COUNT - 1 - age;

    return &breaker->failures[index % BREAKER_FAILURES_MAX_COUNT];
}

int64_t breaker_window_ms(const struct breaker *breaker, const struct breaker_policy *policy)
{
    int64_t window_ms = policy->window_ms;

    for (size_t age = 0; age < breaker->failure_count && (int64_t)age < policy->failures; age++) {
        int64_t stretched_ms = policy->failures * breaker_failure_at(breaker, age)->cycle_ms;

        if (stretched_ms > window_ms)
            window_ms = stretched_ms;
    }
    return window_ms;
}

/* Whether it says anything of how reliable the worker is. A configuration fault does not: it ends a
 * probe, and is then forgotten. */
static bool breaker_counts(const struct breaker_failure *failure, enum fault_class only)
{
    if (only != FAULT_NONE)
        return failure->fault == only;
    return fault_then(failure->fault) != FAULT_THEN_GIVE_UP;
}

/* Failures younger than WINDOW_MS and not before FROM_MS, of class ONLY (FAULT_NONE: of any). */
static int64_t breaker_count_since(const struct breaker *breaker, int64_t window_ms,
                                   int64_t from_ms, enum fault_class only, int64_t now_ms)
{
    int64_t count = 0;

    for (size_t age = 0; age < breaker->failure_count; age++) {
        const struct breaker_failure *failure = breaker_failure_at(breaker, age);

        if (failure->at_ms >= from_ms && now_ms - failure->at_ms < window_ms &&
            breaker_counts(failure, only))
            count++;
    }
    return count;
}

int64_t breaker_count(const struct breaker *breaker, const struct breaker_policy *policy,
                      int64_t now_ms)
{
    return breaker_count_since(breaker, breaker_window_ms(breaker, policy), breaker->window_from_ms,
                               FAULT_NONE, now_ms);
}

static enum breaker_cause breaker_judge(const struct breaker *breaker,
                                        const struct breaker_policy *policy, int64_t now_ms)
{
    int64_t gpu_faults = breaker_count_since(breaker, policy->window_ms, breaker->window_from_ms,
                                             FAULT_GPU_FAULT, now_ms);
    int64_t day = breaker_count_since(breaker, policy->flap_window_ms, breaker->flap_from_ms,
                                      FAULT_NONE, now_ms);

    if (policy->failures > 0 && breaker_count(breaker, policy, now_ms) >= policy->failures)
        return BREAKER_BY_WINDOW;
    if (policy->gpu_faults > 0 && gpu_faults >= policy->gpu_faults)
        return BREAKER_BY_WINDOW;
    if (policy->flap_failures > 0 && day >= policy->flap_failures)
        return BREAKER_BY_FLAPPING;
    return BREAKER_BY_NONE;
}

void breaker_remember(struct breaker *breaker, const struct breaker_failure *failure)
{
    breaker->failures[breaker->failure_next] = *failure;
    breaker->failure_next = (breaker->failure_next + 1) % BREAKER_FAILURES_MAX_COUNT;
    if (breaker->failure_count < BREAKER_FAILURES_MAX_COUNT)
        breaker->failure_count++;
}

bool breaker_record(struct breaker *breaker, const struct breaker_policy *policy,
                    const struct breaker_failure *failure, uint32_t random)
{
    enum breaker_cause cause = BREAKER_BY_NONE;

    breaker_remember(breaker, failure);
    switch (breaker->state) {
    case BREAKER_CLOSED:
        cause = breaker_judge(breaker, policy, failure->at_ms);
        if (cause == BREAKER_BY_NONE)
            return false;
        return breaker_open(breaker, policy, cause, failure->at_ms, random);
    case BREAKER_HALF_OPEN:
        cause = breaker->has_probe ? BREAKER_BY_PROBE_FAILED : BREAKER_BY_NO_PROBE;
        if (breaker->has_probe)
            breaker->open_time_ms *= 2;
        return breaker_open(breaker, policy, cause, failure->at_ms, random);
    case BREAKER_OPEN:
    case BREAKER_FORCED_OPEN:
    case BREAKER_STATE_COUNT:
        break;
    }
    return false;
}

/* ---- starts ---- */

bool breaker_allows_start(const struct breaker *breaker)
{
    return breaker->state == BREAKER_CLOSED ||
           (breaker->state == BREAKER_HALF_OPEN && !breaker->has_probe);
}

void breaker_on_start(struct breaker *breaker)
{
    assert(breaker_allows_start(breaker));
    breaker->has_probe = breaker->state == BREAKER_HALF_OPEN;
}

bool breaker_on_no_verdict(struct breaker *breaker, const struct breaker_policy *policy,
                           int64_t now_ms, uint32_t random)
{
    if (breaker->state != BREAKER_HALF_OPEN || !breaker->has_probe)
        return false;
    return breaker_open(breaker, policy, BREAKER_BY_NO_VERDICT, now_ms, random);
}

bool breaker_on_restored(struct breaker *breaker, const struct breaker_policy *policy,
                         bool is_new_boot, int64_t now_ms, uint32_t random)
{
    enum breaker_state before = breaker->state;

    (void)breaker_on_no_verdict(breaker, policy, now_ms, random);
    if (is_new_boot)
        (void)breaker_half_open(breaker, BREAKER_BY_REBOOT);
    return breaker->state != before;
}

/* What it closed over is forgiven for the short window; the day goes on counting, unless it was the
 * day's count that had opened it. */
bool breaker_on_probe_stable(struct breaker *breaker, int64_t now_ms)
{
    if (breaker->state != BREAKER_HALF_OPEN || !breaker->has_probe)
        return false;
    breaker->window_from_ms = now_ms;
    if (breaker->opened_by == BREAKER_BY_FLAPPING)
        breaker->flap_from_ms = now_ms;
    breaker->opened_by = BREAKER_BY_NONE;
    return breaker_set(breaker, BREAKER_CLOSED, BREAKER_BY_PROBE_GOOD);
}

void breaker_on_stable(struct breaker *breaker)
{
    breaker->open_time_ms = 0;
}

/* ---- words ---- */

const char *breaker_state_name(enum breaker_state state)
{
    assert(state < BREAKER_STATE_COUNT);
    return STATES[state].text;
}

const char *breaker_cause_name(enum breaker_cause cause)
{
    assert(cause < BREAKER_CAUSE_COUNT);
    return CAUSES[cause].text;
}

const char *breaker_cause_meaning(enum breaker_cause cause)
{
    assert(cause < BREAKER_CAUSE_COUNT);
    return CAUSES[cause].meaning;
}

static int breaker_find_word(const struct breaker_word *words, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i].text, text) == 0)
            return (int)i;
    }
    return -1;
}

bool breaker_state_of_name(const char *name, enum breaker_state *out)
{
    int index = breaker_find_word(STATES, BREAKER_STATE_COUNT, name);

    if (index < 0)
        return false;
    *out = (enum breaker_state)index;
    return true;
}

enum breaker_cause breaker_cause_of_name(const char *name)
{
    int index = breaker_find_word(CAUSES, BREAKER_CAUSE_COUNT, name);

    return index < 0 ? BREAKER_BY_NONE : (enum breaker_cause)index;
}

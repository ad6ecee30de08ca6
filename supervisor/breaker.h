/* A circuit breaker, one for each worker and one for each GPU: stops starts that will not help.
 * Pure: time comes in as monotonic milliseconds (they may be negative: before the boot), chance as
 * a number.
 *
 *   closed       starts are allowed; failures are counted
 *   open         no start until `until_ms`
 *   half_open    exactly one start, the probe; it ends in one of three ways:
 *                stable  → closed
 *                failure → open, the open time doubled
 *                neither → open, the open time as it was
 *              (a failure of what ran before, on a GPU, opens it as well; that is no failed probe)
 *   forced_open  a person's; only a reset ends it
 *
 * It never closes by itself: a probe or a person does that. */
#ifndef RBEE_SUPERVISOR_BREAKER_H
#define RBEE_SUPERVISOR_BREAKER_H

#include "supervisor/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum breaker_state {
#define STATE(name, text, meaning) BREAKER_##name,
#define CAUSE(name, text, meaning)
#include "supervisor/breaker.def"
#undef STATE
#undef CAUSE
    BREAKER_STATE_COUNT,
};

enum breaker_cause {
#define STATE(name, text, meaning)
#define CAUSE(name, text, meaning) BREAKER_BY_##name,
#include "supervisor/breaker.def"
#undef STATE
#undef CAUSE
    BREAKER_CAUSE_COUNT,
};

/* Failures that are remembered; no limit of the policy may be above it. */
enum { BREAKER_FAILURES_MAX_COUNT = 64 };

/* A limit of 0 is none. */
struct breaker_policy {
    int64_t failures; /* so many in window_ms open it */
    int64_t window_ms;
    int64_t open_time_ms; /* the first time; doubled on each failed probe */
    int64_t open_max_ms;
    int64_t probe_stable_ms; /* ready for so long closes it */
    int64_t flap_failures;   /* so many in flap_window_ms open it as well */
    int64_t flap_window_ms;
    int64_t gpu_faults; /* so many of class gpu_fault in window_ms open it; 0 for a worker's */
    int64_t jitter_pct; /* of the open time */
};

struct breaker_failure {
    int64_t at_ms;
    int64_t cycle_ms; /* the wait and the load that came before it: see breaker_window_ms() */
    enum fault_class fault;
};

struct breaker {
    enum breaker_state state;
    enum breaker_cause cause;     /* of the last transition */
    enum breaker_cause opened_by; /* not closed: what it opened for in the first place */
    int64_t until_ms;             /* open: when it becomes half-open */
    int64_t open_time_ms; /* of the last opening, before jitter; 0: the next is a first one */
    int64_t trip_count;   /* openings ever, but for a person's */
    bool has_probe;       /* half-open: its one start has been made */
    /* What a closing or a reset has forgiven does not count again. */
    int64_t window_from_ms;
    int64_t flap_from_ms;
    struct breaker_failure failures[BREAKER_FAILURES_MAX_COUNT]; /* a ring */
    size_t failure_next;
    size_t failure_count;
};

/* Closed, with nothing counted. */
void breaker_init(struct breaker *breaker);

/* Counts FAILURE. Closed: opens when a window is full. Half-open: opens, and the time is doubled
 * when there has been a probe. Returns whether the state changed. */
bool breaker_record(struct breaker *breaker, const struct breaker_policy *policy,
                    const struct breaker_failure *failure, uint32_t random);
/* Only remembers FAILURE, as it was counted before: for what comes out of the store, oldest first.
 */
void breaker_remember(struct breaker *breaker, const struct breaker_failure *failure);
/* Closed becomes open for a reason that is not its own. Other states stay. */
bool breaker_trip(struct breaker *breaker, const struct breaker_policy *policy,
                  enum breaker_cause cause, int64_t now_ms, uint32_t random);
/* Open becomes half-open when its time has come. */
bool breaker_tick(struct breaker *breaker, int64_t now_ms);
/* Open becomes half-open for another reason than its time. */
bool breaker_half_open(struct breaker *breaker, enum breaker_cause cause);

/* It has come out of the store: a probe that was under way is gone with the supervisor that made
 * it, without a verdict, and after a reboot it need not wait for the end of its open time. Returns
 * whether the state changed. */
bool breaker_on_restored(struct breaker *breaker, const struct breaker_policy *policy,
                         bool is_new_boot, int64_t now_ms, uint32_t random);

/* Whether a start may be made now. */
bool breaker_allows_start(const struct breaker *breaker);
/* A start is made, after everybody else has been asked: while half-open it is the probe. */
void breaker_on_start(struct breaker *breaker);
/* The start ended without a verdict (stopped, held, evicted, the supervisor gone): a probe opens it
 * again, for as long as before. */
bool breaker_on_no_verdict(struct breaker *breaker, const struct breaker_policy *policy,
                           int64_t now_ms, uint32_t random);
/* Ready for probe_stable_ms: a probe closes it. */
bool breaker_on_probe_stable(struct breaker *breaker, int64_t now_ms);
/* Ready for the restart policy's stable_after_ms: the next opening is a first one again. */
void breaker_on_stable(struct breaker *breaker);

bool breaker_force_open(struct breaker *breaker);
/* Closed, counts 0. */
bool breaker_reset(struct breaker *breaker, int64_t now_ms);

/* Failures that count now in the short window. */
int64_t breaker_count(const struct breaker *breaker, const struct breaker_policy *policy,
                      int64_t now_ms);
/* The short window, stretched where one round of a crash loop takes long: policy->failures rounds
 * must fit into it, else a slow loop would never be seen. */
int64_t breaker_window_ms(const struct breaker *breaker, const struct breaker_policy *policy);

const char *breaker_state_name(enum breaker_state state);
const char *breaker_cause_name(enum breaker_cause cause);
/* A sentence without full stop; "" for NONE. */
const char *breaker_cause_meaning(enum breaker_cause cause);
/* False when NAME is none of ours: an unreadable breaker counts as open. */
bool breaker_state_of_name(const char *name, enum breaker_state *out);
enum breaker_cause breaker_cause_of_name(const char *name);

#endif

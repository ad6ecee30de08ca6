/* Whether, and when, a worker is started again: its restart policy, its circuit breaker, a hold and
 * a fault that no restart mends, in one place. Pure; worker_recovery.c carries it out.
 *
 * A worker without a process rests in one of five ways, and recovery_rest() alone says which:
 *
 *   held      a person keeps it down
 *   failed    no restart helps: a configuration fault, or out of memory twice
 *   open      its breaker is not closed
 *   waiting   for the restart that is due at `due_ms`
 *   down      none of these: it may be started
 *
 * A failed one is left by a person's start, a reset or a changed model file. */
#ifndef RBEE_SUPERVISOR_RECOVERY_H
#define RBEE_SUPERVISOR_RECOVERY_H

#include "supervisor/breaker.h"
#include "supervisor/fault.h"
#include "supervisor/restart.h"

#include <stdbool.h>
#include <stdint.h>

struct recovery_policy {
    struct restart_policy restart;
    struct breaker_policy breaker;
};

enum recovery_rest {
    RECOVERY_DOWN,
    RECOVERY_WAITING,
    RECOVERY_OPEN,
    RECOVERY_HELD,
    RECOVERY_FAILED,
};

/* Who wants a start. */
enum recovery_asker {
    RECOVERY_PERSON,    /* begins a new incident; a failed worker starts, an open or held one not */
    RECOVERY_REQUEST,   /* never shortens a back-off */
    RECOVERY_OURSELVES, /* a restart that is due, a probe, or what is wanted up */
};

struct recovery {
    struct restart restart;
    struct breaker breaker;
    bool is_held;
    bool has_failed_for_good;
    bool is_reduced; /* started with less memory since it ran out of it */
    bool is_waiting; /* a restart is due at due_ms; never while it is held, failed or open */
    /* It has failed and has not been started since: the next start is a restart. What follows a
     * stop is none, however often requests start a worker that idleness stops. */
    bool owes_restart;
    int64_t due_ms;
    int64_t delay_ms;       /* the wait before the last restart: part of breaker_failure.cycle_ms */
    int64_t ready_ms;       /* INT64_MIN: not ready */
    enum fault_class fault; /* of the last failure; stays until the next one or a reset */
};

void recovery_init(struct recovery *recovery);

/* How it rests when it has no process. */
enum recovery_rest recovery_rest(const struct recovery *recovery);
/* Whether ASKER may start it now. Says nothing of guards and devices. */
bool recovery_allows(const struct recovery *recovery, enum recovery_asker asker);

/* A person wants a start, and it is allowed: a new incident begins, and what has failed has not any
 * more. Done when it is asked for, because the start itself may have to wait for its device. */
void recovery_on_person(struct recovery *recovery);
/* A process is about to be made for ASKER. */
void recovery_on_start(struct recovery *recovery, enum recovery_asker asker);
/* Its model is loaded and one token has been computed: stability counts from here. */
void recovery_on_ready(struct recovery *recovery, int64_t now_ms);
/* Its process ended by FAULT, which is not NONE. LOAD_MS is what its load took, or has taken. News
 * of an end may overtake a timer: who was ready until now ticks first. */
void recovery_on_fault(struct recovery *recovery, const struct recovery_policy *policy,
                       enum fault_class fault, int64_t load_ms, int64_t now_ms, uint32_t random);
/* Its process ended as asked. For a probe that is no verdict. */
void recovery_on_end(struct recovery *recovery, const struct recovery_policy *policy,
                     int64_t now_ms, uint32_t random);
/* A restart that nobody wants any more, or a person's stop: the wait is over without one. */
void recovery_on_lapse(struct recovery *recovery);

/* The next moment at which recovery_tick() has something to do; INT64_MAX: none. */
int64_t recovery_next_ms(const struct recovery *recovery, const struct recovery_policy *policy);
/* Does what time alone does: open → half-open, a probe that is stable, an incident that is over. */
void recovery_tick(struct recovery *recovery, const struct recovery_policy *policy, int64_t now_ms);

void recovery_hold(struct recovery *recovery);
void recovery_release(struct recovery *recovery);
/* A person's: no start until a reset. A process that runs goes on. */
void recovery_force_open(struct recovery *recovery);
/* A person's reset: closed, counts 0, and a fault for good is forgiven as well. */
void recovery_reset(struct recovery *recovery, int64_t now_ms);
/* The model's file is another one: what was wrong with it, or too much of it, is gone, and its next
 * failure begins a new incident. */
void recovery_on_model_changed(struct recovery *recovery);

#endif

/* Owns what people do to a worker by hand: hold, release, its circuit breaker. A start, a stop and
 * a restart are wishes (worker_wish.c). What must be on disk before somebody is told is the
 * caller's business. */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/breaker_text.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <string.h>

static void worker_set_text(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

static void worker_tell_people(const struct worker *worker, const char *kind, const char *reason)
{
    journal_event(
        worker->supervisor, kind, worker->name, "",
        json_pack("{s:s, s:s}", "state", life_state_name(worker->state), "reason", reason));
}

/* ---- holds ---- */

void worker_hold(struct worker *worker, const char *reason)
{
    worker_set_text(&worker->held_reason, reason);
    worker->held_ms = clock_wall_ms();
    recovery_hold(&worker->recovery);
    worker_tell_people(worker, "worker_hold", reason);
    audit_worker_people(worker, AUDIT_WORKER_HOLD, reason);
}

void worker_hold_begin(struct worker *worker)
{
    struct err cause = ERR_INIT;

    if (!worker->recovery.is_held)
        return; /* released while its row was written */
    worker_explain_held(worker, &cause);
    if (life_has_process(worker->state)) {
        worker_stop(worker, WORKER_STOP_HELD, worker_drain_ms(worker));
    } else {
        worker->postponed = (struct worker_postponed){0};
        worker_step(worker, LIFE_ON_HOLD, &cause);
    }
    waiter_check(worker); /* its state may be the same as before */
}

void worker_release(struct worker *worker)
{
    struct err cause = ERR_INIT;

    if (!worker->recovery.is_held)
        return;
    worker_tell_people(worker, "worker_release", worker->held_reason);
    audit_worker_people(worker, AUDIT_WORKER_RELEASE, worker->held_reason);
    err_fill(&cause, ERR_WORKER_DOWN, "released by a person");
    worker_set_text(&worker->held_reason, "");
    worker->held_ms = 0;
    recovery_release(&worker->recovery);
    switch (worker->state) {
    case LIFE_HELD:
        worker_step(worker, LIFE_ON_RELEASED, &cause);
        worker_come_to_rest(worker, &cause);
        break;
    case LIFE_WAITING: /* the hold had not begun, and has taken away what it waits for */
        worker_restart_due(worker);
        break;
    case LIFE_DRAINING:
    case LIFE_STOPPING:
        worker->stop_cause = WORKER_STOP_ASKED;
        if (worker->wanted_up && !worker->starts_again)
            worker_start_again(worker, RECOVERY_OURSELVES, &worker->options);
        break;
    default:
        break;
    }
}

/* ---- its breaker ---- */

void worker_breaker_reset(struct worker *worker)
{
    struct err cause = ERR_INIT;
    struct breaker before = worker->recovery.breaker;

    err_fill(&cause, ERR_WORKER_DOWN, "reset by a person");
    worker_set_text(&worker->breaker_reason, "");
    recovery_reset(&worker->recovery, (int64_t)clock_monotonic_ms());
    journal_worker_breaker(worker, &before);
    switch (worker->state) {
    case LIFE_OPEN:
    case LIFE_FAILED:
        worker->postponed = (struct worker_postponed){0};
        worker_step(worker, LIFE_ON_RESET, &cause);
        worker_come_to_rest(worker, &cause);
        break;
    case LIFE_WAITING:
        worker_restart_due(worker);
        break;
    default:
        worker_arm_deadline(worker);
        waiter_check(worker); /* for its circuit to close */
        break;
    }
}

/* No restart is made any more, and the one that was to follow a stop is taken back. */
void worker_breaker_open(struct worker *worker, const char *reason)
{
    struct err cause = ERR_INIT;
    struct breaker before = worker->recovery.breaker;

    worker_set_text(&worker->breaker_reason, reason);
    recovery_force_open(&worker->recovery);
    journal_worker_breaker(worker, &before);
    worker_explain_open(worker, &cause);
    worker_take_back_restart(worker, &cause);
    if (!life_has_process(worker->state))
        worker->postponed = (struct worker_postponed){0};
    worker_step(worker, LIFE_ON_TRIPPED, &cause);
    worker_arm_deadline(worker);
    waiter_check(worker);
}

json_t *worker_breaker_record(const struct worker *worker)
{
    const struct breaker_subject subject = {
        .kind = "worker",
        .name = worker->name,
        .last_words = worker->last_words,
        .reason = worker->breaker_reason,
    };

    return breaker_to_json(&worker->recovery.breaker, &worker->supervisor->policy.worker.breaker,
                           &subject);
}

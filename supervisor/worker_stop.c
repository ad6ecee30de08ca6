/* Owns the end of a worker's process: what its deadlines do, from the load to KILL, and the
 * signals.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>

enum {
    /* KILL takes effect at once unless the process hangs in the kernel (a dead disk, a dead GPU).
     */
    KILL_GRACE_MS = 10000,
};

/* The leader is not reaped before worker_on_exit() is done, so its id, which is the group's, cannot
 * be another's. Should it have left its group, it is still reached by its pidfd. */
void worker_signal(struct worker *worker, int signal)
{
    if (worker->process.pid <= 0)
        return;
    if (kill(-worker->process.pid, signal) == 0)
        return;
    if (pidfd_send_signal(worker->process.pidfd, signal, NULL, 0) != 0 && errno != ESRCH)
        log_event(LOG_ERROR, "worker_signal_failed", "name=%s pid=%d signal=%d error=%m",
                  worker->name, (int)worker->process.pid, signal);
}

void worker_judge(struct worker *worker, enum fault_class fault, const char *exit)
{
    worker->process.was_judged = true;
    worker->process.fault = fault;
    worker->has_failed = true;
    free(worker->last_exit);
    worker->last_exit = xstrdup(exit);
}

void worker_load_is_overdue(struct worker *worker, const struct err *why)
{
    const char *note = worker->load.note;
    AUTO_FREE char *exit =
        xasprintf("killed: its load was overdue%s%s", note[0] == '\0' ? "" : ": ", note);

    worker_judge(worker, FAULT_LOAD_TIMEOUT, exit);
    worker_step(worker, LIFE_ON_LOAD_OVERDUE, why);
}

void worker_drain_is_over(struct worker *worker)
{
    struct err cause = ERR_INIT;

    err_fill(&cause, ERR_WORKER_DRAINING, "worker %s was stopped before the answer was complete",
             worker->name);
    worker_step(worker, LIFE_ON_DRAINED, &cause);
}

void worker_grace_is_over(struct worker *worker)
{
    struct err cause = ERR_INIT;

    if (worker->process.is_killed) {
        err_fill(&cause, ERR_WORKER_FAILED, "worker %s survived KILL", worker->name);
        worker_step(worker, LIFE_ON_KILL_OVER, &cause);
        return;
    }
    worker_explain_stop(worker, &cause);
    worker_step(worker, LIFE_ON_GRACE_OVER, &cause);
}

int64_t worker_stop_due_ms(const struct worker *worker)
{
    const struct config *config = worker->supervisor->config;
    int64_t grace_ms =
        worker->process.is_killed ? KILL_GRACE_MS : config_number(config, CONFIG_life_term_grace);

    return worker->stage_since_ms +
           (worker->state == LIFE_DRAINING ? (int64_t)worker->drain_ms : grace_ms);
}

void worker_explain_stop(const struct worker *worker, struct err *out)
{
    if (worker->stop_cause == WORKER_STOP_SHUTDOWN)
        err_fill(out, ERR_BUSY, "the supervisor is stopping");
    else if (worker->stop_cause == WORKER_STOP_HELD)
        err_fill(out, ERR_WORKER_HELD, "worker %s is held: rbee worker release %s", worker->name,
                 worker->name);
    else if (worker->stop_cause == WORKER_STOP_EVICTED)
        err_fill(out, ERR_WORKER_DRAINING, "worker %s is evicted: %s needs its room", worker->name,
                 worker->evicted_for);
    else
        err_fill(out, ERR_WORKER_DRAINING, "worker %s is being stopped", worker->name);
}

void worker_take_back_restart(struct worker *worker, const struct err *cause)
{
    if (!worker->starts_again)
        return;
    worker->starts_again = false;
    request_fail_waiting(worker, cause);
}

uint64_t worker_drain_ms(const struct worker *worker)
{
    return (uint64_t)config_number(worker->supervisor->config, CONFIG_life_drain);
}

void worker_stop(struct worker *worker, enum worker_stop_cause cause, uint64_t drain_ms)
{
    struct err why = ERR_INIT;

    worker->stop_cause = cause;
    worker_explain_stop(worker, &why);
    worker_take_back_restart(worker, &why);
    if (worker->state == LIFE_DRAINING) {
        drain_ms += (uint64_t)((int64_t)clock_monotonic_ms() - worker->stage_since_ms);
        if (drain_ms < worker->drain_ms) {
            worker->drain_ms = drain_ms;
            worker_arm_deadline(worker);
        }
        return;
    }
    worker->drain_ms = drain_ms;
    if (worker->state == LIFE_WAITING && cause == WORKER_STOP_SHUTDOWN) {
        request_fail_waiting(worker, &why); /* the restart stays due, for the next supervisor */
        return;
    }
    worker_lapse(worker);
    worker_step(worker, LIFE_ON_STOP, &why);
}

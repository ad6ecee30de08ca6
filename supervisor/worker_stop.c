/* Owns the end of a worker's process: its deadlines, from the load to KILL, and the signals. One
 * timer serves all states, because a worker is in one:
 *
 *   starting  the load is overdue
 *   ready     idle for too long
 *   draining  what runs has had its time
 *   stopping  TERM has been ignored; after KILL: it survived that */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <errno.h>
#include <event2/event.h>
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

static void worker_load_is_overdue(struct worker *worker, const struct err *why)
{
    worker->process.is_overdue = true;
    worker->has_failed = true;
    free(worker->last_exit);
    worker->last_exit = xstrdup("killed: its load was overdue");
    worker_step(worker, LIFE_ON_LOAD_OVERDUE, why);
}

static void worker_drain_is_over(struct worker *worker)
{
    struct err cause = ERR_INIT;

    err_fill(&cause, ERR_WORKER_DRAINING, "worker %s was stopped before the answer was complete",
             worker->name);
    worker_step(worker, LIFE_ON_DRAINED, &cause);
}

static void worker_grace_is_over(struct worker *worker)
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

static bool worker_stops_when_idle(const struct worker *worker)
{
    return !worker->wanted_up && worker->in_flight_count == 0 && worker->queued_count == 0 &&
           config_number(worker->supervisor->config, CONFIG_life_idle_stop) > 0;
}

static uint64_t worker_idle_left_ms(const struct worker *worker)
{
    uint64_t ends_ms = worker->idle_since_ms +
                       (uint64_t)config_number(worker->supervisor->config, CONFIG_life_idle_stop);
    uint64_t now_ms = clock_monotonic_ms();

    return now_ms >= ends_ms ? 0 : ends_ms - now_ms;
}

static void worker_on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    struct err why = ERR_INIT;

    switch (worker->state) {
    case LIFE_STARTING:
        if (worker_watch_load_left_ms(worker, &why) == 0)
            worker_load_is_overdue(worker, &why);
        else
            worker_arm_deadline(worker); /* there has been progress since */
        break;
    case LIFE_READY:
        if (worker_stops_when_idle(worker) && worker_idle_left_ms(worker) == 0)
            worker_stop(worker, WORKER_STOP_IDLE, 0);
        else
            worker_arm_deadline(worker);
        break;
    case LIFE_DRAINING:
        worker_drain_is_over(worker);
        break;
    case LIFE_STOPPING:
        worker_grace_is_over(worker);
        break;
    case LIFE_DOWN:
    case LIFE_FAILED:
    case LIFE_LOST:
    case LIFE_STATE_COUNT:
        break;
    }
}

static void worker_set_deadline(struct worker *worker, uint64_t ms)
{
    struct timeval after = {.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    (void)evtimer_add(worker->deadline, &after); /* fails only without memory */
}

void worker_arm_deadline(struct worker *worker)
{
    const struct config *config = worker->supervisor->config;
    struct err ignored = ERR_INIT;

    (void)evtimer_del(worker->deadline); /* one that is not set is no failure */
    switch (worker->state) {
    case LIFE_STARTING:
        worker_set_deadline(worker, worker_watch_load_left_ms(worker, &ignored));
        break;
    case LIFE_READY:
        if (worker_stops_when_idle(worker))
            worker_set_deadline(worker, worker_idle_left_ms(worker));
        break;
    case LIFE_DRAINING:
        worker_set_deadline(worker, worker->drain_ms);
        break;
    case LIFE_STOPPING:
        worker_set_deadline(worker, worker->process.is_killed
                                        ? KILL_GRACE_MS
                                        : (uint64_t)config_number(config, CONFIG_life_term_grace));
        break;
    case LIFE_DOWN:
    case LIFE_FAILED:
    case LIFE_LOST:
    case LIFE_STATE_COUNT:
        break;
    }
}

void worker_deadline_init(struct worker *worker)
{
    worker->deadline = evtimer_new(worker->supervisor->base, worker_on_deadline, worker);
}

void worker_explain_stop(const struct worker *worker, struct err *out)
{
    if (worker->stop_cause == WORKER_STOP_SHUTDOWN)
        err_fill(out, ERR_BUSY, "the supervisor is stopping");
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

void worker_stop(struct worker *worker, enum worker_stop_cause cause, uint64_t drain_ms)
{
    struct err why = ERR_INIT;

    worker->stop_cause = cause;
    worker_explain_stop(worker, &why);
    worker_take_back_restart(worker, &why);
    if (worker->state == LIFE_DRAINING) {
        if (drain_ms < worker->drain_ms) {
            worker->drain_ms = drain_ms;
            worker_arm_deadline(worker);
        }
        return;
    }
    worker->drain_ms = drain_ms;
    worker_step(worker, LIFE_ON_STOP, &why);
}

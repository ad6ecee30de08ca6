/* Owns a worker's one timer. It is set for the earliest moment at which the state it is in has
 * something to do, always from absolute times, so that setting it again changes nothing:
 *
 *   starting            the load is overdue
 *   ready               idle for too long; a probe that is stable; an incident that is over
 *   draining            what runs has had its time
 *   stopping            TERM has been ignored; after KILL: it survived that
 *   waiting, open       the restart is due; the open time is over */
#include "common/clock.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"
#include "supervisor/worker.h"

#include <event2/event.h>

static bool worker_stops_when_idle(const struct worker *worker)
{
    return !worker->wanted_up && !worker->is_pinned && worker->in_flight_count == 0 &&
           worker->queued_count == 0 &&
           config_number(worker->supervisor->config, CONFIG_life_idle_stop) > 0;
}

static int64_t worker_idle_due_ms(const struct worker *worker)
{
    if (!worker_stops_when_idle(worker))
        return INT64_MAX;
    return (int64_t)worker->idle_since_ms +
           config_number(worker->supervisor->config, CONFIG_life_idle_stop);
}

static int64_t worker_load_due_ms(const struct worker *worker)
{
    struct err ignored = ERR_INIT;

    return (int64_t)(clock_monotonic_ms() + worker_watch_load_left_ms(worker, &ignored));
}

static int64_t worker_due_ms(const struct worker *worker)
{
    int64_t recovery_ms = worker_recovery_due_ms(worker);
    int64_t idle_ms = 0;

    switch (worker->state) {
    case LIFE_STARTING:
        return worker_load_due_ms(worker);
    case LIFE_READY:
        idle_ms = worker_idle_due_ms(worker);
        return idle_ms < recovery_ms ? idle_ms : recovery_ms;
    case LIFE_WAITING:
    case LIFE_OPEN:
        return worker->supervisor->is_stopping ? INT64_MAX : recovery_ms;
    case LIFE_DRAINING:
    case LIFE_STOPPING:
        return worker_stop_due_ms(worker);
    case LIFE_DOWN:
    case LIFE_HELD:
    case LIFE_FAILED:
    case LIFE_LOST:
    case LIFE_STATE_COUNT:
        break;
    }
    return INT64_MAX;
}

static void worker_on_time(struct worker *worker, int64_t now_ms)
{
    struct err why = ERR_INIT;

    switch (worker->state) {
    case LIFE_STARTING:
        if (worker_watch_load_left_ms(worker, &why) == 0)
            worker_load_is_overdue(worker, &why);
        break;
    case LIFE_READY:
        if (worker_idle_due_ms(worker) <= now_ms)
            worker_stop(worker, WORKER_STOP_IDLE, 0);
        else
            worker_recovery_on_due(worker);
        break;
    case LIFE_WAITING:
    case LIFE_OPEN:
        worker_recovery_on_due(worker);
        break;
    case LIFE_DRAINING:
        worker_drain_is_over(worker);
        break;
    case LIFE_STOPPING:
        worker_grace_is_over(worker);
        break;
    case LIFE_DOWN:
    case LIFE_HELD:
    case LIFE_FAILED:
    case LIFE_LOST:
    case LIFE_STATE_COUNT:
        break;
    }
}

static void worker_on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    int64_t now_ms = (int64_t)clock_monotonic_ms();

    /* The event loop's clock and ours may differ by a millisecond, and a load may have progressed.
     */
    if (worker_due_ms(worker) <= now_ms)
        worker_on_time(worker, now_ms);
    worker_arm_deadline(worker);
}

void worker_arm_deadline(struct worker *worker)
{
    timer_arm_at(worker->deadline, worker_due_ms(worker));
}

void worker_deadline_init(struct worker *worker)
{
    worker->deadline = evtimer_new(worker->supervisor->base, worker_on_deadline, worker);
}

/* Owns the clients that wait for a worker. Decides when a wait is over, not what a worker does. */
#include "supervisor/waiter.h"

#include "common/json.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"

#include <stddef.h>

struct waiter {
    TAILQ_ENTRY(waiter) link;
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    struct worker *worker;
    enum waiter_goal goal;
};

static void waiter_free(struct waiter *waiter)
{
    TAILQ_REMOVE(&waiter->supervisor->waiters, waiter, link);
    free(waiter);
}

static void waiter_on_closed(struct api_held *held)
{
    waiter_free(CONTAINER_OF(held, struct waiter, held));
}

/* Its start has been made, or waits for its turn; a first process that could not be made is an
 * error to who asked for it, whatever comes after. */
static bool worker_is_under_way(const struct worker *worker)
{
    if (worker->state == LIFE_DRAINING || worker->state == LIFE_STOPPING)
        return worker->starts_again;
    return worker->process.pid > 0 ||
           (worker->state == LIFE_WAITING && !worker->has_failed && worker_may_come(worker) &&
            worker->postponed.answer != DEVICE_PENDING);
}

/* 1: the goal is there. 0: it may still come. -1: it cannot come by itself; OUT says why. */
static int waiter_judge_ready(const struct worker *worker, enum waiter_goal goal, struct err *out)
{
    bool is_idle = worker->in_flight_count == 0 && worker->queued_count == 0;

    if (worker->state == LIFE_READY)
        return goal != WAITER_IDLE || is_idle;
    if (goal == WAITER_SPAWNED && worker_is_under_way(worker))
        return 1;
    if (worker_may_come(worker) && !(goal == WAITER_SPAWNED && worker->state == LIFE_WAITING &&
                                     worker->postponed.answer != DEVICE_PENDING))
        return 0;
    if ((worker->state == LIFE_DRAINING || worker->state == LIFE_STOPPING) &&
        !worker->recovery.is_held)
        return err_set(out, ERR_WORKER_DRAINING,
                       "worker %s is stopping; once it has, rbee worker start %s", worker->name,
                       worker->name);
    worker_explain(worker, out);
    return -1;
}

/* Closed by the probe alone, which is under way, or comes by itself when the open time is over. */
static int waiter_judge_closed(const struct worker *worker, struct err *out)
{
    const struct breaker *breaker = &worker->recovery.breaker;

    if (breaker->state == BREAKER_CLOSED)
        return 1;
    if (breaker->has_probe || (breaker->state != BREAKER_FORCED_OPEN &&
                               worker->state == LIFE_OPEN && worker_probes_by_itself(worker)))
        return 0;
    if (worker->recovery.is_held || worker->state == LIFE_FAILED)
        worker_explain(worker, out);
    else
        worker_explain_open(worker, out);
    return -1;
}

static int waiter_judge(const struct worker *worker, enum waiter_goal goal, struct err *out)
{
    if (goal == WAITER_CLOSED)
        return waiter_judge_closed(worker, out);
    if (worker->state == LIFE_LOST) {
        worker_explain(worker, out);
        return -1;
    }
    if (goal == WAITER_STOPPED)
        return !life_has_process(worker->state);
    return waiter_judge_ready(worker, goal, out);
}

static void waiter_reply(struct http_exchange *exchange, struct worker *worker,
                         enum waiter_goal goal, int verdict, const struct err *cause)
{
    AUTO_JSON json_t *record = NULL;

    if (verdict < 0) {
        api_reply_error(exchange, cause, NULL);
        return;
    }
    record = worker_record(worker);
    http_reply_json(exchange, goal == WAITER_SPAWNED ? 202 : 200, record);
}

void waiter_begin(struct api_call *call, struct worker *worker, enum waiter_goal goal)
{
    struct err cause = ERR_INIT;
    int verdict = waiter_judge(worker, goal, &cause);
    struct waiter *waiter = NULL;

    if (verdict != 0) {
        waiter_reply(call->exchange, worker, goal, verdict, &cause);
        return;
    }
    waiter = xcalloc(1, sizeof(*waiter));
    waiter->held.on_closed = waiter_on_closed;
    waiter->supervisor = call->supervisor;
    waiter->exchange = call->exchange;
    waiter->worker = worker;
    waiter->goal = goal;
    TAILQ_INSERT_TAIL(&call->supervisor->waiters, waiter, link);
    api_hold(call, &waiter->held);
}

static void waiter_end(struct waiter *waiter, int verdict, const struct err *cause)
{
    api_release(waiter->exchange);
    waiter_reply(waiter->exchange, waiter->worker, waiter->goal, verdict, cause);
    waiter_free(waiter);
}

void waiter_fail(struct worker *worker, const struct err *cause)
{
    struct waiter *next = NULL;

    for (struct waiter *waiter = TAILQ_FIRST(&worker->supervisor->waiters); waiter != NULL;
         waiter = next) {
        next = TAILQ_NEXT(waiter, link);
        if (waiter->worker == worker)
            waiter_end(waiter, -1, cause);
    }
}

void waiter_check(struct worker *worker)
{
    struct waiter *next = NULL;

    for (struct waiter *waiter = TAILQ_FIRST(&worker->supervisor->waiters); waiter != NULL;
         waiter = next) {
        struct err cause = ERR_INIT;
        int verdict = 0;

        next = TAILQ_NEXT(waiter, link);
        if (waiter->worker != worker)
            continue;
        verdict = waiter_judge(worker, waiter->goal, &cause);
        if (verdict == 0)
            continue;
        waiter_end(waiter, verdict, &cause);
    }
}

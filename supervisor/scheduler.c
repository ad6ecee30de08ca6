/* Owns the decision which request starts, waits or is refused. Knows no request and no process. */
#include "supervisor/scheduler.h"

static enum scheduler_verdict scheduler_refuse(enum err_kind kind, enum err_kind *out_refusal)
{
    *out_refusal = kind;
    return SCHEDULER_REFUSE;
}

static enum scheduler_verdict scheduler_queue(const struct scheduler_view *view,
                                              enum scheduler_verdict verdict,
                                              enum err_kind *out_refusal)
{
    if (view->queued_count >= view->queue_max_count)
        return scheduler_refuse(ERR_QUEUE_FULL, out_refusal);
    return verdict;
}

/* Requests never overtake each other: a free slot is for the oldest that waits. */
static enum scheduler_verdict scheduler_admit_ready(const struct scheduler_view *view,
                                                    enum err_kind *out_refusal)
{
    if (view->queued_count == 0 && view->in_flight_count < view->slot_count)
        return SCHEDULER_DISPATCH;
    return scheduler_queue(view, SCHEDULER_QUEUE, out_refusal);
}

/* The wait for a start is not one in the queue: with `queue = 0` a worker can still be started. */
static enum scheduler_verdict scheduler_admit_down(const struct scheduler_view *view,
                                                   enum err_kind *out_refusal)
{
    if (!view->may_start)
        return scheduler_refuse(ERR_WORKER_DOWN, out_refusal);
    return SCHEDULER_START;
}

enum scheduler_verdict scheduler_admit(const struct scheduler_view *view,
                                       enum err_kind *out_refusal)
{
    switch (view->state) {
    case LIFE_DOWN:
        return scheduler_admit_down(view, out_refusal);
    case LIFE_STARTING:
        /* A probe is for the one that asked for it; others would wait for what is not likely. */
        if (view->is_probing)
            return scheduler_refuse(ERR_CIRCUIT_OPEN, out_refusal);
        return scheduler_queue(view, SCHEDULER_QUEUE, out_refusal);
    case LIFE_WAITING:
        if (view->has_no_room)
            return scheduler_refuse(ERR_NO_MEMORY, out_refusal);
        return scheduler_queue(view, SCHEDULER_QUEUE, out_refusal);
    case LIFE_OPEN:
        if (view->allows_probe && view->may_start)
            return SCHEDULER_START;
        return scheduler_refuse(ERR_CIRCUIT_OPEN, out_refusal);
    case LIFE_HELD:
        return scheduler_refuse(ERR_WORKER_HELD, out_refusal);
    case LIFE_READY:
        return scheduler_admit_ready(view, out_refusal);
    case LIFE_DRAINING:
    case LIFE_STOPPING:
        if (view->starts_again)
            return scheduler_queue(view, SCHEDULER_QUEUE, out_refusal);
        if (view->is_idle_stop && view->may_start)
            return scheduler_queue(view, SCHEDULER_START, out_refusal);
        return scheduler_refuse(ERR_WORKER_DRAINING, out_refusal);
    case LIFE_FAILED:
    case LIFE_LOST:
    case LIFE_STATE_COUNT:
        break;
    }
    return scheduler_refuse(ERR_WORKER_FAILED, out_refusal);
}

unsigned scheduler_dispatch_count(const struct scheduler_view *view)
{
    unsigned free_count = 0;

    if (view->state != LIFE_READY || view->in_flight_count >= view->slot_count)
        return 0;
    free_count = view->slot_count - view->in_flight_count;
    return free_count < view->queued_count ? free_count : view->queued_count;
}

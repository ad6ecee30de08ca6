/* What happens to a request for a worker, decided from what is known of that worker now: pure, no
 * I/O. request_admit() carries it out. */
#ifndef RBEE_SUPERVISOR_SCHEDULER_H
#define RBEE_SUPERVISOR_SCHEDULER_H

#include "common/err.h"
#include "supervisor/life.h"

#include <stdbool.h>
#include <stdint.h>

struct scheduler_view {
    enum life_state state;
    bool is_probing;   /* the process is a half-open breaker's one start */
    bool allows_probe; /* it rests in `open`, and this request may be that start */
    /* The stop under way is one for idleness: it starts again for whoever comes meanwhile. */
    bool is_idle_stop;
    bool has_no_room; /* it waits for room on its device, or to know it, and neither is in sight */
    /* A start waits for the end of a stop. */
    bool starts_again;
    unsigned in_flight_count;
    unsigned slot_count;
    unsigned queued_count;
    unsigned queue_max_count;
    bool may_start; /* the request allows starting a worker that is down */
};

enum scheduler_verdict {
    SCHEDULER_DISPATCH, /* now */
    SCHEDULER_QUEUE,    /* behind those that wait */
    SCHEDULER_START,    /* queue, and start the worker */
    SCHEDULER_REFUSE,
};

/* *out_refusal is set only with SCHEDULER_REFUSE: ERR_QUEUE_FULL, ERR_WORKER_DOWN,
 * ERR_WORKER_DRAINING, ERR_CIRCUIT_OPEN, ERR_NO_MEMORY, ERR_WORKER_HELD or ERR_WORKER_FAILED. */
enum scheduler_verdict scheduler_admit(const struct scheduler_view *view,
                                       enum err_kind *out_refusal);
/* How many of those that wait go to the worker now, the oldest first. */
unsigned scheduler_dispatch_count(const struct scheduler_view *view);

#endif

/* The watch over a ready worker: carries out what liveness.h decides. From its first READY to the
 * signal that ends it, one timer, one probe for its counters and one for canaries belong to each
 * process. What is found is told to worker_step() from that timer alone, never from inside a call
 * that somebody makes here: it fails requests. */
#ifndef RBEE_SUPERVISOR_WORKER_LIVE_H
#define RBEE_SUPERVISOR_WORKER_LIVE_H

#include "common/err.h"
#include "supervisor/liveness.h"
#include "supervisor/worker_probe.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct event;

struct worker_live {
    struct event *timer;   /* NULL: no process that is ready */
    uint64_t armed_for_ms; /* by clock_boot_ms */
    struct liveness liveness;
    struct worker_probe ready;
    struct worker_probe canary;
    bool tells_canary; /* the next counters are those after a canary */
};

/* The process is ready; its load is not forgotten yet. */
void worker_live_begin(struct worker *worker);
/* It is told to end, or has. */
void worker_live_end(struct worker *worker);
/* Its requests are more or fewer, or one waits for its client or does not any more. Before a
 * request is sent to it: a canary leaves then. */
void worker_live_load_changed(struct worker *worker);
/* A token of one of its requests has come, or the end of one. */
void worker_live_progress(struct worker *worker);
/* A request got no answer, or not all of it. */
void worker_live_call_failed(struct worker *worker, const struct err *failure);
/* Sets the timer for what is due next. Absolute times are all that counts: who moves the clock
 * calls this. */
void worker_live_arm(struct worker *worker);

#endif

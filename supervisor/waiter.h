/* Clients that wait for a worker's state: GET /v1/workers/{name}/wait. */
#ifndef RBEE_SUPERVISOR_WAITER_H
#define RBEE_SUPERVISOR_WAITER_H

#include "supervisor/api.h"

#include <sys/queue.h>

struct worker;
struct waiter;

enum waiter_goal {
    WAITER_SPAWNED,
    WAITER_READY,
    WAITER_IDLE, /* ready, and nothing to do */
    WAITER_STOPPED,
    WAITER_CLOSED, /* its breaker */
};

TAILQ_HEAD(waiter_list, waiter);

/* Answers CALL at once when GOAL is there or cannot come by itself, else when that is so. */
void waiter_begin(struct api_call *call, struct worker *worker, enum waiter_goal goal);
/* WORKER is about to be forgotten: who waits for it hears CAUSE. */
void waiter_fail(struct worker *worker, const struct err *cause);
/* WORKER has changed: answers those whose time has come. */
void waiter_check(struct worker *worker);

#endif

/* What passes between the loop and the engine's thread: requests one way, their events the other,
 * under one lock. The loop is woken through an eventfd, the engine through a condition. Knows
 * nothing of what a request or an event means. */
#ifndef RBEE_HIP_ENGINE_MAILBOX_H
#define RBEE_HIP_ENGINE_MAILBOX_H

#include "common/err.h"
#include "hip/engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define MAILBOX_FOREVER_US UINT64_MAX

STAILQ_HEAD(engine_events, engine_event);
TAILQ_HEAD(request_list, engine_request);

struct mailbox {
    pthread_mutex_t lock; /* of all below, and of every request's `slot` */
    pthread_cond_t wake;  /* of the engine's thread */
    bool has_changed;     /* the loop has done something since mailbox_collect() */
    bool is_draining;
    bool is_closed;
    int event_fd;
    bool event_fd_is_set;
    struct request_list inbox;    /* submitted, not yet collected; linked by `link` */
    struct request_list eventful; /* with untaken events; linked by `slot.link` */
};

/* The part of a request that the mailbox owns. */
struct mailbox_slot {
    TAILQ_ENTRY(engine_request) link;
    struct engine_events events;
    unsigned event_count;
    bool is_listed; /* in `eventful` */
};

int mailbox_init(struct mailbox *mailbox, struct err *err);
void mailbox_release(struct mailbox *mailbox);
void mailbox_slot_init(struct mailbox_slot *slot);
void mailbox_slot_release(struct mailbox_slot *slot);

/* ---- the loop's side ---- */
void mailbox_submit(struct mailbox *mailbox, struct engine_request *request);
/* A flag of a request has changed: the engine shall look. */
void mailbox_notify(struct mailbox *mailbox);
void mailbox_drain(struct mailbox *mailbox);
void mailbox_close(struct mailbox *mailbox);
struct engine_request *mailbox_next(struct mailbox *mailbox);
struct engine_event *mailbox_take(struct mailbox *mailbox, struct engine_request *request);
void mailbox_clear_event_fd(struct mailbox *mailbox);

/* ---- the engine's side ---- */
struct mailbox_orders {
    bool is_draining;
    bool is_closed;
};
/* Moves what was submitted to the end of INTO; what the loop does from here on ends a wait. */
struct mailbox_orders mailbox_collect(struct mailbox *mailbox, struct request_list *into);
/* Returns when the loop has done something since the last mailbox_collect(), and at UNTIL_US
 * (monotonic; MAILBOX_FOREVER_US) at the latest. */
void mailbox_wait(struct mailbox *mailbox, uint64_t until_us);
/* Delivers a copy of SAID. After the terminal event the request belongs to the loop. */
void mailbox_deliver(struct mailbox *mailbox, struct engine_request *request,
                     const struct engine_event *said);
/* True while so many events are untaken that the request has to pause. */
bool mailbox_is_full(struct mailbox *mailbox, const struct engine_request *request);
/* Wakes the loop without an event. */
void mailbox_wake_loop(struct mailbox *mailbox);

#endif

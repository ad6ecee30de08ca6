/* Owns the lock between the two threads and the events on their way. */
#include "hip/engine/mailbox.h"

#include "common/clock.h"
#include "common/mem.h"
#include "hip/engine/request.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { US_PER_S = 1000000, NS_PER_US = 1000 };

int mailbox_init(struct mailbox *mailbox, struct err *err)
{
    pthread_condattr_t attributes;
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event_fd < 0)
        return err_set(err, ERR_INTERNAL, "make an eventfd: %m");
    *mailbox = (struct mailbox){.event_fd = event_fd};
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&mailbox->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    TAILQ_INIT(&mailbox->inbox);
    TAILQ_INIT(&mailbox->eventful);
    return 0;
}

void mailbox_release(struct mailbox *mailbox)
{
    assert(TAILQ_EMPTY(&mailbox->inbox) && TAILQ_EMPTY(&mailbox->eventful));
    (void)close(mailbox->event_fd); /* an eventfd has nothing to lose */
    pthread_cond_destroy(&mailbox->wake);
    pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_slot_init(struct mailbox_slot *slot)
{
    *slot = (struct mailbox_slot){0};
    STAILQ_INIT(&slot->events);
}

void mailbox_slot_release(struct mailbox_slot *slot)
{
    while (!STAILQ_EMPTY(&slot->events)) {
        struct engine_event *event = STAILQ_FIRST(&slot->events);

        STAILQ_REMOVE_HEAD(&slot->events, link);
        free(event);
    }
}

static void mailbox_change(struct mailbox *mailbox)
{
    mailbox->has_changed = true;
    pthread_cond_signal(&mailbox->wake);
}

void mailbox_submit(struct mailbox *mailbox, struct engine_request *request)
{
    pthread_mutex_lock(&mailbox->lock);
    TAILQ_INSERT_TAIL(&mailbox->inbox, request, link);
    mailbox_change(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_notify(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox_change(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_drain(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_draining = true;
    mailbox_change(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_closed = true;
    mailbox_change(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

struct engine_request *mailbox_next(struct mailbox *mailbox)
{
    struct engine_request *request = NULL;

    pthread_mutex_lock(&mailbox->lock);
    request = TAILQ_FIRST(&mailbox->eventful);
    if (request != NULL) {
        TAILQ_REMOVE(&mailbox->eventful, request, slot.link);
        request->slot.is_listed = false;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return request;
}

struct engine_event *mailbox_take(struct mailbox *mailbox, struct engine_request *request)
{
    struct mailbox_slot *slot = &request->slot;
    struct engine_event *event = NULL;

    pthread_mutex_lock(&mailbox->lock);
    event = STAILQ_FIRST(&slot->events);
    if (event != NULL) {
        STAILQ_REMOVE_HEAD(&slot->events, link);
        /* One wake-up when there is room again, not one for each event. */
        if (slot->event_count-- == ENGINE_EVENT_MAX_COUNT)
            mailbox_change(mailbox);
        if (slot->event_count == 0 && slot->is_listed) {
            TAILQ_REMOVE(&mailbox->eventful, request, slot.link);
            slot->is_listed = false;
        }
    }
    pthread_mutex_unlock(&mailbox->lock);
    return event;
}

void mailbox_clear_event_fd(struct mailbox *mailbox)
{
    uint64_t count = 0;

    pthread_mutex_lock(&mailbox->lock);
    mailbox->event_fd_is_set = false;
    (void)!read(mailbox->event_fd, &count, sizeof(count)); /* not set: nothing to clear */
    pthread_mutex_unlock(&mailbox->lock);
}

struct mailbox_orders mailbox_collect(struct mailbox *mailbox, struct request_list *into)
{
    struct mailbox_orders orders;

    pthread_mutex_lock(&mailbox->lock);
    mailbox->has_changed = false;
    TAILQ_CONCAT(into, &mailbox->inbox, link);
    orders = (struct mailbox_orders){.is_draining = mailbox->is_draining,
                                     .is_closed = mailbox->is_closed};
    pthread_mutex_unlock(&mailbox->lock);
    return orders;
}

void mailbox_wait(struct mailbox *mailbox, uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / US_PER_S),
                             .tv_nsec = (long)(until_us % US_PER_S) * NS_PER_US};
    int rc = 0;

    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->has_changed && rc == 0) {
        if (until_us == MAILBOX_FOREVER_US)
            rc = pthread_cond_wait(&mailbox->wake, &mailbox->lock);
        else
            rc = pthread_cond_timedwait(&mailbox->wake, &mailbox->lock, &until);
    }
    pthread_mutex_unlock(&mailbox->lock);
}

/* The lock is held. */
static void mailbox_set_event_fd(struct mailbox *mailbox)
{
    static const uint64_t one = 1;

    if (mailbox->event_fd_is_set)
        return;
    mailbox->event_fd_is_set = true;
    (void)!write(mailbox->event_fd, &one, sizeof(one)); /* its counter cannot be full at one */
}

/* With its log-probabilities and its text behind it. */
static struct engine_event *event_copy(const struct engine_event *event)
{
    size_t logprob_bytes = event->logprob_count * sizeof(*event->logprobs);
    struct engine_event *copy = xmalloc(sizeof(*copy) + logprob_bytes + event->text_len);
    struct logprob *logprobs = (struct logprob *)(copy + 1);
    char *text = (char *)logprobs + logprob_bytes;

    static_assert(sizeof(*copy) % _Alignof(struct logprob) == 0, "what follows is aligned");
    *copy = *event;
    copy->logprobs = logprobs;
    copy->text = text;
    if (logprob_bytes > 0)
        memcpy(logprobs, event->logprobs, logprob_bytes);
    if (event->text_len > 0)
        memcpy(text, event->text, event->text_len);
    return copy;
}

void mailbox_deliver(struct mailbox *mailbox, struct engine_request *request,
                     const struct engine_event *said)
{
    struct engine_event *event = event_copy(said);

    pthread_mutex_lock(&mailbox->lock);
    STAILQ_INSERT_TAIL(&request->slot.events, event, link);
    request->slot.event_count++;
    if (!request->slot.is_listed) {
        request->slot.is_listed = true;
        TAILQ_INSERT_TAIL(&mailbox->eventful, request, slot.link);
    }
    mailbox_set_event_fd(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

bool mailbox_is_full(struct mailbox *mailbox, const struct engine_request *request)
{
    bool is_full = false;

    pthread_mutex_lock(&mailbox->lock);
    is_full = request->slot.event_count >= ENGINE_EVENT_MAX_COUNT;
    pthread_mutex_unlock(&mailbox->lock);
    return is_full;
}

void mailbox_wake_loop(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox_set_event_fd(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

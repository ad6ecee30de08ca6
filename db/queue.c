/* Owns the queue between the loop and the writer thread: its lock, its two alarms, its notices.
 * Must not know how rows are written. */
#include "db/queue.h"

#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

enum {
    US_PER_S = 1000000,
    NS_PER_US = 1000,
};

void store_queue_init(struct store_queue *queue, int event_fd)
{
    pthread_condattr_t attributes;

    *queue = (struct store_queue){.event_fd = event_fd};
    queue->last_next = &queue->first;
    queue->last_notice = &queue->notices;
    queue->last_query_next = &queue->first_query;
    queue->last_answer_next = &queue->answers;
    TAILQ_INIT(&queue->jobs);
    TAILQ_INIT(&queue->ended_jobs);
    /* None of these fails with these arguments on Linux. */
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&queue->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

void store_queue_release(struct store_queue *queue)
{
    assert(queue->first == NULL && queue->notices == NULL && queue->query_count == 0 &&
           queue->job_count == 0);
    (void)pthread_cond_destroy(&queue->wake); /* nobody waits any more */
    (void)pthread_mutex_destroy(&queue->lock);
}

void store_queue_lock(struct store_queue *queue)
{
    int rc = pthread_mutex_lock(&queue->lock);

    assert(rc == 0);
}

void store_queue_unlock(struct store_queue *queue)
{
    int rc = pthread_mutex_unlock(&queue->lock);

    assert(rc == 0);
}

bool store_queue_wait_until(struct store_queue *queue, uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / US_PER_S),
                             .tv_nsec = (long)(until_us % US_PER_S * NS_PER_US)};

    if (until_us != STORE_QUEUE_FOREVER_US)
        return pthread_cond_timedwait(&queue->wake, &queue->lock, &until) != ETIMEDOUT;
    (void)pthread_cond_wait(&queue->wake, &queue->lock); /* fails only when it is misused */
    return true;
}

void store_queue_add_notice(struct store_queue *queue, struct store_done done, bool is_lost,
                            const struct err *result)
{
    struct store_notice *notice = xmalloc(sizeof(*notice));

    *notice = (struct store_notice){.done = done, .is_lost = is_lost, .result = *result};
    *queue->last_notice = notice;
    queue->last_notice = &notice->next;
}

void store_queue_wake_loop(const struct store_queue *queue)
{
    static const uint64_t ONE = 1;

    (void)!write(queue->event_fd, &ONE, sizeof(ONE)); /* full means that it is readable */
}

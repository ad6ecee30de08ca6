/* The queue between the loop and the writer thread: store.c posts and tells, writer.c writes.
 *
 * What both touch is in struct store_queue, under its lock. */
#ifndef RBEE_DB_QUEUE_H
#define RBEE_DB_QUEUE_H

#include "db/audit_chain.h"
#include "db/job.h"
#include "db/query.h"

#include <pthread.h>

/* Something to tell on the loop's thread: to who waited for a row, or that one is lost. */
struct store_notice {
    struct store_notice *next;
    struct store_done done;
    bool is_lost;
    struct err result;
};

struct store_queue {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the writer: rows have come, or the end */
    struct store_write *first;
    struct store_write **last_next; /* where the next row is hung in */
    size_t waiting_count;           /* in the list above */
    size_t row_count;               /* these and those the writer holds */
    uint64_t posted_count;          /* rows ever; less row_count: those that are done with */
    size_t size_bytes;              /* of row_count */
    size_t awaited_count;           /* in the list, with somebody who waits */
    uint64_t first_posted_us;       /* when the list began: a group lingers from here */
    struct store_query *first_query;
    struct store_query **last_query_next;
    size_t query_count;           /* these, those the writer holds, and the answers */
    struct store_jobs jobs;       /* the first may be worked at */
    size_t job_count;             /* these and those that have ended */
    struct audit_head audit_head; /* as of the last commit */
    bool is_closing;
    struct store_retention retention;
    bool is_retention_new; /* the writer has not looked at it yet */
    /* Told by store_dispatch. */
    struct store_notice *notices;
    struct store_notice **last_notice;
    struct store_query *answers;
    struct store_query **last_answer_next;
    struct store_jobs ended_jobs;
    struct err health; /* why the disk takes nothing; ERR_NONE when it does */
    bool is_health_new;
    int event_fd; /* written when there is something to tell */
};

void store_queue_init(struct store_queue *queue, int event_fd);
void store_queue_release(struct store_queue *queue);
void store_queue_lock(struct store_queue *queue);
void store_queue_unlock(struct store_queue *queue);
/* Under the lock: the writer sleeps until it is woken or UNTIL_US (CLOCK_MONOTONIC) has come.
 * Returns false when it has. */
bool store_queue_wait_until(struct store_queue *queue, uint64_t until_us);
#define STORE_QUEUE_FOREVER_US UINT64_MAX
/* Under the lock: what store_dispatch tells. */
void store_queue_add_notice(struct store_queue *queue, struct store_done done, bool is_lost,
                            const struct err *result);
void store_queue_wake_loop(const struct store_queue *queue);

#endif

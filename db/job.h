/* Work for the writer that takes longer than a query may: done a piece at a time, between groups of
 * rows, so that no row waits for long. Nobody outside db/ includes this. */
#ifndef RBEE_DB_JOB_H
#define RBEE_DB_JOB_H

#include "db/store_private.h"

#include <sys/queue.h>

/* The first member of whoever's job it is. */
struct store_job {
    TAILQ_ENTRY(store_job) link;
    bool is_cancelled; /* under the queue's lock */
    struct audit_chain *chain;
    struct err err; /* why it could not be done */
    /* One piece, on the writer's thread, outside of any transaction. Whether there is more. */
    bool (*step)(struct store_job *job, sqlite3 *db);
    /* On the loop's thread, once it has ended. */
    void (*tell)(struct store_job *job);
    void (*free)(struct store_job *job);
};

TAILQ_HEAD(store_jobs, store_job);

/* JOB is the store's afterwards, also on failure: then NULL, and err is ERR_BUSY. */
struct store_job *store_job_post(struct store *store, struct store_job *job, struct err *err);

#endif

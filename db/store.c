/* Owns the store as its users see it: its life, posting into the queue, telling on the loop's
 * thread. Must not know SQL (table.c, the tables) nor how groups are written (writer.c). */
#include "db/store.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/token.h"
#include "db/audit_private.h"
#include "db/writer.h"

#include <assert.h>
#include <string.h>
#include <sys/eventfd.h>

struct store {
    sqlite3 *db;              /* the writer's while is_started */
    struct audit_chain chain; /* the writer's as well */
    struct store_queue queue;
    struct store_writer writer;
    struct store_listener listener;
    bool is_started;
    int64_t next_seqs[STORE_TABLE_COUNT]; /* of the logs among them */
};

static int store_number_rows(struct store *store, struct err *err)
{
    for (size_t i = 0; i < STORE_TABLE_COUNT; i++) {
        int64_t last_seq = 0;

        /* A row of a chain gets its number as it is written. */
        if (!STORE_TABLES[i]->is_numbered || STORE_TABLES[i]->is_chained)
            continue;
        if (store_table_read_last_seq(store->db, STORE_TABLES[i], &last_seq, err) < 0)
            return -1;
        store->next_seqs[i] = last_seq + 1;
    }
    return 0;
}

struct store *store_open(const char *path, struct store_report *out_report, struct err *err)
{
    struct store *store = xcalloc(1, sizeof(*store));
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = 0;

    store_queue_init(&store->queue, event_fd);
    if (event_fd < 0)
        rc = err_set(err, ERR_IO, "eventfd: %m");
    if (rc == 0 && (store->db = store_file_open(path, out_report, err)) == NULL)
        rc = -1;
    if (rc == 0)
        rc = store_number_rows(store, err);
    if (rc < 0) {
        store_close(store);
        return NULL;
    }
    return store;
}

int store_start(struct store *store, const struct store_listener *listener, struct err *err)
{
    assert(!store->is_started);
    store->listener = *listener;
    store->writer.db = store->db;
    store->writer.queue = &store->queue;
    store->writer.chain = &store->chain;
    store->queue.audit_head = store->chain.stored;
    if (store_writer_start(&store->writer, err) < 0)
        return -1;
    store->is_started = true;
    return 0;
}

sqlite3 *store_db(struct store *store)
{
    assert(!store->is_started);
    return store->db;
}

struct audit_chain *store_chain(struct store *store)
{
    assert(!store->is_started);
    return &store->chain;
}

int64_t *store_next_seq(struct store *store, enum store_table_id table)
{
    return &store->next_seqs[table];
}

/* Under the lock. Whether the writer is asleep, or lingers and need no longer. */
static bool store_queue_add(struct store_queue *queue, struct store_write *write)
{
    bool was_empty = queue->waiting_count == 0;
    bool is_awaited = write->done.on_done != NULL;

    if (was_empty)
        queue->first_posted_us = clock_monotonic_us();
    *queue->last_next = write;
    queue->last_next = &write->next;
    queue->waiting_count++;
    queue->row_count++;
    queue->posted_count++;
    queue->size_bytes += write->size_bytes;
    queue->awaited_count += is_awaited ? 1 : 0;
    return was_empty || is_awaited || queue->waiting_count == STORE_GROUP_MAX_ROWS;
}

/* Under the lock. Whether there is room. */
static bool store_queue_take(struct store_queue *queue, struct store_write *write)
{
    if (queue->is_closing || queue->row_count >= STORE_QUEUE_MAX_ROWS ||
        queue->size_bytes + write->size_bytes > STORE_QUEUE_MAX_BYTES)
        return false;
    if (store_queue_add(queue, write))
        (void)pthread_cond_signal(&queue->wake); /* cannot fail */
    return true;
}

/* WRITE goes into the queue, and PLACE (may be NULL) knows of it. */
static int store_post_at(struct store *store, struct store_write *write, struct store_place *place,
                         struct err *err)
{
    bool is_taken = false;

    assert(store->is_started);
    if (write->size_bytes > STORE_ROW_MAX_BYTES) {
        (void)err_set(err, ERR_INTERNAL, "a row of %zu bytes, the limit is %d", write->size_bytes,
                      STORE_ROW_MAX_BYTES);
        store_write_free(write);
        return -1;
    }
    store_queue_lock(&store->queue);
    is_taken = store_queue_take(&store->queue, write);
    if (is_taken && place != NULL) {
        place->waiting = write;
        write->place = place;
    }
    store_queue_unlock(&store->queue);
    if (is_taken)
        return 0;
    store_write_free(write);
    return err_set(err, ERR_BUSY, "the database's queue is full or closed");
}

int store_post(struct store *store, struct store_write *write, struct store_done done,
               struct err *err)
{
    write->done = done;
    return store_post_at(store, write, NULL, err);
}

int store_post_begin(struct store *store, struct store_write *write, struct store_place *place,
                     struct err *err)
{
    assert(place == NULL || place->waiting == NULL);
    return store_post_at(store, write, place, err);
}

/* Under the lock: the row of WAITING becomes WRITE's, which gets the one before. It may be larger
 * than that, by texts that are at most STORE_ROW_MAX_BYTES: whether there is room is not asked
 * again. */
static void store_queue_replace(struct store_queue *queue, struct store_write *waiting,
                                struct store_write *write)
{
    size_t size_bytes = waiting->size_bytes;

    assert(write->table == waiting->table && write->operation == waiting->operation &&
           write->value_count == waiting->value_count);
    for (size_t i = 0; i < write->value_count; i++) {
        struct store_value value = waiting->values[i];

        waiting->values[i] = write->values[i];
        write->values[i] = value;
    }
    queue->size_bytes += write->size_bytes - size_bytes;
    waiting->size_bytes = write->size_bytes;
    write->size_bytes = size_bytes;
}

int store_post_end(struct store *store, struct store_write *write, struct store_place *place,
                   struct err *err)
{
    bool is_small = write->size_bytes <= STORE_ROW_MAX_BYTES;
    struct store_write *waiting = NULL;

    assert(store->is_started);
    store_queue_lock(&store->queue);
    waiting = take_ptr(place->waiting);
    if (waiting != NULL)
        waiting->place = NULL;
    if (waiting != NULL && is_small)
        store_queue_replace(&store->queue, waiting, write);
    store_queue_unlock(&store->queue);
    if (waiting == NULL || !is_small) /* what is too large is refused there */
        return store_post(store, write, STORE_NOBODY, err);
    store_write_free(write);
    return 0;
}

void store_set_retention(struct store *store, struct store_retention retention)
{
    struct store_queue *queue = &store->queue;

    store_queue_lock(queue);
    queue->retention = retention;
    queue->is_retention_new = true;
    (void)pthread_cond_signal(&queue->wake); /* cannot fail */
    store_queue_unlock(queue);
}

int store_fd(const struct store *store)
{
    return store->queue.event_fd;
}

struct store_query *store_query_post(struct store *store, struct store_query *query,
                                     struct err *err)
{
    struct store_queue *queue = &store->queue;
    bool is_full = false;

    assert(store->is_started);
    store_queue_lock(queue);
    is_full = queue->is_closing || queue->query_count >= STORE_QUERY_MAX_COUNT;
    if (!is_full) {
        query->row_mark = queue->posted_count;
        *queue->last_query_next = query;
        queue->last_query_next = &query->next;
        queue->query_count++;
        (void)pthread_cond_signal(&queue->wake); /* cannot fail */
    }
    store_queue_unlock(queue);
    if (!is_full)
        return query;
    store_query_free(query);
    return err_set_null(err, ERR_BUSY, "too many queries wait for the database, or it is closed");
}

void store_query_cancel(struct store *store, struct store_query *query)
{
    store_queue_lock(&store->queue);
    query->is_cancelled = true;
    store_queue_unlock(&store->queue);
}

struct store_job *store_job_post(struct store *store, struct store_job *job, struct err *err)
{
    struct store_queue *queue = &store->queue;
    bool is_full = false;

    assert(store->is_started);
    store_queue_lock(queue);
    is_full = queue->is_closing || queue->job_count >= STORE_JOB_MAX_COUNT;
    if (!is_full) {
        job->chain = &store->chain;
        queue->job_count++;
        TAILQ_INSERT_TAIL(&queue->jobs, job, link);
        (void)pthread_cond_signal(&queue->wake); /* cannot fail */
    }
    store_queue_unlock(queue);
    if (!is_full)
        return job;
    job->free(job);
    return err_set_null(err, ERR_BUSY, "the database has other work to do, or is closed");
}

void store_job_cancel(struct store *store, struct store_job *job)
{
    store_queue_lock(&store->queue);
    job->is_cancelled = true;
    store_queue_unlock(&store->queue);
}

void audit_stored_head(struct store *store, struct audit_head *out)
{
    store_queue_lock(&store->queue);
    *out = store->queue.audit_head;
    store_queue_unlock(&store->queue);
}

static void store_tell_notice(struct store *store, const struct store_notice *notice)
{
    if (notice->done.on_done != NULL)
        notice->done.on_done(notice->done.owner, &notice->result);
    if (notice->is_lost && store->listener.on_lost != NULL)
        store->listener.on_lost(store->listener.owner, &notice->result);
}

/* Whoever is told may cancel one that comes after it. */
static void store_tell_answers(struct store *store, struct store_query *answers)
{
    struct store_queue *queue = &store->queue;

    while (answers != NULL) {
        struct store_query *query = answers;

        answers = query->next;
        store_queue_lock(queue);
        queue->query_count--;
        store_queue_unlock(queue);
        if (!query->is_cancelled) /* only this thread sets it */
            query->tell(query);
        store_query_free(query);
    }
}

/* Whoever is told may cancel another. */
static void store_tell_jobs(struct store *store)
{
    struct store_queue *queue = &store->queue;
    struct store_job *job = NULL;

    do {
        bool is_cancelled = false;

        store_queue_lock(queue);
        job = TAILQ_FIRST(&queue->ended_jobs);
        if (job != NULL) {
            TAILQ_REMOVE(&queue->ended_jobs, job, link);
            queue->job_count--;
            is_cancelled = job->is_cancelled;
        }
        store_queue_unlock(queue);
        if (job != NULL && !is_cancelled)
            job->tell(job);
        if (job != NULL)
            job->free(job);
    } while (job != NULL);
}

void store_dispatch(struct store *store)
{
    struct store_queue *queue = &store->queue;
    struct store_notice *notices = NULL;
    struct store_query *answers = NULL;
    struct err health = ERR_INIT;
    bool is_health_new = false;
    uint64_t count = 0;

    (void)!read(queue->event_fd, &count, sizeof(count)); /* nothing to tell is no fault */
    store_queue_lock(queue);
    notices = take_ptr(queue->notices);
    queue->last_notice = &queue->notices;
    answers = take_ptr(queue->answers);
    queue->last_answer_next = &queue->answers;
    is_health_new = queue->is_health_new;
    queue->is_health_new = false;
    health = queue->health;
    store_queue_unlock(queue);
    if (is_health_new && store->listener.on_health != NULL)
        store->listener.on_health(store->listener.owner, &health);
    while (notices != NULL) {
        AUTO_FREE struct store_notice *notice = notices;

        notices = notice->next;
        store_tell_notice(store, notice);
    }
    store_tell_answers(store, answers);
    store_tell_jobs(store);
}

size_t store_queued_count(struct store *store)
{
    struct store_queue *queue = &store->queue;
    size_t count = 0;

    store_queue_lock(queue);
    count = queue->row_count;
    store_queue_unlock(queue);
    return count;
}

uint64_t store_posted_count(struct store *store)
{
    uint64_t count = 0;

    store_queue_lock(&store->queue);
    count = store->queue.posted_count;
    store_queue_unlock(&store->queue);
    return count;
}

uint64_t store_done_count(struct store *store)
{
    uint64_t count = 0;

    store_queue_lock(&store->queue);
    count = store->queue.posted_count - store->queue.row_count;
    store_queue_unlock(&store->queue);
    return count;
}

void store_close(struct store *store)
{
    struct store_queue *queue = NULL;

    if (store == NULL)
        return;
    queue = &store->queue;
    if (store->is_started) {
        store_queue_lock(queue);
        queue->is_closing = true;
        (void)pthread_cond_signal(&queue->wake); /* cannot fail */
        store_queue_unlock(queue);
        store_writer_join(&store->writer);
        store_dispatch(store);
    }
    (void)sqlite3_close(store->db); /* every statement is finalized: nothing is left to refuse it */
    store_queue_release(queue);
    token_wipe(&store->chain, sizeof(store->chain));
    attr_close(&queue->event_fd);
    free(store);
}

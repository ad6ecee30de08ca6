/* Owns the writer thread: groups of rows, one transaction each, what happens when the disk refuses,
 * and checkpoints. Must not know any table, and never calls back: it leaves notices. */
#include "db/writer.h"

#include "common/clock.h"
#include "common/mem.h"
#include "db/audit_private.h"
#include "db/prune.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

enum {
    WRITER_CHECKPOINT_IDLE_MS = 1000,
    /* Pages of 4 KiB. A checkpoint costs two fsyncs: it waits for this many, or for quiet. */
    WRITER_CHECKPOINT_FRAMES = 1000,
    /* The log may not grow without end while rows never stop coming. */
    WRITER_CHECKPOINT_FORCED_FRAMES = 16 * 1024,
    WRITER_PRUNE_INTERVAL_S = 60 * 60,
    /* Old rows go even though new ones never stop coming. */
    WRITER_PRUNE_FORCED_ROWS = 16 * STORE_PRUNE_AFTER_ROWS,
    US_PER_MS = 1000,
    US_PER_S = 1000 * US_PER_MS,
};

/* The thread's own. */
struct writer {
    sqlite3 *db;
    struct store_queue *queue;
    struct audit_chain *chain;
    struct store_write *group; /* rows taken and not yet written, in order */
    size_t group_count;
    int wal_frames; /* in the log when the last commit was, 0 after a checkpoint */
    size_t rows_since_prune;
    uint64_t next_prune_us; /* at the latest; 0: there has been none */
    /* Made as they are needed. */
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    sqlite3_stmt *statements[STORE_TABLE_COUNT][STORE_OPERATION_COUNT];
};

/* ---- in between ---- */

static void writer_checkpoint(struct writer *writer)
{
    /* What it cannot move now it moves after the next commit, where a failing disk shows, too. */
    (void)sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    writer->wal_frames = 0;
}

/* Under the lock, which is let go meanwhile. */
static void writer_checkpoint_unlocked(struct writer *writer)
{
    store_queue_unlock(writer->queue);
    writer_checkpoint(writer);
    store_queue_lock(writer->queue);
}

/* ---- queries ---- */

/* Under the lock, which is let go while it reads; not between BEGIN and COMMIT. */
static void writer_answer_first(struct writer *writer)
{
    struct store_queue *queue = writer->queue;
    struct store_query *query = queue->first_query;
    bool is_wanted = !query->is_cancelled && !queue->is_closing;

    queue->first_query = query->next;
    if (queue->first_query == NULL)
        queue->last_query_next = &queue->first_query;
    query->next = NULL;
    query->answer.is_behind = query->row_mark > queue->posted_count - queue->row_count;
    store_queue_unlock(queue);
    if (is_wanted)
        store_query_run(query, writer->db);
    else
        err_fill(&query->answer.err, ERR_BUSY, "the database is closing");
    store_queue_lock(queue);
    *queue->last_answer_next = query;
    queue->last_answer_next = &query->next;
    store_queue_wake_loop(queue);
}

/* Under the lock: those whose rows are written; all of them when the disk refuses rows, so that
 * what is there can be read. */
static void writer_answer(struct writer *writer, bool is_refused)
{
    struct store_queue *queue = writer->queue;

    while (queue->first_query != NULL &&
           (is_refused || queue->first_query->row_mark <= queue->posted_count - queue->row_count))
        writer_answer_first(writer);
}

/* ---- jobs ---- */

/* Under the lock: JOB has ended. */
static void writer_end_job(struct writer *writer, struct store_job *job)
{
    struct store_queue *queue = writer->queue;

    TAILQ_REMOVE(&queue->jobs, job, link);
    TAILQ_INSERT_TAIL(&queue->ended_jobs, job, link);
    queue->audit_head = writer->chain->stored;
    store_queue_wake_loop(queue);
}

/* Under the lock, which is let go meanwhile: one piece of the first job. */
static void writer_work(struct writer *writer)
{
    struct store_job *job = TAILQ_FIRST(&writer->queue->jobs);
    bool is_over = true;

    if (job == NULL)
        return;
    if (!job->is_cancelled) {
        store_queue_unlock(writer->queue);
        is_over = !job->step(job, writer->db);
        store_queue_lock(writer->queue);
    }
    if (is_over)
        writer_end_job(writer, job);
}

/* ---- waiting for a group ---- */

/* Under the lock: what is written is not changed any more. */
static void writer_leave_place(struct store_write *write)
{
    if (write->place != NULL)
        write->place->waiting = NULL;
    write->place = NULL;
}

/* Under the lock: takes up to a group's worth of rows off the queue. */
static void writer_take_group(struct writer *writer)
{
    struct store_queue *queue = writer->queue;
    struct store_write **end = &queue->first;

    while (*end != NULL && writer->group_count < STORE_GROUP_MAX_ROWS) {
        queue->awaited_count -= (*end)->done.on_done != NULL ? 1 : 0;
        writer_leave_place(*end);
        writer->group_count++;
        end = &(*end)->next;
    }
    writer->group = queue->first;
    queue->first = *end;
    *end = NULL;
    queue->waiting_count -= writer->group_count;
    if (queue->first == NULL)
        queue->last_next = &queue->first;
}

static bool writer_has_retention(const struct writer *writer)
{
    const struct store_retention *retention = &writer->queue->retention;

    return retention->keep_ms > 0 || retention->keep_rows > 0;
}

/* Under the lock. Whether there may be rows to delete. */
static bool writer_prune_is_due(struct writer *writer)
{
    if (writer->queue->is_retention_new)
        writer->next_prune_us = 0;
    writer->queue->is_retention_new = false;
    return writer_has_retention(writer) && (writer->rows_since_prune >= STORE_PRUNE_AFTER_ROWS ||
                                            clock_monotonic_us() >= writer->next_prune_us);
}

/* Under the lock, which is let go meanwhile. A disk that refuses shows with the next row. */
static void writer_prune(struct writer *writer)
{
    struct store_retention retention = writer->queue->retention;
    struct err err = ERR_INIT;
    int rc = 0;

    store_queue_unlock(writer->queue);
    rc = store_prune_step(writer->db, &retention, clock_wall_ms(), &err);
    store_queue_lock(writer->queue);
    if (rc > 0)
        return;
    writer->rows_since_prune = 0;
    writer->next_prune_us = clock_monotonic_us() + (uint64_t)WRITER_PRUNE_INTERVAL_S * US_PER_S;
}

/* After a group. Queries do not wait for a lull, and old rows go though there is never one. */
static void writer_look_round(struct writer *writer)
{
    store_queue_lock(writer->queue);
    writer_answer(writer, false);
    writer_work(writer);
    if (writer_has_retention(writer) && writer->rows_since_prune >= WRITER_PRUNE_FORCED_ROWS)
        writer_prune(writer);
    store_queue_unlock(writer->queue);
}

/* Under the lock: when there is something to do though no row comes. */
static uint64_t writer_wake_us(const struct writer *writer)
{
    if (writer->wal_frames > 0)
        return clock_monotonic_us() + WRITER_CHECKPOINT_IDLE_MS * US_PER_MS;
    return writer_has_retention(writer) ? writer->next_prune_us : STORE_QUEUE_FOREVER_US;
}

/* Under the lock. Whether there was something to do in a lull: one thing is done. */
static bool writer_use_lull(struct writer *writer)
{
    if (writer->queue->first_query != NULL)
        writer_answer(writer, false);
    else if (!TAILQ_EMPTY(&writer->queue->jobs))
        writer_work(writer);
    else if (writer->wal_frames >= WRITER_CHECKPOINT_FRAMES)
        writer_checkpoint_unlocked(writer);
    else if (writer_prune_is_due(writer))
        writer_prune(writer);
    else
        return false;
    return true;
}

/* Under the lock: until there are rows, or the end. In a lull queries are answered, old rows are
 * deleted, and the log is moved into the file. */
static void writer_sleep(struct writer *writer)
{
    struct store_queue *queue = writer->queue;

    while (queue->first == NULL && !queue->is_closing) {
        if (!writer_use_lull(writer) && !store_queue_wait_until(queue, writer_wake_us(writer)) &&
            writer->wal_frames > 0)
            writer_checkpoint_unlocked(writer);
    }
}

/* Waits for rows, and then for their company, unless somebody waits for one or reads. False:
 * closing, and nothing is left. */
static bool writer_next_group(struct writer *writer)
{
    struct store_queue *queue = writer->queue;

    store_queue_lock(queue);
    writer_sleep(writer);
    while (queue->awaited_count == 0 && queue->first_query == NULL && !queue->is_closing &&
           queue->waiting_count < STORE_GROUP_MAX_ROWS &&
           store_queue_wait_until(queue, queue->first_posted_us + STORE_LINGER_MS * US_PER_MS))
        ;
    writer_take_group(writer);
    store_queue_unlock(queue);
    return writer->group != NULL;
}

/* ---- writing one ---- */

/* Runs SQL, which has no rows, as a statement that is kept. */
static bool writer_run(struct writer *writer, sqlite3_stmt **stmt, const char *sql)
{
    if (*stmt == NULL &&
        sqlite3_prepare_v3(writer->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
        return false;
    (void)sqlite3_step(*stmt);
    return sqlite3_reset(*stmt) == SQLITE_OK; /* says how the step went */
}

/* NULL when it cannot be prepared. */
static sqlite3_stmt *writer_statement(struct writer *writer, const struct store_table *table,
                                      enum store_operation operation)
{
    sqlite3_stmt **stmt = &writer->statements[table->id][operation];
    AUTO_FREE char *sql = NULL;

    if (*stmt != NULL)
        return *stmt;
    sql = store_table_sql(table, operation);
    /* Leaves NULL when it fails. */
    (void)sqlite3_prepare_v3(writer->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    return *stmt;
}

static void writer_finalize_statements(struct writer *writer)
{
    store_finalize(&writer->begin);
    store_finalize(&writer->commit);
    for (size_t table = 0; table < STORE_TABLE_COUNT; table++) {
        for (size_t operation = 0; operation < STORE_OPERATION_COUNT; operation++)
            store_finalize(&writer->statements[table][operation]);
    }
}

/* Returns SQLite's code, SQLITE_DONE when the row is in. */
static int writer_write_row(struct writer *writer, struct store_write *write)
{
    sqlite3_stmt *stmt = writer_statement(writer, write->table, write->operation);

    if (stmt == NULL)
        return sqlite3_errcode(writer->db);
    if (write->table->is_chained)
        audit_link(writer->chain, write);
    return store_write_run(write, stmt);
}

/* Whether CODE is the row's own fault: it would fail on any disk, at any time. */
static bool writer_is_row_fault(int code)
{
    switch (code & 0xff) {
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_MISUSE:
        return true;
    default:
        return false;
    }
}

/* Behind the rows of the audit trail that are in the transaction. */
static void writer_write_head(struct writer *writer, struct err *err)
{
    struct store_write *head = audit_head_row(writer->chain);

    if (writer_write_row(writer, head) != SQLITE_DONE)
        (void)store_file_fail(writer->db, err, "write the head of the audit trail");
    store_write_free(head);
}

/* One transaction for the group. On failure nothing of it is in the file, and *out_bad is the row
 * whose fault it was, if it was one's. */
static int writer_try_group(struct writer *writer, struct store_write **out_bad, struct err *err)
{
    *out_bad = NULL;
    writer->chain->now = writer->chain->stored;
    if (!writer_run(writer, &writer->begin, "BEGIN IMMEDIATE"))
        return store_file_fail(writer->db, err, "begin");
    for (struct store_write *write = writer->group; write != NULL; write = write->next) {
        int code = writer_write_row(writer, write);

        if (code == SQLITE_DONE)
            continue;
        (void)store_file_fail(writer->db, err, "write a row");
        *out_bad = writer_is_row_fault(code) ? write : NULL;
        break;
    }
    if (!err_is_set(err) && audit_has_moved(writer->chain))
        writer_write_head(writer, err);
    if (!err_is_set(err) && writer_run(writer, &writer->commit, "COMMIT")) {
        writer->chain->stored = writer->chain->now;
        return 0;
    }
    if (!err_is_set(err))
        (void)store_file_fail(writer->db, err, "commit");
    if (sqlite3_get_autocommit(writer->db) == 0)
        (void)sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL); /* it may have done so */
    return -1;
}

/* ---- what follows ---- */

/* Under the lock: WRITE leaves the store, which says so to who waits for it. */
static void writer_finish_row(struct writer *writer, struct store_write *write, bool is_lost,
                              const struct err *result)
{
    struct store_queue *queue = writer->queue;

    queue->row_count--;
    queue->size_bytes -= write->size_bytes;
    if (write->done.on_done != NULL || is_lost)
        store_queue_add_notice(queue, write->done, is_lost, result);
    store_write_free(write);
}

/* Under the lock. */
static void writer_set_health(struct writer *writer, const struct err *health)
{
    struct store_queue *queue = writer->queue;

    if (queue->health.kind == health->kind && strcmp(queue->health.message, health->message) == 0)
        return;
    queue->health = *health;
    queue->is_health_new = true;
}

/* The whole group is done with: on disk, or lost. */
static void writer_finish_group(struct writer *writer, bool is_lost, const struct err *result)
{
    writer->rows_since_prune += is_lost ? 0 : writer->group_count;
    store_queue_lock(writer->queue);
    while (writer->group != NULL) {
        struct store_write *write = writer->group;

        writer->group = write->next;
        writer_finish_row(writer, write, is_lost, result);
    }
    writer->group_count = 0;
    writer->queue->audit_head = writer->chain->stored;
    if (!is_lost)
        writer_set_health(writer, result);
    store_queue_wake_loop(writer->queue);
    store_queue_unlock(writer->queue);
}

static void writer_drop_row(struct writer *writer, struct store_write *bad, const struct err *why)
{
    struct store_write **link = &writer->group;

    while (*link != bad)
        link = &(*link)->next;
    *link = bad->next;
    writer->group_count--;
    store_queue_lock(writer->queue);
    writer_finish_row(writer, bad, true, why);
    store_queue_wake_loop(writer->queue);
    store_queue_unlock(writer->queue);
}

/* Under the lock: who waits for the rows from FIRST on is told, and then nobody waits any more.
 * Returns how many did. */
static size_t writer_tell_waiting(struct writer *writer, struct store_write *first,
                                  const struct err *why)
{
    size_t count = 0;

    for (struct store_write *write = first; write != NULL; write = write->next) {
        if (write->done.on_done == NULL)
            continue;
        store_queue_add_notice(writer->queue, write->done, false, why);
        write->done = STORE_NOBODY;
        count++;
    }
    return count;
}

/* The disk refused. Who waits hears it now, also those behind the group, which does not get out of
 * their way; the rows stay. */
static void writer_tell_refusal(struct writer *writer, const struct err *why)
{
    struct store_queue *queue = writer->queue;

    store_queue_lock(queue);
    (void)writer_tell_waiting(writer, writer->group, why);
    queue->awaited_count -= writer_tell_waiting(writer, queue->first, why);
    writer_set_health(writer, why);
    store_queue_wake_loop(writer->queue);
    store_queue_unlock(writer->queue);
}

/* Until the next try, or the end. Returns whether that has come. */
static bool writer_pause(struct writer *writer)
{
    struct store_queue *queue = writer->queue;
    uint64_t until_us = clock_monotonic_us() + STORE_RETRY_MS * US_PER_MS;
    bool is_closing = false;

    store_queue_lock(queue);
    do {
        writer_answer(writer, true);
        while (!TAILQ_EMPTY(&queue->jobs) && !queue->is_closing)
            writer_work(writer);
    } while (!queue->is_closing && store_queue_wait_until(queue, until_us));
    is_closing = queue->is_closing;
    store_queue_unlock(queue);
    return is_closing;
}

/* Writes the group, however long that takes. While closing, the disk gets one last chance. */
static void writer_write_group(struct writer *writer)
{
    bool is_last_chance = false;

    while (writer->group != NULL) {
        struct err err = ERR_INIT;
        struct store_write *bad = NULL;

        if (writer_try_group(writer, &bad, &err) == 0) {
            writer_finish_group(writer, false, &err);
        } else if (bad != NULL) {
            err.kind = ERR_INTERNAL;
            writer_drop_row(writer, bad, &err);
        } else if (is_last_chance) {
            writer_finish_group(writer, true, &err);
        } else {
            writer_tell_refusal(writer, &err);
            is_last_chance = writer_pause(writer);
        }
    }
}

static int writer_on_commit(void *owner, sqlite3 *db, const char *schema, int frames)
{
    struct writer *writer = owner;

    writer->wal_frames = frames;
    return SQLITE_OK;
}

/* Those that the end found waiting: closing does not wait for readers. */
static void writer_end_queries(struct writer *writer)
{
    struct store_job *job = NULL;

    store_queue_lock(writer->queue);
    writer_answer(writer, true);
    while ((job = TAILQ_FIRST(&writer->queue->jobs)) != NULL) {
        err_fill(&job->err, ERR_BUSY, "the database is closing");
        writer_end_job(writer, job);
    }
    store_queue_unlock(writer->queue);
}

static void *writer_main(void *owner)
{
    const struct store_writer *handle = owner;
    struct writer writer = {.db = handle->db, .queue = handle->queue, .chain = handle->chain};

    (void)sqlite3_wal_hook(writer.db, writer_on_commit, &writer); /* returns the owner before */
    while (writer_next_group(&writer)) {
        writer_write_group(&writer);
        writer_look_round(&writer);
        if (writer.wal_frames >= WRITER_CHECKPOINT_FORCED_FRAMES)
            writer_checkpoint(&writer);
    }
    writer_end_queries(&writer);
    writer_finalize_statements(&writer);
    (void)sqlite3_wal_hook(writer.db, NULL, NULL); /* as above */
    return NULL;
}

int store_writer_start(struct store_writer *writer, struct err *err)
{
    sigset_t all;
    sigset_t before;
    int rc = 0;

    /* Signals are the loop's: a thread that is born with them blocked never takes one. */
    (void)sigfillset(&all);                            /* cannot fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* cannot fail with these arguments */
    rc = pthread_create(&writer->thread, NULL, writer_main, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as above */
    if (rc == 0)
        return 0;
    errno = rc;
    return err_set(err, ERR_IO, "start the database's thread: %m");
}

void store_writer_join(struct store_writer *writer)
{
    int rc = pthread_join(writer->thread, NULL);

    assert(rc == 0);
}

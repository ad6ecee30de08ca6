/* Owns the work that looks at every row of the audit trail: to verify it, to accept it as it is, to
 * archive its beginning. Must not know what the texts mean. */
#include "db/audit_private.h"

#include "common/io.h"
#include "common/mem.h"
#include "db/job.h"

#include <assert.h>
#include <string.h>

enum {
    JOB_PIECE_ROWS = 1000, /* about 10 ms, for which a group of rows may wait */
    JOB_DELETE_ROWS = 256,
    ARCHIVE_MODE = 0600,
    ARCHIVE_LINES_MAX_BYTES = 2 * 1024 * 1024, /* of lines that are not written yet */
};

enum audit_job_phase { JOB_BEGINS, JOB_WALKS, JOB_DELETES };

struct audit_job {
    struct store_job job;
    struct audit_waiter waiter;
    struct audit_verdict verdict;
    enum audit_job_phase phase;
    struct audit_walk walk;
    int64_t from_seq;
    /* To verify. */
    int64_t wanted_seq;
    char wanted_hash[KEYED_HASH_TEXT_BYTES];
    /* To accept. */
    struct audit_walk sum;
    /* To accept and to archive: the row that says so. */
    struct store_write *row;
    /* To archive. */
    int64_t before_ms;
    char *path;
    char *(*to_line)(const struct audit_row *row);
    struct io_atomic file;
    struct buf lines;
    int64_t last_seq; /* the last row that is in the file; to accept: that was looked at */
};

static struct audit_job *job_of(struct store_job *base)
{
    return CONTAINER_OF(base, struct audit_job, job);
}

/* ---- what they have in common ---- */

static void job_tell(struct store_job *base)
{
    struct audit_job *job = job_of(base);

    job->waiter.on_verdict(job->waiter.owner, &job->verdict, &base->err);
}

static void job_free(struct store_job *base)
{
    struct audit_job *job = job_of(base);

    store_write_free(job->row);
    io_atomic_release(&job->file);
    buf_release(&job->lines);
    free(job->path);
    free(job);
}

static struct audit_job *job_new(bool (*step)(struct store_job *base, sqlite3 *db),
                                 struct audit_waiter waiter)
{
    struct audit_job *job = xcalloc(1, sizeof(*job));

    job->job.step = step;
    job->job.tell = job_tell;
    job->job.free = job_free;
    job->waiter = waiter;
    job->file = (struct io_atomic)IO_ATOMIC_INIT;
    buf_init(&job->lines, ARCHIVE_LINES_MAX_BYTES);
    return job;
}

/* The last words of a step: there are no more. */
static bool job_end(struct audit_job *job)
{
    job->verdict.fault = job->walk.fault;
    job->verdict.bad_seq = job->walk.bad_seq;
    job->verdict.row_count = job->walk.row_count;
    job->verdict.head = job->job.chain->stored;
    return false;
}

static void job_begin(struct audit_job *job)
{
    audit_walk_begin(&job->walk, job->job.chain);
    audit_walk_begin_sum(&job->sum, job->job.chain);
    job->walk.wanted_seq = job->wanted_seq;
    memcpy(job->walk.wanted_hash, job->wanted_hash, sizeof(job->wanted_hash));
    job->from_seq = INT64_MIN;
    job->phase = JOB_WALKS;
}

/* A piece of the walk. 1: there is more to read; 0; -1. */
static int job_walk(struct audit_job *job, sqlite3 *db,
                    bool (*each)(void *owner, sqlite3_stmt *stmt))
{
    if (job->phase == JOB_BEGINS)
        job_begin(job);
    return audit_scan(db, &job->from_seq, JOB_PIECE_ROWS, each, job, &job->job.err);
}

/* ---- verify ---- */

static bool verify_on_row(void *owner, sqlite3_stmt *stmt)
{
    struct audit_job *job = owner;
    struct audit_field fields[AUDIT_FIELD_COUNT];
    const char *hash = audit_read_fields(stmt, fields);

    return audit_walk_row(&job->walk, fields, AUDIT_FIELD_COUNT, hash);
}

/* What was kept of a row that is archived can be compared with its last hash alone. */
static int verify_check_wanted(struct audit_job *job, const struct audit_head *head)
{
    if (job->wanted_seq == 0 || job->wanted_seq >= head->first_seq)
        return 0;
    if (job->wanted_seq < head->first_seq - 1)
        return err_set(&job->job.err, ERR_NOT_FOUND,
                       "row %lld is archived; the oldest that can be compared is %lld",
                       (long long)job->wanted_seq, (long long)head->first_seq - 1);
    if (!audit_walk_wants(&job->walk, head->first_hash)) {
        job->walk.fault = AUDIT_CHANGED;
        job->walk.bad_seq = job->wanted_seq;
    }
    return 0;
}

static bool verify_step(struct store_job *base, sqlite3 *db)
{
    struct audit_job *job = job_of(base);
    int rc = job_walk(job, db, verify_on_row);

    if (rc > 0)
        return true;
    if (rc == 0)
        audit_walk_end(&job->walk);
    if (rc == 0 && job->walk.fault == AUDIT_GOOD)
        (void)verify_check_wanted(job, &base->chain->stored); /* the job's err says it */
    return job_end(job);
}

struct store_job *audit_verify(struct store *store, int64_t wanted_seq, const char *wanted_hash,
                               struct audit_waiter waiter, struct err *err)
{
    struct audit_job *job = job_new(verify_step, waiter);

    job->wanted_seq = wanted_seq;
    if (wanted_seq > 0)
        (void)snprintf(job->wanted_hash, sizeof(job->wanted_hash), "%s", wanted_hash);
    return store_job_post(store, &job->job, err);
}

/* ---- accept ---- */

static bool accept_on_row(void *owner, sqlite3_stmt *stmt)
{
    struct audit_job *job = owner;
    struct audit_field fields[AUDIT_FIELD_COUNT];
    const char *hash = audit_read_fields(stmt, fields);

    if (job->walk.fault == AUDIT_GOOD)
        (void)audit_walk_row(&job->walk, fields, AUDIT_FIELD_COUNT, hash); /* the fault says it */
    job->last_seq = fields[0].integer;
    return audit_walk_row(&job->sum, fields, AUDIT_FIELD_COUNT, hash);
}

static int accept_check(struct audit_job *job)
{
    struct err *err = &job->job.err;

    if (job->walk.fault == AUDIT_GOOD)
        return err_set(err, ERR_CONFLICT, "the audit trail holds: there is nothing to accept");
    if (job->last_seq > job->job.chain->stored.seq)
        return err_set(
            err, ERR_CONFLICT,
            "row %lld cannot be accepted, because no number comes after it: it has to be "
            "taken out of the database by hand",
            (long long)job->last_seq);
    return 0;
}

/* Heads of other names were never written by us. */
static int accept_delete_heads(sqlite3 *db, struct err *err)
{
    if (sqlite3_exec(db, "DELETE FROM audit_head WHERE name <> 'audit'", NULL, NULL, NULL) !=
        SQLITE_OK)
        return store_file_fail(db, err, "accept");
    return 0;
}

static int accept_write(struct audit_job *job, sqlite3 *db)
{
    struct audit_chain *chain = job->job.chain;
    struct err *err = &job->job.err;
    int rc = audit_transaction_begin(chain, db, err);

    if (rc == 0) {
        audit_link_behind(chain, job->sum.digest, job->row);
        chain->now.accepted_seq = chain->now.seq;
        chain->now.broken = AUDIT_GOOD;
        chain->now.broken_seq = 0;
        rc = store_write_now(job->row, db, err);
    }
    if (rc == 0)
        rc = accept_delete_heads(db, err);
    return audit_transaction_end(chain, db, rc, err);
}

static bool accept_step(struct store_job *base, sqlite3 *db)
{
    struct audit_job *job = job_of(base);
    int rc = job_walk(job, db, accept_on_row);

    if (rc > 0)
        return true;
    if (rc == 0)
        audit_walk_end(&job->walk);
    if (rc == 0)
        rc = accept_check(job);
    if (rc == 0)
        (void)accept_write(job, db); /* the job's err says it */
    return job_end(job);
}

struct store_job *audit_accept(struct store *store, const struct audit_row *row,
                               struct audit_waiter waiter, struct err *err)
{
    struct audit_job *job = job_new(accept_step, waiter);

    job->row = store_table_write(&TABLE_audit, row);
    return store_job_post(store, &job->job, err);
}

/* ---- archive ---- */

static int archive_flush(struct audit_job *job)
{
    int rc = io_write_all(job->file.fd, job->lines.data, job->lines.len, &job->job.err);

    buf_clear(&job->lines);
    return rc;
}

static int archive_add_line(struct audit_job *job, const char *line)
{
    size_t len = strlen(line);

    if (job->lines.len + len + 1 > job->lines.max && archive_flush(job) < 0)
        return -1;
    if (buf_add(&job->lines, line, len) < 0 || buf_add_byte(&job->lines, '\n') < 0)
        return err_set(&job->job.err, ERR_IO, "a line of %zu bytes does not fit", len);
    return 0;
}

static bool archive_on_row(void *owner, sqlite3_stmt *stmt)
{
    struct audit_job *job = owner;
    struct audit_field fields[AUDIT_FIELD_COUNT];
    const char *hash = audit_read_fields(stmt, fields);
    struct store_rows rows = {.rows = NULL};
    AUTO_FREE char *line = NULL;
    const struct audit_row *row = NULL;

    store_rows_add(&rows, &TABLE_audit, stmt);
    row = rows.rows;
    if (row->at_ms < job->before_ms && audit_walk_row(&job->walk, fields, AUDIT_FIELD_COUNT, hash))
        line = job->to_line(row);
    if (line != NULL)
        job->last_seq = row->seq;
    store_rows_release(&rows);
    return line != NULL && archive_add_line(job, line) == 0;
}

/* All that is to go has been read. */
static int archive_check(struct audit_job *job)
{
    const struct audit_head *head = &job->job.chain->stored;
    struct err *err = &job->job.err;

    if (job->walk.fault != AUDIT_GOOD || head->broken != AUDIT_GOOD)
        return err_set(err, ERR_CONFLICT,
                       "the audit trail does not hold: see rbee audit verify, and rbee audit "
                       "accept to take it as it is");
    if (job->last_seq == 0)
        return err_set(err, ERR_CONFLICT, "no row is that old");
    if (job->last_seq < head->accepted_seq)
        return err_set(err, ERR_CONFLICT,
                       "the rows up to %lld, which were accepted together, go together",
                       (long long)head->accepted_seq);
    return 0;
}

static bool archive_walk(struct audit_job *job, sqlite3 *db)
{
    int rc = 0;

    if (job->phase == JOB_BEGINS &&
        io_atomic_begin(&job->file, job->path, ARCHIVE_MODE, &job->job.err) < 0)
        return job_end(job);
    rc = job_walk(job, db, archive_on_row);
    if (rc > 0)
        return true;
    if (err_is_set(&job->job.err) || archive_check(job) < 0 || archive_flush(job) < 0 ||
        io_atomic_commit(&job->file, &job->job.err) < 0)
        return job_end(job);
    job->verdict.file_row_count = job->walk.row_count;
    job->phase = JOB_DELETES;
    return true;
}

/* The last row of the next batch, and its hash. What was accepted together goes at once: the hash
 * of its end is over all of it. */
static int archive_find_cut(struct audit_job *job, sqlite3 *db, struct err *err)
{
    static const char FIND[] = "SELECT seq, hash FROM audit WHERE seq <= ?1 AND seq >= ?2"
                               " ORDER BY seq LIMIT 1";
    struct audit_head *now = &job->job.chain->now;
    AUTO_STMT sqlite3_stmt *stmt = NULL;
    int64_t from_seq = now->first_seq + JOB_DELETE_ROWS - 1;
    int rc = 0;

    if (from_seq < now->accepted_seq)
        from_seq = now->accepted_seq;
    if (from_seq > job->last_seq)
        from_seq = job->last_seq;
    if (sqlite3_prepare_v2(db, FIND, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, job->last_seq) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, from_seq) != SQLITE_OK)
        return store_file_fail(db, err, "archive");
    rc = store_next_row(stmt, err);
    if (rc < 0)
        return -1;
    assert(rc == 1); /* it was read a moment ago, and rows stay */
    now->first_seq = sqlite3_column_int64(stmt, 0) + 1;
    (void)snprintf(now->first_hash, sizeof(now->first_hash), "%s",
                   (const char *)sqlite3_column_text(stmt, 1));
    if (now->accepted_seq < now->first_seq)
        now->accepted_seq = 0;
    return 0;
}

static int archive_delete_rows(const struct audit_head *now, sqlite3 *db, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, "DELETE FROM audit WHERE seq < ?1", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, now->first_seq) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_DONE)
        return store_file_fail(db, err, "delete archived rows");
    return 0;
}

/* The row that tells of the archive goes in with the first batch. */
static int archive_delete_batch(struct audit_job *job, sqlite3 *db)
{
    struct audit_chain *chain = job->job.chain;
    struct err *err = &job->job.err;
    int rc = audit_transaction_begin(chain, db, err);

    if (rc == 0 && job->row != NULL) {
        audit_link(chain, job->row);
        rc = store_write_now(job->row, db, err);
    }
    if (rc == 0)
        rc = archive_find_cut(job, db, err);
    /* The trigger lets go what the head does not count any more. */
    if (rc == 0)
        rc = audit_write_head(chain, db, err);
    if (rc == 0)
        rc = archive_delete_rows(&chain->now, db, err);
    rc = audit_transaction_end(chain, db, rc, err);
    if (rc == 0) {
        store_write_free(job->row);
        job->row = NULL;
    }
    return rc;
}

static bool archive_step(struct store_job *base, sqlite3 *db)
{
    struct audit_job *job = job_of(base);

    if (job->phase != JOB_DELETES)
        return archive_walk(job, db);
    if (archive_delete_batch(job, db) == 0 && base->chain->stored.first_seq <= job->last_seq)
        return true;
    return job_end(job);
}

struct store_job *audit_archive(struct store *store, const struct audit_archive *archive,
                                struct audit_waiter waiter, struct err *err)
{
    struct audit_job *job = job_new(archive_step, waiter);

    job->row = store_table_write(&TABLE_audit, &archive->row);
    job->before_ms = archive->before_ms;
    job->path = xstrdup(archive->path);
    job->to_line = archive->to_line;
    return store_job_post(store, &job->job, err);
}

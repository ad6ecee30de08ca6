/* The supervisor's database: one SQLite file, one connection, one writer thread.
 *
 *   store_open    opens, checks, migrates         the connection belongs to the caller's thread
 *   x_load_all    what the last run left          (workers.h, models.h, events.h, requests.h)
 *   store_start   starts the writer               from here on the connection belongs to it
 *   x_put         posts a row and returns at once never waits for the disk
 *   x_query       asks for rows, told later
 *   store_fd      readable when rows are done     the owner's loop calls store_dispatch
 *   store_close   writes what is queued, ends the writer, closes
 *
 * Every function is called on one thread, the loop's; callbacks run there too, inside
 * store_dispatch or store_close, never inside a put.
 *
 * When the disk is full or fails, rows stay queued, in order, and are tried again every second; the
 * queue is bounded, and a put that finds it full (or the store closing) fails. A row that the
 * schema itself refuses is a fault of the program: it alone is dropped and reported as lost.
 * Nothing goes in silence. */
#ifndef RBEE_DB_STORE_H
#define RBEE_DB_STORE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_QUEUE_MAX_ROWS = 16 * 1024,
    STORE_QUEUE_MAX_BYTES = 32 * 1024 * 1024,
    STORE_GROUP_MAX_ROWS = 256, /* in one transaction */
    STORE_LINGER_MS = 2,        /* how long a group waits for company, unless somebody waits */
    STORE_RETRY_MS = 1000,      /* between tries while the disk refuses */
    STORE_ROW_MAX_BYTES = 256 * 1024,
    /* Of a query: what does not fit is read with another one. Of all that wait or were not told
       yet. */
    STORE_QUERY_MAX_ROWS = 1000,
    STORE_QUERY_MAX_BYTES = 1024 * 1024, /* the row that passes it is still in */
    STORE_QUERY_MAX_COUNT = 64,
    STORE_JOB_MAX_COUNT = 4,       /* that wait, run, or were not told yet */
    STORE_PRUNE_AFTER_ROWS = 1024, /* so many new ones, or an hour, and old ones are looked for */
};

struct store;

/* What opening found; all zero when nothing happened. */
struct store_report {
    bool was_corrupt;        /* a new file was begun; say it loudly */
    char corrupt_path[4096]; /* where the old one is now */
    struct err corrupt_cause;
    uint32_t migrated_from; /* schema versions; equal when nothing was migrated */
    uint32_t migrated_to;
};

/* How long events, failures and requests that have ended are kept; 0: without that limit. A wall
 * clock that is set forward takes the old ones along, but never the newest of a log. */
struct store_retention {
    int64_t keep_ms;
    int64_t keep_rows; /* of each table; it may be passed by STORE_PRUNE_AFTER_ROWS for a while */
};

/* Told on the loop's thread. */
struct store_listener {
    /* ERR: why the disk takes nothing; rows wait. ERR_NONE: it does again. Only on a change. */
    void (*on_health)(void *owner, const struct err *err);
    /* A row is gone: refused by the schema, or the store was closed while the disk refused. */
    void (*on_lost)(void *owner, const struct err *err);
    void *owner;
};

/* Who waits for a row. Called exactly once: with ERR_NONE when the row is on disk; else with the
 * reason why it was not at the first try. Then it still waits in the queue, unless it is lost. */
struct store_done {
    void (*on_done)(void *owner, const struct err *err); /* NULL: nobody waits */
    void *owner;
};
#define STORE_NOBODY ((struct store_done){NULL, NULL})

/* Where a row is that is put when something begins and again when it ends: one that still waits in
 * the queue by then is written once, as it is at the end. All zero at first; its owner keeps it at
 * one place until the end is put. */
struct store_place {
    struct store_write *waiting; /* under the queue's lock */
};

/* Opens the file PATH, made with mode 0600; its folder must be there. A file that is corrupt is set
 * aside as PATH.corrupt-TIME and a new one begun. A schema newer than ours, or a file that is
 * not ours: ERR_CONFIG, nothing is touched. Held by another process: ERR_CONFLICT. Else ERR_IO. */
struct store *store_open(const char *path, struct store_report *out_report, struct err *err);
/* LISTENER is copied; its owner outlives the store. */
int store_start(struct store *store, const struct store_listener *listener, struct err *err);
/* Without it everything is kept. The writer deletes what is too old in its quiet moments, a little
 * at a time. At any time. */
void store_set_retention(struct store *store, struct store_retention retention);
/* Readable when store_dispatch has something to tell. */
int store_fd(const struct store *store);
void store_dispatch(struct store *store);
/* Rows posted and not yet on disk. */
size_t store_queued_count(struct store *store);
/* Rows posted ever, and those of them that are done with, in order: what had been posted when the
 * first was N is on disk (or lost) when the second is N. */
uint64_t store_posted_count(struct store *store);
uint64_t store_done_count(struct store *store);
/* Writes what is queued, tells who waits, ends the writer, frees. Rows that the disk refuses even
 * now are reported as lost. Accepts NULL and a store that was never started. */
void store_close(struct store *store);

/* ---- reading after store_start ----
 *
 * x_query() of a log posts a query and returns at once. The writer reads between two groups, when
 * all rows that were posted before the query are on disk, so that who writes and asks finds what it
 * wrote. The reader is called exactly once, on the loop's thread, unless the query is cancelled. */

/* Which rows of a log; the first LIMIT of them in the order asked for. */
struct store_filter {
    const char *worker; /* NULL: whatever their worker */
    const char *actor;  /* the same for a log of deeds */
    int64_t after_seq;  /* numbers above this one */
    int64_t since_ms;   /* wall time; 0: whatever their time */
    size_t limit;       /* 0, or more than STORE_QUERY_MAX_ROWS: that many */
    bool newest_first;
};

struct store_answer {
    struct err err; /* why there are no rows: the file cannot be read, or the store is closing */
    bool has_more;  /* a bound was reached: ask again after the last number */
    bool is_behind; /* the disk refuses rows, and some that were posted before are not in here */
};

struct store_query;

/* Before the reader was called: it never is. */
void store_query_cancel(struct store *store, struct store_query *query);

/* ---- work that takes longer (audit.h) ----
 *
 * A job is done by the writer, a piece at a time, between two groups of rows. */

struct store_job;

/* Before its owner was told: it never is. What has been done by then stays done. */
void store_job_cancel(struct store *store, struct store_job *job);

/* Texts of loaded rows, freed with them. */
struct store_texts {
    char **texts;
    size_t count;
    size_t size_bytes; /* all of them */
};

#endif

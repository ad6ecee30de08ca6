/* Table `audit`: what happened, who did it, chained (audit_chain.h) and never changed.
 *
 *   audit_open     before store_start: reads the head, looks whether the chain holds
 *   audit_append   as for any log; number and hash are given as the row is written, so that they
 *                  follow the order on disk, and the head goes along in the same transaction
 *   audit_verify, audit_accept, audit_archive    read all rows, a piece at a time, between groups
 *
 * Without audit_open no row is ever written. Rows stay until they are archived. */
#ifndef RBEE_DB_AUDIT_H
#define RBEE_DB_AUDIT_H

#include "db/audit_chain.h"
#include "db/store.h"

/* No text is NULL in a loaded row; NULL is stored as "". */
struct audit_row {
    int64_t seq;   /* key, rises by one */
    int64_t at_ms; /* wall time */
    const char *kind;
    const char *service;
    const char *actor;
    const char *peer;
    const char *method;
    const char *path;
    const char *request_id; /* the caller's label of the request */
    const char *outcome;
    const char *details; /* a JSON object */
    const char *hash;
};

struct audit_rows {
    struct audit_row *rows;
    size_t count;
    struct store_texts texts;
};

struct audit_report {
    bool is_new; /* there has never been a row */
    enum audit_fault fault;
    int64_t bad_seq;
};

/* KEY is copied. MUST_BE_THERE: a trail without a row has lost them. What is wrong with the chain
 * is no failure: the chain goes on, and audit_verify says so until somebody accepts it. */
int audit_open(struct store *store, const unsigned char key[KEYED_HASH_KEY_BYTES],
               bool must_be_there, struct audit_report *out, struct err *err);
/* ROW is copied; number and hash are not looked at. ERR_BUSY when the queue is full. */
int audit_append(struct store *store, const struct audit_row *row, struct store_done done,
                 struct err *err);
/* The same before store_start, within the transaction of requests_end_interrupted(). */
int audit_append_now(struct store *store, const struct audit_row *row, struct err *err);
void audit_rows_release(struct audit_rows *rows);
/* The head as it is on disk. */
void audit_stored_head(struct store *store, struct audit_head *out);

/* ROWS are the store's: gone when the function returns. */
struct audit_reader {
    void (*on_rows)(void *owner, const struct audit_rows *rows, const struct store_answer *answer);
    void *owner;
};

/* As events_query(). */
struct store_query *audit_query(struct store *store, const struct store_filter *filter,
                                struct audit_reader reader, struct err *err);

/* ---- all rows ---- */

struct store_job;

/* How the chain is. */
struct audit_verdict {
    enum audit_fault fault;
    int64_t bad_seq; /* the first row that is wrong */
    int64_t row_count;
    int64_t file_row_count; /* written into the archive */
    struct audit_head head;
};

/* Called once, on the loop's thread, unless the job is cancelled. ERR: it could not be done. */
struct audit_waiter {
    void (*on_verdict)(void *owner, const struct audit_verdict *verdict, const struct err *err);
    void *owner;
};

/* Each returns what serves to cancel it, or NULL with ERR_BUSY (STORE_JOB_MAX_COUNT wait). After
 * store_start. */

/* WANTED_SEQ and WANTED_HASH are a head that was kept elsewhere; 0: none. */
struct store_job *audit_verify(struct store *store, int64_t wanted_seq, const char *wanted_hash,
                               struct audit_waiter waiter, struct err *err);
/* A chain that does not hold is taken as it is from ROW on, which is written. ERR_CONFLICT: it
 * holds. The verdict is the one that was accepted. */
struct store_job *audit_accept(struct store *store, const struct audit_row *row,
                               struct audit_waiter waiter, struct err *err);

struct audit_archive {
    int64_t before_ms; /* the first rows, as far as all of them are older */
    const char *path;  /* of the file */
    /* A row as a line of the file, on the writer's thread; the caller frees it. */
    char *(*to_line)(const struct audit_row *row);
    struct audit_row row; /* says in the trail that they were archived */
};

/* Writes the rows into the file, and when that is on disk deletes them, while the head says where
 * the chain begins from now on. ERR_CONFLICT: there is none that old, or the chain does not hold.
 */
struct store_job *audit_archive(struct store *store, const struct audit_archive *archive,
                                struct audit_waiter waiter, struct err *err);

#endif

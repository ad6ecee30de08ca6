/* Table `failures`: each failure of a worker, with what breakers and people judge it by. Never
 * changed once written. */
#ifndef RBEE_DB_FAILURES_H
#define RBEE_DB_FAILURES_H

#include "db/store.h"

/* No text is NULL in a loaded row; NULL is stored as "". */
struct failure_row {
    int64_t seq;        /* key, rises by one; given by failures_append */
    int64_t at_ms;      /* wall time */
    int64_t at_mono_ms; /* CLOCK_MONOTONIC of the boot in boot_id */
    const char *boot_id;
    const char *worker;
    const char *device;
    const char *class;
    const char *exit; /* how the process ended, for people */
    const char *last_words;
    const char *instance;
    int64_t load_ms; /* how long the load before it took; 0: it had not begun or is not known */
    int64_t wait_ms; /* the back-off before that load */
    bool is_drill;   /* made to order by a person */
};

struct failure_rows {
    struct failure_row *rows;
    size_t count;
    struct store_texts texts;
};

/* The last LIMIT failures, oldest first. Before store_start. The caller releases *out. */
int failures_load_last(struct store *store, size_t limit, struct failure_rows *out,
                       struct err *err);
void failure_rows_release(struct failure_rows *rows);
/* ROW is copied; its seq is not looked at, *out_seq (may be NULL) is the one it got. ERR_BUSY when
 * the queue is full; then no number is used up. */
int failures_append(struct store *store, const struct failure_row *row, struct store_done done,
                    int64_t *out_seq, struct err *err);

/* ROWS are the store's: gone when the function returns. */
struct failure_reader {
    void (*on_rows)(void *owner, const struct failure_rows *rows,
                    const struct store_answer *answer);
    void *owner;
};

/* After store_start. FILTER is copied. What is returned serves to cancel, until the reader is
 * called. ERR_BUSY: STORE_QUERY_MAX_COUNT wait, or the store is closing. */
struct store_query *failures_query(struct store *store, const struct store_filter *filter,
                                   struct failure_reader reader, struct err *err);

#endif

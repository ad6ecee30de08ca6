/* Table `events`: what happened to workers and requests, in order, never changed. */
#ifndef RBEE_DB_EVENTS_H
#define RBEE_DB_EVENTS_H

#include "db/store.h"

/* No text is NULL in a loaded row; NULL is stored as "". */
struct event_row {
    int64_t seq;   /* key, rises by one; given by events_append */
    int64_t at_ms; /* wall time */
    const char *kind;
    const char *worker;  /* "" when it is about none */
    const char *request; /* our id of it, "" when it is about none */
    const char *details; /* a JSON object */
};

struct event_rows {
    struct event_row *rows;
    size_t count;
    struct store_texts texts;
};

/* The last LIMIT events, oldest first. Before store_start. The caller releases *out. */
int events_load_last(struct store *store, size_t limit, struct event_rows *out, struct err *err);
void event_rows_release(struct event_rows *rows);
/* ROW is copied; its seq is not looked at, *out_seq (may be NULL) is the one it got. ERR_BUSY when
 * the queue is full; then no number is used up. */
int events_append(struct store *store, const struct event_row *row, struct store_done done,
                  int64_t *out_seq, struct err *err);

/* ROWS are the store's: gone when the function returns. */
struct event_reader {
    void (*on_rows)(void *owner, const struct event_rows *rows, const struct store_answer *answer);
    void *owner;
};

/* After store_start. FILTER is copied. What is returned serves to cancel, until the reader is
 * called. ERR_BUSY: STORE_QUERY_MAX_COUNT wait, or the store is closing. */
struct store_query *events_query(struct store *store, const struct store_filter *filter,
                                 struct event_reader reader, struct err *err);

#endif

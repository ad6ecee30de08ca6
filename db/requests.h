/* Table `requests`: one row an inference, written when it comes and again when it ends. */
#ifndef RBEE_DB_REQUESTS_H
#define RBEE_DB_REQUESTS_H

#include "db/store.h"

/* Outcome of a request that a dead supervisor left without an end; store_open writes it. */
#define REQUEST_OUTCOME_INTERRUPTED "interrupted"

/* Times are wall time; 0: not yet. No text is NULL in a loaded row; NULL is stored as "". Never
 * holds a prompt or an answer. */
struct request_row {
    const char *id;         /* key: ours */
    const char *request_id; /* the caller's label */
    const char *worker;
    const char *model;
    int64_t submitted_ms;
    int64_t started_ms;
    int64_t ended_ms;
    const char *outcome; /* "" until the end */
    const char *stop_reason;
    int64_t prompt_tokens;
    int64_t completion_tokens;
};

struct request_rows {
    struct request_row *rows;
    size_t count;
    struct store_texts texts;
};

/* The last LIMIT requests by time of submission, oldest first. Before store_start. The caller
 * releases *out. */
int requests_load_last(struct store *store, size_t limit, struct request_rows *out,
                       struct err *err);
void request_rows_release(struct request_rows *rows);
/* A request that a supervisor left open when it died, as it is now that it has ended. -1 with err
 * ends the whole. */
struct request_teller {
    int (*on_request)(void *owner, const struct request_row *row, struct err *err);
    void *owner;
};

/* Ends those requests, with the outcome "interrupted", and tells of each, in one transaction, in
 * which audit_append_now() may be called. After audit_open, if that is called at all, and before
 * store_start. TELLER.on_request may be NULL. */
int requests_end_interrupted(struct store *store, struct request_teller teller, int64_t *out_count,
                             struct err *err);
/* The row when a request comes, and when it has ended; ROW is copied. PLACE as in
 * store_post_begin(). ERR_BUSY when the queue is full. */
int requests_put_begin(struct store *store, const struct request_row *row,
                       struct store_place *place, struct err *err);
int requests_put_end(struct store *store, const struct request_row *row, struct store_place *place,
                     struct err *err);

#endif

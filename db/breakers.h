/* Table `breakers`: the circuit breakers that are not as they were made, one for each worker and
 * one for each GPU. */
#ifndef RBEE_DB_BREAKERS_H
#define RBEE_DB_BREAKERS_H

#include "db/store.h"

/* No text is NULL in a loaded row; NULL is stored as "". */
struct breaker_row {
    const char *key; /* "worker:NAME" or "gpu:ID" */
    const char *state;
    const char *cause;
    const char *opened_by; /* what it opened for in the first place */
    int64_t opened_ms;     /* wall time */
    int64_t until_ms;      /* CLOCK_MONOTONIC of the boot in boot_id */
    int64_t until_wall_ms; /* the same moment by the wall clock as it was */
    int64_t open_time_ms;  /* how long it opens; a failed probe doubles it */
    int64_t trip_count;
    int64_t
        window_from_ms; /* wall time; failures before do not count in the short window; 0: all do */
    int64_t flap_from_ms; /* the same for the day's count */
    bool probe_is_running;
    const char *last_words;
    const char *reason; /* a person's, who forced it open */
    const char *boot_id;
    int64_t updated_ms; /* wall time */
};

struct breaker_rows {
    struct breaker_row *rows;
    size_t count;
    struct store_texts texts;
};

/* By key. Before store_start. The caller releases *out. */
int breakers_load_all(struct store *store, struct breaker_rows *out, struct err *err);
void breaker_rows_release(struct breaker_rows *rows);
/* Inserts or replaces the row of this key; ROW is copied. ERR_BUSY when the queue is full. */
int breakers_put(struct store *store, const struct breaker_row *row, struct store_done done,
                 struct err *err);
int breakers_remove(struct store *store, const char *key, struct store_done done, struct err *err);

#endif

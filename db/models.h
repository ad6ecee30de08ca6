/* Table `models`: files that were described once and have a name. */
#ifndef RBEE_DB_MODELS_H
#define RBEE_DB_MODELS_H

#include "db/store.h"

/* No text is NULL in a loaded row; NULL is stored as "". */
struct model_row {
    const char *name; /* key */
    const char *path; /* absolute */
    const char *architecture;
    int64_t parameters;
    const char *quantisation;
    int64_t size_bytes;       /* of the file when it was described */
    int64_t file_modified_ns; /* its mtime then; only compared for equality */
    int64_t context_tokens;
    const char *chat_template;
    const char *details; /* the whole record of rbee-worker --describe, JSON */
    int64_t added_ms;    /* wall time */
    const char *source;  /* where it was pulled from; "": added by hand */
    const char *files;   /* JSON: what its files are known by */
    bool is_published;   /* that is what their repository says */
};

struct model_rows {
    struct model_row *rows;
    size_t count;
    struct store_texts texts;
};

/* By name. Before store_start. The caller releases *out. */
int models_load_all(struct store *store, struct model_rows *out, struct err *err);
void model_rows_release(struct model_rows *rows);
/* Inserts or replaces the row of this name; ROW is copied. ERR_BUSY when the queue is full. */
int models_put(struct store *store, const struct model_row *row, struct store_done done,
               struct err *err);
int models_remove(struct store *store, const char *name, struct store_done done, struct err *err);

#endif

/* The registry of model files: what has been described once and has a name. The file itself stays
 * where it is and is only looked at. */
#ifndef RBEE_SUPERVISOR_MODELS_H
#define RBEE_SUPERVISOR_MODELS_H

#include "common/config.h"
#include "common/err.h"
#include "db/store.h"
#include "supervisor/split.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct supervisor;

enum model_state {
    MODEL_OK,
    MODEL_MISSING, /* the file is gone */
    MODEL_CHANGED, /* size or time differ from what was described */
};

/* A file at one moment. */
struct model_stamp {
    int64_t size_bytes;
    int64_t modified_ns;
};

/* What a worker of it takes of memory; 0: not known. */
struct model_need {
    int64_t fixed_bytes;
    int64_t slot_bytes;       /* for each request at a time */
    int64_t token_bytes;      /* for each token of the context */
    int64_t q8_0_token_bytes; /* the same where keys and values are q8_0; 0: not told */
    int64_t context_tokens;   /* the model's: no worker has more */
    int64_t layer_count;
    /* Divided over two devices: of all layers, and of each device besides its layers. */
    int64_t layers_bytes;
    int64_t first_bytes;
    int64_t last_bytes;
};

/* rbee-worker's, when nothing is said. */
enum { MODEL_CONTEXT_DEFAULT_TOKENS = 8192, MODEL_SLOTS_DEFAULT = 4 };

/* Where a model comes from, and what its files are known by. */
struct model_origin {
    const char *source;  /* where it was pulled from; "": added by hand. Borrowed */
    const json_t *files; /* [{"file", "size_bytes", "sha256"}], borrowed; NULL: nothing is known */
    bool is_published;   /* that is what their repository says, not only what was on the disk */
};

struct model {
    TAILQ_ENTRY(model) link;
    char name[CONFIG_NAME_MAX_BYTES + 1];
    char *path;
    struct model_stamp stamp; /* when it was described */
    json_t *details;          /* the record of --describe */
    struct model_need need;   /* as it says */
    int64_t added_ms;         /* wall time */
    char *source;             /* as in model_origin, all three */
    json_t *files;            /* an array */
    bool is_published;
};

TAILQ_HEAD(model_list, model);

int models_load(struct supervisor *supervisor, struct err *err);
void models_release(struct supervisor *supervisor);
struct model *model_find(struct supervisor *supervisor, const char *name);
struct model *model_find_path(struct supervisor *supervisor, const char *path);
enum model_state model_look(const struct model *model);
/* The MODEL record; a new reference. */
json_t *model_record(const struct model *model);

/* What DETAILS, a record of --describe, says of it; all 0 when it does not. */
struct model_need model_need_of(const json_t *details);
/* NEED of a worker that keeps keys and values as KV_TYPE, or "". */
struct model_need model_need_kept_as(const struct model_need *need, const char *kv_type);
/* The context that a worker takes of its own. */
int64_t model_own_context_tokens(const struct model_need *need);
/* With a context of CONTEXT_TOKENS; 0: the worker's own. For a need that is known. */
int64_t model_need_bytes(const struct model_need *need, int64_t context_tokens, int64_t slots);
/* The same, divided over two devices. BYTES is what it takes on one: where the description does not
 * tell of parts they are taken from that. */
void model_split_need(const struct model_need *need, int64_t context_tokens, int64_t slots,
                      int64_t bytes, struct split_need *out);
/* The regular file at PATH. ERR_NO_FILE; ERR_IO. */
int model_stamp_of(const char *path, struct model_stamp *out, struct err *err);
bool model_stamp_equal(const struct model_stamp *a, const struct model_stamp *b);
/* The name a file goes by: its own in lower case, without the type; characters a name cannot have
 * become '-'. ERR_INVALID when nothing is left. */
int model_name_of(const char *path, char out[CONFIG_NAME_MAX_BYTES + 1], struct err *err);
/* ERR_CONFLICT when NAME is not free, and not that of the file PATH already. */
int model_check_name(struct supervisor *supervisor, const char *name, const char *path,
                     struct err *err);
/* A file and what is known of it. */
struct model_facts {
    const char *path;
    const struct model_stamp *stamp;
    json_t *details;                   /* of --describe at STAMP; borrowed */
    const struct model_origin *origin; /* NULL: as it was, of a model that is there; of a file that
                                          has changed, its source */
};
/* Puts or replaces NAME and stores it; DONE is told when it is on disk. NULL with err, and nothing
 * changes, when the store takes nothing or the details are no record of a model (ERR_PROTOCOL). */
struct model *model_put(struct supervisor *supervisor, const char *name,
                        const struct model_facts *facts, struct store_done done, struct err *err);
/* What MODEL's files are known by from now on, as they were found on the disk; stored. */
int model_record_files(struct supervisor *supervisor, struct model *model, const json_t *files,
                       struct store_done done, struct err *err);
/* Forgets it, in the store too; the struct is gone. */
int model_remove(struct supervisor *supervisor, struct model *model, struct store_done done,
                 struct err *err);

#endif

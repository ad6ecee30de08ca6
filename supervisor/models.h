/* The registry of model files: what has been described once and has a name. The file itself stays
 * where it is and is only looked at. */
#ifndef RBEE_SUPERVISOR_MODELS_H
#define RBEE_SUPERVISOR_MODELS_H

#include "common/config.h"
#include "common/err.h"
#include "db/store.h"

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
    int64_t slot_bytes;     /* for each request at a time */
    int64_t token_bytes;    /* for each token of the context */
    int64_t context_tokens; /* the model's: no worker has more */
};

/* rbee-worker's, when nothing is said. */
enum { MODEL_CONTEXT_DEFAULT_TOKENS = 8192, MODEL_SLOTS_DEFAULT = 4 };

struct model {
    TAILQ_ENTRY(model) link;
    char name[CONFIG_NAME_MAX_BYTES + 1];
    char *path;
    struct model_stamp stamp; /* when it was described */
    json_t *details;          /* the record of --describe */
    struct model_need need;   /* as it says */
    int64_t added_ms;         /* wall time */
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
/* With a context of CONTEXT_TOKENS; 0: the worker's own. For a need that is known. */
int64_t model_need_bytes(const struct model_need *need, int64_t context_tokens, int64_t slots);
/* The regular file at PATH. ERR_NO_FILE; ERR_IO. */
int model_stamp_of(const char *path, struct model_stamp *out, struct err *err);
bool model_stamp_equal(const struct model_stamp *a, const struct model_stamp *b);
/* The name a file goes by: its own in lower case, without the type; characters a name cannot have
 * become '-'. ERR_INVALID when nothing is left. */
int model_name_of(const char *path, char out[CONFIG_NAME_MAX_BYTES + 1], struct err *err);
/* Puts or replaces NAME, described as DETAILS (borrowed) at STAMP, and stores it; DONE is told when
 * it is on disk. NULL with err, and nothing changes, when the store takes nothing or DETAILS is no
 * record of a model (ERR_PROTOCOL). */
struct model *model_put(struct supervisor *supervisor, const char *name, const char *path,
                        const struct model_stamp *stamp, json_t *details, struct store_done done,
                        struct err *err);
/* Forgets it, in the store too; the struct is gone. */
int model_remove(struct supervisor *supervisor, struct model *model, struct store_done done,
                 struct err *err);

#endif

/* The GPUs of this machine as they were read last. rbee-gpu reads them (reader.h); here is what it
 * has told, by PCI address, and how a GPU is found by its names:
 *
 *   gpu:0              its number in the order of PCI addresses; changes with the hardware
 *   gpu:0000:03:00.0   its PCI address, also without "gpu:"; the name that we use ourselves
 *   gpu:03:00.0        the same, of the first domain
 *   gpu:GPU-2c5f…      its UUID, where the driver tells one
 *
 * A worker program tells of them as well (survey.h): which of them models can run on. A GPU that
 * one of the two has told of is in the table.
 *
 * Three states: active; asleep (the kernel has cut its power, and nothing is read that would wake
 * it); unreadable (its driver tells nothing, or hung when it was asked). Unknown is not zero. */
#ifndef RBEE_SUPERVISOR_GPU_GPU_H
#define RBEE_SUPERVISOR_GPU_GPU_H

#include "common/gpu_figures.h"
#include "supervisor/gpu/history.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    GPU_MAX_COUNT = 32, /* as gpu/card.h */
    GPU_PCI_BYTES = 32,
    GPU_TEXT_BYTES = 96,
    GPU_COMMAND_BYTES = 32,
    GPU_REASON_BYTES = 256,
    GPU_NAME_BYTES = GPU_PCI_BYTES + 4, /* "gpu:" */
    GPU_USE_MAX_COUNT = 256,            /* as gpu/card.h */
    GPU_LINE_MAX_BYTES = 64 << 10,      /* of rbee-gpu: that many processes, 200 bytes each */
};

enum gpu_state { GPU_UNREADABLE, GPU_ACTIVE, GPU_ASLEEP };

/* What one process holds of a GPU. */
struct gpu_use {
    pid_t pid;
    pid_t group;          /* -1: unknown */
    int64_t memory_bytes; /* -1: unknown */
    char command[GPU_COMMAND_BYTES];
};

/* What a worker program has told of it. While that is nothing, no figure is known. */
struct gpu_ability {
    bool is_listed;                /* it sees this GPU */
    bool is_usable;                /* models can run there */
    char reason[GPU_REASON_BYTES]; /* why not; "" */
    char architecture[GPU_TEXT_BYTES];
    char uuid[GPU_TEXT_BYTES]; /* as it calls it; "": not known */
    int64_t memory_bytes;      /* -1: not known */
    int64_t foreign_bytes;     /* what was taken then, and not by workers of ours; -1: not known */
};

struct gpu {
    char pci[GPU_PCI_BYTES];
    char vendor[GPU_TEXT_BYTES];
    char name[GPU_TEXT_BYTES]; /* "": unknown, as the next two; kept while it sleeps */
    char uuid[GPU_TEXT_BYTES];
    char pcie_link[GPU_TEXT_BYTES];
    enum gpu_state state;
    struct gpu_figures figures;
    int64_t read_ms; /* when that was so; -1: never */
    struct gpu_use *uses;
    size_t use_count;
    bool knows_uses;
    bool is_told;   /* by rbee-gpu, in its last round */
    uint64_t round; /* in which it was told of last */
    uint64_t uses_round;
    struct gpu_history history;
    struct gpu_ability ability;
};

/* Sorted by PCI address. All zeros: empty. */
struct gpu_table {
    size_t count;
    struct gpu *gpus[GPU_MAX_COUNT];
    uint64_t round;
    uint64_t change_count; /* rbee-gpu told of a card that it had not, or not any more */
};

void gpu_table_release(struct gpu_table *table);

/* ---- what rbee-gpu tells ---- */

enum gpu_news {
    GPU_NEWS_NONE, /* of no use: not one of the lines that gpu/round.h describes */
    GPU_NEWS_STEP, /* *out_step is what it reads next */
    GPU_NEWS_READ,
    GPU_NEWS_DONE, /* the round is over: a GPU that was neither told of in it nor kept
                      (gpu_table_keep()) is gone */
};

/* Takes one line over, without its end; STEP has GPU_PCI_BYTES. Whatever the line is, the table
 * stays in order: rbee-gpu runs a driver's code. */
enum gpu_news gpu_table_take(struct gpu_table *table, const char *line, size_t len, int64_t now_ms,
                             char *out_step);
/* A step hung or crashed: its GPU, if it is one's address, is unreadable; NULL: all are. */
void gpu_table_fail(struct gpu_table *table, const char *step, int64_t now_ms);
/* The round goes on without this step: its GPU is still there. */
void gpu_table_keep(struct gpu_table *table, const char *step);

/* Whether rbee-gpu has told of any in its last round. */
bool gpu_table_is_told(const struct gpu_table *table);

/* ---- what a worker program tells ---- */

struct ability_answer;

/* Takes over what is in ANSWER; what is not there is seen by no worker, and gone if rbee-gpu does
 * not tell of it either. What is foreign stays as it was known. */
void gpu_table_see(struct gpu_table *table, const struct ability_answer *answer);

/* ---- questions ---- */

/* NULL when there is none of that name. *out_index may be NULL. */
struct gpu *gpu_table_find(const struct gpu_table *table, const char *name, size_t *out_index);
bool gpu_is_named(const struct gpu *gpu, size_t index, const char *name);
/* Whether NAME is that of the GPU at PCI, at place INDEX of its table, with UUID, which may be "".
 */
bool gpu_name_fits(const char *pci, const char *uuid, size_t index, const char *name);
/* "gpu:0000:03:00.0" */
void gpu_write_name(const struct gpu *gpu, char out[GPU_NAME_BYTES]);
/* It goes into ids, addresses and labels. */
bool gpu_is_pci(const char *text);
/* A driver's text: printable, and cut where it is too long. Missing or null: "" */
void gpu_take_text(const json_t *object, const char *field, char *out, size_t size);
const char *gpu_state_name(enum gpu_state state);
/* What processes hold of it for which IS_OURS says so; -1: unknown. */
int64_t gpu_held_bytes(const struct gpu *gpu,
                       bool (*is_ours)(const void *owner, const struct gpu_use *use),
                       const void *owner);

#endif

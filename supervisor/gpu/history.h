/* An hour of a GPU's figures, in memory: a ring of slots of HISTORY_STEP_MS. Pure; time comes in.
 */
#ifndef RBEE_SUPERVISOR_GPU_HISTORY_H
#define RBEE_SUPERVISOR_GPU_HISTORY_H

#include "common/gpu_figures.h"

#include <jansson.h>
#include <stdint.h>

enum {
    GPU_HISTORY_STEP_MS = 5000,
    GPU_HISTORY_SLOT_COUNT = 720,
    /* Readings are up to 15 s apart: what was read last holds for so many slots, and then it is
     * unknown. */
    GPU_HISTORY_HOLD_COUNT = 4,
    GPU_HISTORY_LINE_COUNT = 4, /* figures that are kept */
};

struct gpu_history {
    int64_t first; /* slot of the oldest value, in steps of the monotonic clock */
    int64_t end;   /* behind the newest; equal: there is none */
    double values[GPU_HISTORY_LINE_COUNT][GPU_HISTORY_SLOT_COUNT]; /* by slot modulo the count */
};

/* A history of all zeros is empty. */
void gpu_history_add(struct gpu_history *history, int64_t now_ms,
                     const struct gpu_figures *figures);
/* {"step_ms", and for each line its values, the oldest first, the newest of NOW_MS}; a new
 * reference. */
json_t *gpu_history_to_json(struct gpu_history *history, int64_t now_ms);

#endif

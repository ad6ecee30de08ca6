/* How many rows of a prompt one step takes: as many as the measured speed allows in PACE_TARGET_US,
 * so that a cancel, or another request's next token, never waits longer. Pure. */
#ifndef RBEE_HIP_ENGINE_PACE_H
#define RBEE_HIP_ENGINE_PACE_H

#include <stdint.h>

enum {
    PACE_TARGET_US = 100 * 1000, /* a prefill chunk: what a cancel waits for at most */
    /* One measurement may be far off (a page fault, a busy neighbour); a chunk grows by no more
     * than this factor over the one that was measured. */
    PACE_GROWTH_MAX = 4,
};

struct pace {
    uint32_t rows; /* of the next chunk */
};

/* TOOK_US is the time one single row took. */
void pace_init(struct pace *pace, uint64_t took_us);
/* A chunk of ROWS took so long. */
void pace_measure(struct pace *pace, uint32_t rows, uint64_t took_us);

#endif

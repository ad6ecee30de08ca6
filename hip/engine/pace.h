/* How many rows of prompts one step takes: as many as the measured speed allows in the time it may
 * take, so that a cancel, or another request's next token, never waits longer. Pure. */
#ifndef RBEE_HIP_ENGINE_PACE_H
#define RBEE_HIP_ENGINE_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PACE_TARGET_US = 100 * 1000, /* a prefill chunk: what a cancel waits for at most */
    /* One measurement may be far off (a page fault, a busy neighbour); a chunk grows by no more
     * than this factor over the one that was measured. */
    PACE_GROWTH_MAX = 4,
    /* The usual time of a step is the mean of about so many. */
    PACE_USUAL_STEPS = 8,
    /* While a prompt comes in, each so manyth step beside others goes without a chunk: streams grow
     * longer and machines busier meanwhile, and a usual time from before would leave a chunk less
     * and less, in the end a row. */
    PACE_BESIDE_STEPS = 16,
};

struct pace {
    uint32_t rows_alone;   /* of a chunk, when nobody decodes */
    uint32_t rows_beside;  /* of a chunk beside tokens of others */
    uint64_t usual_us;     /* a step without a chunk */
    uint32_t beside_steps; /* with a chunk beside others, since the last one without */
};

/* What a step was made of. */
struct pace_step {
    uint32_t prompt_rows;
    uint32_t decode_rows;
    uint64_t took_us;
};

/* TOOK_US is the time one single row took. */
void pace_init(struct pace *pace, uint64_t took_us);
/* Rows that the chunk of the next step may have; at least 1. With IS_BESIDE, when others decode, it
 * takes no longer than a usual step does, so that the gap before their tokens at most doubles, and
 * once in a while there is none (0), to measure what is usual. */
uint32_t pace_rows(const struct pace *pace, bool is_beside);
void pace_measure(struct pace *pace, const struct pace_step *step);

#endif

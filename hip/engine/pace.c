/* Owns the size of prefill chunks. Knows nothing of models or requests. */
#include "hip/engine/pace.h"

#include "hip/model/model.h"

void pace_init(struct pace *pace, uint64_t took_us)
{
    pace->rows = 1;
    pace_measure(pace, 1, took_us);
}

void pace_measure(struct pace *pace, uint32_t rows, uint64_t took_us)
{
    uint64_t fitting = (uint64_t)rows * PACE_TARGET_US / (took_us > 0 ? took_us : 1);

    if (fitting > (uint64_t)rows * PACE_GROWTH_MAX)
        fitting = (uint64_t)rows * PACE_GROWTH_MAX;
    /* The rest of a prompt is a small chunk that says little about a full one: it may only make
     * chunks smaller when it was itself too slow. */
    if (rows < pace->rows && fitting >= rows && took_us <= PACE_TARGET_US)
        return;
    if (fitting > SESSION_BATCH_MAX_ROWS)
        fitting = SESSION_BATCH_MAX_ROWS;
    pace->rows = fitting > 0 ? (uint32_t)fitting : 1;
}

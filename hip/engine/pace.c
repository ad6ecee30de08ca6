/* Owns the size of prefill chunks. Knows nothing of models or requests. */
#include "hip/engine/pace.h"

#include "hip/model/model.h"

/* What becomes of a size of *ROWS when a chunk of COUNT took TOOK_US of the TARGET_US it may. */
static void resize(uint32_t *rows, uint32_t count, uint64_t took_us, uint64_t target_us)
{
    uint64_t fitting = (uint64_t)count * target_us / (took_us > 0 ? took_us : 1);

    if (fitting > (uint64_t)count * PACE_GROWTH_MAX)
        fitting = (uint64_t)count * PACE_GROWTH_MAX;
    /* The rest of a prompt is a small chunk that says little about a full one: it may only make
     * chunks smaller when it was itself too slow. */
    if (count < *rows && fitting >= count && took_us <= target_us)
        return;
    if (fitting > SESSION_BATCH_MAX_ROWS)
        fitting = SESSION_BATCH_MAX_ROWS;
    *rows = fitting > 0 ? (uint32_t)fitting : 1;
}

void pace_init(struct pace *pace, uint64_t took_us)
{
    pace->usual_us = took_us;
    pace->rows_alone = 1;
    pace->rows_beside = 1;
    pace->beside_steps = 0;
    resize(&pace->rows_alone, 1, took_us, PACE_TARGET_US);
}

static uint64_t target_beside(const struct pace *pace)
{
    return pace->usual_us < PACE_TARGET_US ? pace->usual_us : PACE_TARGET_US;
}

uint32_t pace_rows(const struct pace *pace, bool is_beside)
{
    if (!is_beside)
        return pace->rows_alone;
    return pace->beside_steps < PACE_BESIDE_STEPS ? pace->rows_beside : 0;
}

/* A step without a chunk among many that had one is all that is known of now. */
static void measure_usual(struct pace *pace, uint64_t took_us)
{
    uint64_t weight = pace->beside_steps < PACE_BESIDE_STEPS ? PACE_USUAL_STEPS : 2;

    pace->usual_us = pace->usual_us - pace->usual_us / weight + took_us / weight;
    pace->beside_steps = 0;
}

void pace_measure(struct pace *pace, const struct pace_step *step)
{
    if (step->prompt_rows == 0) {
        measure_usual(pace, step->took_us);
    } else if (step->decode_rows == 0) {
        resize(&pace->rows_alone, step->prompt_rows, step->took_us, PACE_TARGET_US);
    } else {
        uint64_t chunk_us = step->took_us > pace->usual_us ? step->took_us - pace->usual_us : 0;

        resize(&pace->rows_beside, step->prompt_rows, chunk_us, target_beside(pace));
        pace->beside_steps++;
    }
}

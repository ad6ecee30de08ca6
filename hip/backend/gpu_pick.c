/* Owns the choice of the most probable tokens on a GPU, so that a step's logits stay there: a few
 * hundred bytes go over the bus for a token, instead of four for each of the vocabulary, and the
 * host reads as many. */
#include "hip/backend/gpu_backend.h"

#include "hip/text/candidates.h"

#include <assert.h>

static_assert((int)GPU_TOP_MAX == (int)CANDIDATES_PICKED_MAX_COUNT, "as many as are wanted");
static_assert((GPU_TOP_MAX & (GPU_TOP_MAX - 1)) == 0 && GPU_TOP_MAX < GPU_TOP_SLICE,
              "a list is a power of 2, and several have room in a block");

static uint32_t list_of(uint32_t count)
{
    uint32_t list = 1;

    while (list < count)
        list *= 2;
    return list;
}

/* Candidates of a row: its own, and its slices'. */
static uint64_t entries_of(uint32_t token_count, uint32_t list)
{
    return ((uint64_t)gpu_blocks(token_count, GPU_TOP_SLICE) + 1) * list;
}

uint64_t gpu_pick_bytes(uint32_t row_count, uint32_t token_count)
{
    return token_count < GPU_PICKS_FROM_TOKENS
               ? 0
               : row_count * entries_of(token_count, GPU_TOP_MAX) * sizeof(uint64_t);
}

int gpu_pick(struct gpu_backend *gpu, const struct backend_head *op, const uint64_t **out,
             struct err *err)
{
    uint32_t rows = gpu->step->logit_row_count;
    struct args_top args = {
        .logits = gpu->logits.memory,
        .width = op->weight->matrix.rows,
        .token_count = op->token_count,
        .slice_count = gpu_blocks(op->token_count, GPU_TOP_SLICE),
        .list = list_of(op->picked_count),
        .count = op->picked_count,
    };
    const uint32_t slices[3] = {args.slice_count, rows, 1};
    const uint32_t merges[3] = {rows, 1, 1};

    assert(op->picked_count <= GPU_TOP_MAX);
    assert(op->token_count > 0 && op->token_count <= op->weight->matrix.rows);
    if (gpu_area_reserve(gpu, &gpu->picks,
                         rows * entries_of(op->token_count, args.list) * sizeof(uint64_t),
                         err) != 0)
        return -1;
    args.out = gpu->picks.memory;
    args.lists = args.out + (uint64_t)rows * args.list;
    *out = args.out;
    if (gpu_launch(gpu->context, gpu->kernels.top_slices, slices, GPU_THREADS_MAX, &args, err) != 0)
        return -1;
    return gpu_launch(gpu->context, gpu->kernels.top_merge, merges, GPU_THREADS_MAX, &args, err);
}

/* Owns how attention is cut into blocks of a GPU, and into goes whose partial sums have room. */
#include "hip/backend/gpu_backend.h"

#include <assert.h>

static_assert((int)GPU_KV_BLOCK_TOKENS == (int)BACKEND_KV_BLOCK_TOKENS, "one block size");
static_assert((int)GPU_KV_GROUP_DIMS == (int)BACKEND_KV_GROUP_DIMS, "one size of groups");

enum { COMBINE_THREADS = 64 };

uint32_t gpu_split_max(uint32_t position_count, uint32_t window)
{
    uint32_t all = gpu_blocks(position_count, GPU_SPLIT_TOKENS);
    /* A window that begins and ends within a split has both of them beside its whole ones. */
    uint32_t seen = window == 0 ? all : (window - 1) / GPU_SPLIT_TOKENS + 2;

    return seen < all ? seen : all;
}

uint64_t gpu_partial_bytes(uint32_t row_count, uint32_t head_count, uint32_t head_dim,
                           uint32_t split_count)
{
    return (uint64_t)row_count * head_count * split_count * (head_dim + 2) * sizeof(float);
}

/* As many as have room for their queries: of a variant of the kernel, which are of 1, 2, 4 and 8,
 * since it has zeros for the heads that are missing. */
static uint32_t heads_per_block(const struct gpu_kv *kv)
{
    uint32_t heads = GPU_HEADS_PER_BLOCK;

    while (heads > 1 && heads * kv->padded_dim > GPU_QUERY_FLOATS)
        heads /= 2;
    assert(kv->padded_dim <= GPU_QUERY_FLOATS);
    return heads;
}

/* Rows of one go: all, or as many as the work area holds the partial sums of. */
static int rows_per_go(struct gpu_backend *gpu, const struct args_attention *args,
                       uint32_t *out_rows, struct err *err)
{
    uint64_t row_bytes = gpu_partial_bytes(1, args->head_count, args->kv.head_dim, args->split_max);
    uint64_t fitting = 0;

    *out_rows = gpu->step->row_count;
    if (args->split_max == 1)
        return 0;
    if (gpu_area_reserve(gpu, &gpu->work, row_bytes, err) != 0)
        return -1;
    fitting = gpu->work.bytes / row_bytes;
    if (fitting < *out_rows)
        *out_rows = (uint32_t)fitting;
    return 0;
}

static int attend_rows(struct gpu_backend *gpu, const struct gpu_kernel *kernel,
                       const struct args_attention *args, uint32_t rows, struct err *err)
{
    uint32_t kv_heads = args->kv.kv_head_count;
    uint32_t per_group = gpu_blocks(args->head_count / kv_heads, args->heads_per_block);
    const uint32_t blocks[3] = {args->split_max, kv_heads * per_group, rows};
    const uint32_t combine_blocks[3] = {args->head_count, rows, 1};

    if (gpu_launch(gpu->context, kernel, blocks, GPU_SPLIT_TOKENS, args, err) != 0)
        return -1;
    if (args->split_max == 1)
        return 0;
    return gpu_launch(gpu->context, gpu->kernels.attention_combine, combine_blocks, COMBINE_THREADS,
                      args, err);
}

/* The kernel for rows of prompts; NULL: they are as those that decode. */
static const struct gpu_kernel *prompt_kernel(const struct gpu_kv_kernels *kernels,
                                              uint32_t head_dim)
{
    return head_dim <= 64    ? kernels->prompt_attention_64
           : head_dim <= 128 ? kernels->prompt_attention_128
                             : NULL;
}

static int attend_prompts(struct gpu_backend *gpu, const struct gpu_kernel *kernel,
                          const struct args_attention *args, struct err *err)
{
    const uint32_t blocks[3] = {gpu->tile_count, args->head_count, 1};
    uint32_t wave = gpu_context_info(gpu->context)->wave;

    return gpu_launch(gpu->context, kernel, blocks, GPU_PROMPT_WAVES * wave, args, err);
}

int gpu_attention(struct backend *backend, const struct backend_attention *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    const struct gpu_kv_kernels *kernels = &gpu->kernels.kv[op->kv->shape.kv_type];
    const struct gpu_kernel *prompt = prompt_kernel(kernels, op->kv->shape.head_dim);
    uint32_t end = prompt != NULL ? gpu->step->decode_row_count : gpu->step->row_count;
    uint32_t rows = 0;
    struct args_attention args = {
        .step = gpu->device_step,
        .kv = op->kv->store,
        .q = op->q->data,
        .out = op->out->data,
        .tiles = gpu->device_tiles,
        .scale = op->scale,
        .softcap = op->softcap,
        .window = op->window,
        .head_count = op->q->width / op->kv->shape.head_dim,
        .heads_per_block = heads_per_block(&op->kv->store),
        .layer = op->layer,
        .split_max = gpu_split_max(gpu->longest, op->window),
    };

    assert(op->out->width == op->q->width);
    gpu_touch(gpu, op->out);
    if (rows_per_go(gpu, &args, &rows, err) != 0)
        return -1;
    /* A block then has whole groups. */
    if (args.kv.head_dim % GPU_GROUP_COLUMNS == 0 &&
        gpu_quantised_beside(gpu, op->out, &args.quantised, err) != 0)
        return -1;
    args.partials = gpu->work.memory;
    for (; args.row_begin < end; args.row_begin += rows) {
        uint32_t left = end - args.row_begin;

        if (attend_rows(gpu, kernels->attention, &args, left < rows ? left : rows, err) != 0)
            return -1;
    }
    gpu_quantised_made(gpu, op->out, &args.quantised);
    return end < gpu->step->row_count ? attend_prompts(gpu, prompt, &args, err) : 0;
}

/* Attention for the rows of prompts on matrix units (gpu_mma.h): GPU_PROMPT_ROWS neighbouring rows
 * of one sequence and one head to a block, with an online softmax over the KV store's blocks:
 * https://arxiv.org/abs/2205.14135. Rows that decode, heads too wide for shared memory, and devices
 * without such a unit go through attention.h.
 *
 * Blocks of the KV store are taken in the order of their positions, and what a row does not see
 * adds zeros: its result does not depend on which rows it shares a block with.
 *
 *   prompt_attention_DIM(struct args_attention), head_dim of at most DIM; _q8: of KV_TYPE_Q8_0
 *   grid   x: tiles, y: heads
 *   block  GPU_PROMPT_WAVES waves */
#ifndef RBEE_HIP_KERNELS_PROMPT_ATTENTION_H
#define RBEE_HIP_KERNELS_PROMPT_ATTENTION_H

#include "hip/kernels/gpu_mma.h"

#ifdef GPU_HAS_MMA

#include "hip/kernels/attention.h"

GPU_ASSERT((int)GPU_PROMPT_ROWS == (int)GPU_PROMPT_WAVES * (int)GPU_MMA_SIDE, "16 rows each");

enum {
    PROMPT_SHARERS = GPU_PROMPT_WAVES * GPU_WAVE / GPU_PROMPT_ROWS, /* threads of a row's softmax */
    PROMPT_TOKEN_STRIDE = GPU_KV_BLOCK_TOKENS + 8, /* in halves: another bank for each row */
    PROMPT_SCORE_STRIDE = GPU_KV_BLOCK_TOKENS + 1, /* in floats */
    PROMPT_TOKEN_TILES = GPU_KV_BLOCK_TOKENS / GPU_MMA_SIDE,
    PROMPT_DIM_TILES_MAX = 8,
    /* By which weights are more than they are while they are halves, so that small ones keep their
     * digits: some units take subnormal halves for 0. */
    PROMPT_WEIGHT_SCALE = 1 << 15,
};

/* What the threads of a block share. */
struct prompt_shared {
    uint16_t *queries; /* [row][dim stride] */
    uint16_t *block;   /* keys [token][dim stride], then values [dim][PROMPT_TOKEN_STRIDE] */
    float *scores;     /* [row][PROMPT_SCORE_STRIDE] */
    uint16_t *weights; /* [row][PROMPT_TOKEN_STRIDE] */
    float *largest;    /* [row] score so far */
    float *totals;     /* [row] of weights */
    float *factors;    /* [row] by which what was summed up before shrinks */
};

struct prompt_work {
    const struct args_attention *a;
    bool is_q8; /* of the variant, a constant: KV_TYPE_Q8_0 */
    struct prompt_shared shared;
    uint32_t dims;       /* of the variant, a constant */
    uint32_t dim_stride; /* likewise */
    uint32_t row;        /* the first */
    uint32_t row_count;
    uint32_t head;
    uint32_t kv_head;
    uint32_t end; /* of the positions that the last row sees */
};

GPU_DEVICE void prompt_load_queries(const struct prompt_work *work)
{
    const struct args_attention *a = work->a;
    uint32_t dim = a->kv.head_dim;

    for (uint32_t i = gpu_thread(); i < GPU_PROMPT_ROWS * work->dims; i += gpu_threads()) {
        uint32_t row = i / work->dims;
        uint32_t d = i % work->dims;
        uint64_t at = ((uint64_t)(work->row + row) * a->head_count + work->head) * dim + d;
        bool is_there = row < work->row_count && d < dim;

        work->shared.queries[row * work->dim_stride + d] =
            gpu_float_to_half(is_there ? a->q[at] : 0.0f);
    }
    if (gpu_thread() < GPU_PROMPT_ROWS) {
        work->shared.largest[gpu_thread()] = -__builtin_inff();
        work->shared.totals[gpu_thread()] = 0.0f;
    }
}

/* Whether the KV store has dimension DIM of POSITION, and something has been written there. */
GPU_DEVICE bool prompt_is_there(const struct prompt_work *work, uint32_t dim, uint32_t position)
{
    return dim < work->a->kv.padded_dim && position < work->end;
}

/* GPU_KEY_DIMS dimensions from DIM on of the key of TOKEN of BLOCK of the KV store, as halves. */
GPU_DEVICE struct gpu_int4 prompt_key(const struct prompt_work *work, uint32_t block,
                                      uint32_t token, uint32_t dim)
{
    const struct gpu_kv *kv = &work->a->kv;

    if (work->is_q8) {
        struct kv_q8 keys = kv_q8_at(kv, kv->keys, block, work->a->layer, work->kv_head);

        return kv_q8_halves(gpu_load8(keys.numbers + token * GPU_Q8_KEY_DIMS + kv_q8_key_dim(dim)),
                            gpu_half_to_float(keys.scales[token + kv_q8_key_scale(dim)]));
    }
    return gpu_load16((const uint16_t *)kv->keys +
                      kv_block_at(kv, block, work->a->layer, work->kv_head) + kv_key_dim(dim) +
                      (uint64_t)token * GPU_KEY_DIMS);
}

/* Of its value likewise. */
GPU_DEVICE struct gpu_int4 prompt_value(const struct prompt_work *work, uint32_t block,
                                        uint32_t token, uint32_t dim)
{
    const struct gpu_kv *kv = &work->a->kv;
    uint32_t at = token * kv->padded_dim + dim;

    if (work->is_q8) {
        struct kv_q8 values = kv_q8_at(kv, kv->values, block, work->a->layer, work->kv_head);

        return kv_q8_halves(gpu_load8(values.numbers + at),
                            gpu_half_to_float(values.scales[at / GPU_KV_GROUP_DIMS]));
    }
    return gpu_load16((const uint16_t *)kv->values +
                      kv_block_at(kv, block, work->a->layer, work->kv_head) + at);
}

/* The keys of BLOCK of the KV store, whose first position is BEGIN, and zeros where it has none. */
GPU_DEVICE void prompt_load_keys(const struct prompt_work *work, uint32_t block, uint32_t begin)
{
    const struct gpu_int4 zeros = {0, 0, 0, 0};
    uint32_t pieces = work->dims / GPU_KEY_DIMS * GPU_KV_BLOCK_TOKENS;

    for (uint32_t i = gpu_thread(); i < pieces; i += gpu_threads()) {
        uint32_t token = i % GPU_KV_BLOCK_TOKENS;
        uint32_t dim = i / GPU_KV_BLOCK_TOKENS * GPU_KEY_DIMS;
        bool is_there = prompt_is_there(work, dim, begin + token);

        gpu_store16(work->shared.block + token * work->dim_stride + dim,
                    is_there ? prompt_key(work, block, token, dim) : zeros);
    }
}

/* The values likewise, turned so that the tokens of a dimension lie side by side. */
GPU_DEVICE void prompt_load_values(const struct prompt_work *work, uint32_t block, uint32_t begin)
{
    const struct gpu_int4 zeros = {0, 0, 0, 0};
    uint32_t pieces = work->dims / GPU_KEY_DIMS * GPU_KV_BLOCK_TOKENS;

    for (uint32_t i = gpu_thread(); i < pieces; i += gpu_threads()) {
        uint32_t token = i / (work->dims / GPU_KEY_DIMS);
        uint32_t dim = i % (work->dims / GPU_KEY_DIMS) * GPU_KEY_DIMS;
        bool is_there = prompt_is_there(work, dim, begin + token);
        struct gpu_int4 piece = is_there ? prompt_value(work, block, token, dim) : zeros;
        uint16_t *to = work->shared.block + dim * PROMPT_TOKEN_STRIDE + token;

        GPU_UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t word = (uint32_t)gpu_word_of(piece, k);

            to[2 * k * PROMPT_TOKEN_STRIDE] = (uint16_t)word;
            to[(2 * k + 1) * PROMPT_TOKEN_STRIDE] = (uint16_t)(word >> 16);
        }
    }
}

/* The score of a row for a position, minus infinity where it does not see it. */
GPU_DEVICE float prompt_score(const struct prompt_work *work, uint32_t row, uint32_t position,
                              float product)
{
    const struct args_attention *a = work->a;
    uint32_t end = 0;

    if (row < work->row_count)
        end = a->step.positions[work->row + row] + 1;
    if (position >= end || (a->window != 0 && position + a->window < end))
        return -__builtin_inff();
    return gpu_capped(a->scale * product, a->softcap);
}

/* Scores of this wave's rows with the block's tokens. */
GPU_DEVICE void prompt_scores(const struct prompt_work *work, uint32_t begin)
{
    uint32_t first = gpu_wave() * GPU_MMA_SIDE;

    GPU_UNROLL
    for (uint32_t tile = 0; tile < PROMPT_TOKEN_TILES; tile++) {
        struct gpu_mma_sum sum;

        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++)
            sum.values[i] = 0.0f;
        GPU_UNROLL_TWICE
        for (uint32_t d = 0; d < work->dims; d += GPU_MMA_SIDE) {
            struct gpu_mma_tile q;
            struct gpu_mma_tile k;

            gpu_mma_load(&q, work->shared.queries + first * work->dim_stride + d, work->dim_stride);
            gpu_mma_load(&k, work->shared.block + tile * GPU_MMA_SIDE * work->dim_stride + d,
                         work->dim_stride);
            gpu_mma(&sum, &q, &k);
        }
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++) {
            uint32_t row = first + gpu_mma_row(i);
            uint32_t token = tile * GPU_MMA_SIDE + gpu_mma_column(i);

            work->shared.scores[row * PROMPT_SCORE_STRIDE + token] =
                prompt_score(work, row, begin + token, sum.values[i]);
        }
    }
}

/* Scores to weights, relative to the largest so far. */
GPU_DEVICE void prompt_weights(const struct prompt_work *work)
{
    const uint32_t share = GPU_KV_BLOCK_TOKENS / PROMPT_SHARERS;
    uint32_t row = gpu_thread() / PROMPT_SHARERS;
    uint32_t first = gpu_thread() % PROMPT_SHARERS * share;
    const float *scores = work->shared.scores + row * PROMPT_SCORE_STRIDE + first;
    uint16_t *weights = work->shared.weights + row * PROMPT_TOKEN_STRIDE + first;
    float before = work->shared.largest[row];
    float largest = before;
    float total = 0.0f;

    GPU_UNROLL
    for (uint32_t i = 0; i < share; i++)
        largest = gpu_max(largest, scores[i]);
    largest = gpu_max_over(largest, PROMPT_SHARERS);
    float base = largest == -__builtin_inff() ? 0.0f : largest; /* infinities have no difference */

    GPU_UNROLL
    for (uint32_t i = 0; i < share; i++) {
        float weight = gpu_exp(scores[i] - base);

        weights[i] = gpu_float_to_half(weight * (float)PROMPT_WEIGHT_SCALE);
        total += weight;
    }
    total = gpu_sum_over(total, PROMPT_SHARERS);
    if (gpu_thread() % PROMPT_SHARERS == 0) {
        float factor = gpu_exp(before - base);

        work->shared.factors[row] = factor;
        work->shared.largest[row] = largest;
        work->shared.totals[row] = gpu_fma(work->shared.totals[row], factor, total);
    }
}

/* SUMS = SUMS * factor + weights * values, of this wave's rows. */
GPU_DEVICE void prompt_values(const struct prompt_work *work, struct gpu_mma_sum *sums)
{
    uint32_t first = gpu_wave() * GPU_MMA_SIDE;
    struct gpu_mma_tile weights[PROMPT_TOKEN_TILES];

    GPU_UNROLL
    for (uint32_t k = 0; k < PROMPT_TOKEN_TILES; k++)
        gpu_mma_load(&weights[k],
                     work->shared.weights + first * PROMPT_TOKEN_STRIDE + k * GPU_MMA_SIDE,
                     PROMPT_TOKEN_STRIDE);
    GPU_UNROLL
    for (uint32_t d = 0; d < work->dims / GPU_MMA_SIDE; d++) {
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++)
            sums[d].values[i] *= work->shared.factors[first + gpu_mma_row(i)];
        GPU_UNROLL
        for (uint32_t k = 0; k < PROMPT_TOKEN_TILES; k++) {
            struct gpu_mma_tile values;

            gpu_mma_load(&values,
                         work->shared.block + d * GPU_MMA_SIDE * PROMPT_TOKEN_STRIDE +
                             k * GPU_MMA_SIDE,
                         PROMPT_TOKEN_STRIDE);
            gpu_mma(&sums[d], &weights[k], &values);
        }
    }
}

GPU_DEVICE void prompt_store(const struct prompt_work *work, const struct gpu_mma_sum *sums)
{
    const struct args_attention *a = work->a;

    GPU_UNROLL
    for (uint32_t d = 0; d < work->dims / GPU_MMA_SIDE; d++) {
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++) {
            uint32_t row = gpu_wave() * GPU_MMA_SIDE + gpu_mma_row(i);
            uint32_t dim = d * GPU_MMA_SIDE + gpu_mma_column(i);
            uint64_t at =
                ((uint64_t)(work->row + row) * a->head_count + work->head) * a->kv.head_dim + dim;

            if (row < work->row_count && dim < a->kv.head_dim)
                a->out[at] = sums[d].values[i] * (1.0f / (float)PROMPT_WEIGHT_SCALE) /
                             work->shared.totals[row];
        }
    }
}

/* The block of the KV store that the first row's window begins in. */
GPU_DEVICE uint32_t prompt_first_block(const struct prompt_work *work)
{
    return attention_range_of(work->a, work->row).first / GPU_KV_BLOCK_TOKENS;
}

GPU_DEVICE void prompt_run(const struct prompt_work *work)
{
    struct gpu_mma_sum sums[PROMPT_DIM_TILES_MAX];

    GPU_UNROLL
    for (uint32_t d = 0; d < work->dims / GPU_MMA_SIDE; d++) {
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MMA_ELEMENTS; i++)
            sums[d].values[i] = 0.0f;
    }
    prompt_load_queries(work);
    for (uint32_t begin = prompt_first_block(work) * GPU_KV_BLOCK_TOKENS; begin < work->end;
         begin += GPU_KV_BLOCK_TOKENS) {
        uint32_t block = kv_block(&work->a->step, work->row, begin);

        prompt_load_keys(work, block, begin);
        gpu_barrier();
        prompt_scores(work, begin);
        gpu_barrier();
        prompt_load_values(work, block, begin);
        prompt_weights(work);
        gpu_barrier();
        prompt_values(work, sums);
        gpu_barrier();
    }
    prompt_store(work, sums);
}

#define PROMPT_ATTENTION(name, dim_max, kept_as_q8)                                                \
    GPU_KERNEL(name, args_attention)                                                               \
    {                                                                                              \
        enum { STRIDE = dim_max + 8 };                                                             \
        GPU_SHARED(uint16_t, queries, GPU_PROMPT_ROWS *STRIDE);                                    \
        GPU_SHARED(uint16_t, block, dim_max *PROMPT_TOKEN_STRIDE); /* the larger of both */        \
        GPU_SHARED(float, scores, GPU_PROMPT_ROWS *PROMPT_SCORE_STRIDE);                           \
        GPU_SHARED(uint16_t, weights, GPU_PROMPT_ROWS *PROMPT_TOKEN_STRIDE);                       \
        GPU_SHARED(float, largest, GPU_PROMPT_ROWS);                                               \
        GPU_SHARED(float, totals, GPU_PROMPT_ROWS);                                                \
        GPU_SHARED(float, factors, GPU_PROMPT_ROWS);                                               \
        const uint32_t *tile = a->tiles + 2 * gpu_block_x();                                       \
        struct prompt_work work = {                                                                \
            .a = a,                                                                                \
            .is_q8 = kept_as_q8,                                                                   \
            .shared = {queries, block, scores, weights, largest, totals, factors},                 \
            .dims = dim_max,                                                                       \
            .dim_stride = STRIDE,                                                                  \
            .row = tile[0],                                                                        \
            .row_count = tile[1],                                                                  \
            .head = gpu_block_y(),                                                                 \
            .kv_head = gpu_block_y() / (a->head_count / a->kv.kv_head_count),                      \
        };                                                                                         \
                                                                                                   \
        work.end = a->step.positions[work.row + work.row_count - 1] + 1;                           \
        prompt_run(&work);                                                                         \
    }
PROMPT_ATTENTION(prompt_attention_64, 64, false)
PROMPT_ATTENTION(prompt_attention_128, 128, false)
PROMPT_ATTENTION(prompt_attention_64_q8, 64, true)
PROMPT_ATTENTION(prompt_attention_128_q8, 128, true)
#undef PROMPT_ATTENTION

#endif

#endif

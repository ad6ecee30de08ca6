/* What a block of attention works on, and how it reads keys and values: those of either type, an
 * is_q8 of attention_work each. */
#ifndef RBEE_HIP_KERNELS_ATTENTION_READ_H
#define RBEE_HIP_KERNELS_ATTENTION_READ_H

#include "hip/kernels/kv.h"
#include "hip/kernels/kv_q8.h"

enum { ATTENTION_LOADS = 4 }; /* of a thread that are under way together */

/* What a row sees of its sequence. */
struct attention_range {
    uint32_t first;
    uint32_t end;
    uint32_t first_split;
    uint32_t split_count;
};

/* What the threads of a block share. */
struct attention_shared {
    float *queries;   /* [head][padded_dim], scaled; then pieces of values */
    float *scores;    /* [head][GPU_SPLIT_TOKENS], then weights */
    float *largest;   /* [head] score */
    float *totals;    /* [head] of weights */
    uint32_t *blocks; /* [ATTENTION_SPLIT_BLOCKS] of the KV store */
};

/* What a block computes. */
struct attention_work {
    const struct args_attention *a;
    bool is_q8; /* of the variant, a constant: KV_TYPE_Q8_0 */
    struct attention_shared shared;
    struct attention_range range;
    uint32_t row;
    uint32_t kv_head;
    uint32_t first_head;
    uint32_t head_count;
    uint32_t begin; /* the split's first position; of those that count: */
    uint32_t first;
    uint32_t end;
};

GPU_DEVICE struct attention_range attention_range_of(const struct args_attention *a, uint32_t row)
{
    struct attention_range range;

    range.end = a->step.positions[row] + 1;
    range.first = a->window != 0 && range.end > a->window ? range.end - a->window : 0;
    range.first_split = range.first / GPU_SPLIT_TOKENS;
    range.split_count = (range.end - 1) / GPU_SPLIT_TOKENS - range.first_split + 1;
    return range;
}

GPU_DEVICE void attention_unpack(struct gpu_int4 packed, float to[GPU_KEY_DIMS])
{
    GPU_UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t word = (uint32_t)gpu_word_of(packed, i);

        to[2 * i] = gpu_half_to_float((uint16_t)(word & 0xffffu));
        to[2 * i + 1] = gpu_half_to_float((uint16_t)(word >> 16));
    }
}

/* Where the block that has TOKEN of the split keeps the head's keys or values. */
GPU_DEVICE uint64_t attention_block_at(const struct attention_work *work, uint32_t token)
{
    return kv_block_at(&work->a->kv, work->shared.blocks[token / GPU_KV_BLOCK_TOKENS],
                       work->a->layer, work->kv_head);
}

GPU_DEVICE struct kv_q8 attention_q8_at(const struct attention_work *work, void *store,
                                        uint32_t token)
{
    return kv_q8_at(&work->a->kv, store, work->shared.blocks[token / GPU_KV_BLOCK_TOKENS],
                    work->a->layer, work->kv_head);
}

/* Adds the products of a key's dimensions from AT on. */
GPU_DEVICE void attention_add_key(const struct attention_work *work, uint32_t heads, uint32_t at,
                                  struct gpu_int4 packed, float *sums)
{
    float k[GPU_KEY_DIMS];

    attention_unpack(packed, k);
    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++) {
        const float *from = work->shared.queries + head * work->a->kv.padded_dim + at;
        float q[GPU_KEY_DIMS];

        __builtin_memcpy(q, __builtin_assume_aligned(from, 16), sizeof(q));
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_KEY_DIMS; i++)
            sums[head] += k[i] * q[i];
    }
}

/* Adds the products of the key of TOKEN of the split. */
GPU_DEVICE void attention_add_halves(const struct attention_work *work, uint32_t heads,
                                     uint32_t token, float *sums)
{
    uint32_t padded = work->a->kv.padded_dim;
    const uint16_t *key = (const uint16_t *)work->a->kv.keys + attention_block_at(work, token) +
                          token % GPU_KV_BLOCK_TOKENS * GPU_KEY_DIMS;

    for (uint32_t at = 0; at < padded; at += ATTENTION_LOADS * GPU_KEY_DIMS) {
        struct gpu_int4 loads[ATTENTION_LOADS];

        GPU_UNROLL
        for (uint32_t i = 0; i < ATTENTION_LOADS; i++)
            loads[i] = gpu_load16(
                key + kv_key_dim(gpu_min_u32(at + i * GPU_KEY_DIMS, padded - GPU_KEY_DIMS)));
        GPU_UNROLL
        for (uint32_t i = 0; i < ATTENTION_LOADS; i++) {
            if (at + i * GPU_KEY_DIMS < padded)
                attention_add_key(work, heads, at + i * GPU_KEY_DIMS, loads[i], sums);
        }
    }
}

/* The same of numbers: of each piece by themselves, and then by its scale. */
GPU_DEVICE void attention_add_piece(const struct attention_work *work, uint32_t heads, uint32_t at,
                                    struct gpu_int4 packed, float scale, float *sums)
{
    float k[GPU_Q8_KEY_DIMS];

    GPU_UNROLL
    for (uint32_t i = 0; i < GPU_Q8_KEY_DIMS / 4; i++)
        kv_q8_unpack(gpu_word_of(packed, i), k + 4 * i);
    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++) {
        const float *from = work->shared.queries + head * work->a->kv.padded_dim + at;
        float q[GPU_Q8_KEY_DIMS];
        float sum = 0.0f;

        __builtin_memcpy(q, __builtin_assume_aligned(from, 16), sizeof(q));
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_Q8_KEY_DIMS; i++)
            sum += k[i] * q[i];
        sums[head] += scale * sum;
    }
}

GPU_DEVICE void attention_add_numbers(const struct attention_work *work, uint32_t heads,
                                      uint32_t token, float *sums)
{
    uint32_t padded = work->a->kv.padded_dim;
    struct kv_q8 keys = attention_q8_at(work, work->a->kv.keys, token);
    const int8_t *key = keys.numbers + token % GPU_KV_BLOCK_TOKENS * GPU_Q8_KEY_DIMS;
    const uint16_t *scales = keys.scales + token % GPU_KV_BLOCK_TOKENS;

    for (uint32_t begin = 0; begin < padded; begin += ATTENTION_LOADS * GPU_Q8_KEY_DIMS) {
        struct gpu_int4 loads[ATTENTION_LOADS];
        uint16_t halves[ATTENTION_LOADS];

        GPU_UNROLL
        for (uint32_t i = 0; i < ATTENTION_LOADS; i++) {
            uint32_t at = gpu_min_u32(begin + i * GPU_Q8_KEY_DIMS, padded - GPU_Q8_KEY_DIMS);

            loads[i] = gpu_load16(key + kv_q8_key_dim(at));
            halves[i] = scales[kv_q8_key_scale(at)];
        }
        GPU_UNROLL
        for (uint32_t i = 0; i < ATTENTION_LOADS; i++) {
            uint32_t at = begin + i * GPU_Q8_KEY_DIMS;

            if (at < padded)
                attention_add_piece(work, heads, at, loads[i], gpu_half_to_float(halves[i]), sums);
        }
    }
}

/* GPU_KEY_DIMS dimensions of a value: halves; or numbers, in the first two words, and their scale.
 */
struct attention_value {
    struct gpu_int4 packed;
    uint16_t scale;
};

GPU_DEVICE struct attention_value attention_load_value(const struct attention_work *work,
                                                       uint32_t token, uint32_t piece)
{
    uint32_t at = token % GPU_KV_BLOCK_TOKENS * work->a->kv.padded_dim + piece * GPU_KEY_DIMS;
    struct attention_value value = {{0, 0, 0, 0}, 0};

    if (work->is_q8) {
        struct kv_q8 values = attention_q8_at(work, work->a->kv.values, token);
        struct gpu_int2 numbers = gpu_load8(values.numbers + at);

        value.packed.x = numbers.x;
        value.packed.y = numbers.y;
        value.scale = values.scales[at / GPU_KV_GROUP_DIMS];
    } else {
        value.packed =
            gpu_load16((const uint16_t *)work->a->kv.values + attention_block_at(work, token) + at);
    }
    return value;
}

GPU_DEVICE void attention_add_value(const struct attention_work *work, uint32_t heads,
                                    uint32_t token, struct attention_value value,
                                    float sums[][GPU_KEY_DIMS])
{
    float v[GPU_KEY_DIMS];

    if (work->is_q8) {
        kv_q8_unpack(value.packed.x, v);
        kv_q8_unpack(value.packed.y, v + 4);
    } else {
        attention_unpack(value.packed, v);
    }
    GPU_UNROLL
    for (uint32_t head = 0; head < heads; head++) {
        float weight = work->shared.scores[head * GPU_SPLIT_TOKENS + token];

        if (work->is_q8)
            weight *= gpu_half_to_float(value.scale);
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_KEY_DIMS; i++)
            sums[head][i] += weight * v[i];
    }
}

#endif

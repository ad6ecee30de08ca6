/* Turns of positions, and what q, k and v become before attention. */
#ifndef RBEE_HIP_KERNELS_ROPE_H
#define RBEE_HIP_KERNELS_ROPE_H

#include "hip/kernels/args.h"
#include "hip/kernels/gpu.h"
#include "hip/kernels/kv.h"
#include "hip/kernels/kv_q8.h"

#define TURNS_A_RADIAN 0.15915494309189535 /* 1 / (2 pi) */

/* The angle in double: at position 100000 a float has no digit left of what turns. Grid: blocks of
 * pairs, rows. */
GPU_KERNEL(rope_table, args_rope_table)
{
    uint32_t pair = gpu_block_x() * gpu_threads() + gpu_thread();
    uint32_t row = gpu_block_y();
    float *to = a->table + ((uint64_t)row * a->pairs + pair) * 2;
    double turns;

    if (pair >= a->pairs)
        return;
    turns = (double)a->positions[row] * (double)a->frequencies[pair] * TURNS_A_RADIAN;
    turns -= gpu_floor(turns);
    to[0] = a->magnitude * gpu_cos_turns((float)turns);
    to[1] = a->magnitude * gpu_sin_turns((float)turns);
}

/* What a head is made of and goes to: floats in place, or the halves of a key. */
struct rope_head {
    const float *from;
    const float *norm; /* NULL: none */
    float factor;      /* of the norm */
    float *q;          /* NULL: it is a key */
    uint16_t *key;     /* at its token's place of chunk 0 */
};

GPU_DEVICE float rope_element(const struct rope_head *head, uint32_t i)
{
    return head->norm != NULL ? head->from[i] * head->factor * head->norm[i] : head->from[i];
}

GPU_DEVICE void rope_put(const struct rope_head *head, uint32_t i, float value)
{
    if (head->q != NULL)
        head->q[i] = value;
    else
        head->key[kv_key_dim(i)] = gpu_float_to_half(value);
}

/* Each element is read and written by one lane, together with the one it turns with. */
GPU_DEVICE void rope_turn(const struct args_rope_kv *a, const struct rope_head *head,
                          const float *table)
{
    for (uint32_t i = gpu_lane(); i < a->pairs; i += GPU_WAVE) {
        uint32_t first = a->is_neox ? i : 2 * i;
        uint32_t second = a->is_neox ? i + a->pairs : 2 * i + 1;
        float x = rope_element(head, first);
        float y = rope_element(head, second);
        float cosine = table[2 * i];
        float sine = table[2 * i + 1];

        rope_put(head, first, x * cosine - y * sine);
        rope_put(head, second, x * sine + y * cosine);
    }
    for (uint32_t i = 2 * a->pairs + gpu_lane(); i < a->kv.head_dim; i += GPU_WAVE)
        rope_put(head, i, rope_element(head, i));
}

/* All lanes of the wave call it. */
GPU_DEVICE float rope_norm_factor(const float *x, uint32_t width, float epsilon)
{
    float sum = 0.0f;

    for (uint32_t i = gpu_lane(); i < width; i += GPU_WAVE)
        sum += x[i] * x[i];
    return gpu_rsqrt(gpu_sum_over(sum, GPU_WAVE) / (float)width + epsilon);
}

/* The head that a block of one wave has. */
struct rope_block {
    bool is_key; /* and the value with it */
    uint32_t row;
    uint32_t index; /* of the head */
    uint32_t position;
    uint64_t from; /* in q, or in k and v */
};

GPU_DEVICE struct rope_block rope_block_of(const struct args_rope_kv *a)
{
    bool is_key = gpu_block_x() >= a->head_count;
    uint32_t heads = is_key ? a->kv.kv_head_count : a->head_count;
    struct rope_block block;

    block.is_key = is_key;
    block.row = gpu_block_y();
    block.index = is_key ? gpu_block_x() - a->head_count : gpu_block_x();
    block.position = a->step.positions[block.row];
    block.from = ((uint64_t)block.row * heads + block.index) * a->kv.head_dim;
    return block;
}

/* To Q, or, where that is NULL, to KEY. */
GPU_DEVICE void rope_run(const struct args_rope_kv *a, const struct rope_block *block, float *q,
                         uint16_t *key)
{
    struct rope_head head = {
        .from = (block->is_key ? a->k : a->q) + block->from,
        .norm = block->is_key ? a->k_norm : a->q_norm,
        .q = q,
        .key = key,
    };

    if (head.norm != NULL)
        head.factor = rope_norm_factor(head.from, a->kv.head_dim, a->epsilon);
    rope_turn(a, &head, a->table + (uint64_t)block->row * 2 * a->pairs);
}

/* Grid: heads of q and then those of k with v, rows; a block is one wave. */
GPU_KERNEL(rope_kv, args_rope_kv)
{
    struct rope_block block = rope_block_of(a);
    uint16_t *key = (uint16_t *)a->kv.keys;
    uint16_t *value = (uint16_t *)a->kv.values;

    if (block.is_key) {
        key += kv_key_at(&a->kv, &a->step, block.row, a->layer, block.index, block.position);
        value += kv_value_at(&a->kv, &a->step, block.row, a->layer, block.index, block.position);
    }
    rope_run(a, &block, block.is_key ? NULL : a->q + block.from, key);
    if (!block.is_key)
        return;
    for (uint32_t i = gpu_lane(); i < a->kv.head_dim; i += GPU_WAVE)
        value[i] = gpu_float_to_half(a->v[block.from + i]);
}

/* The same for KV_TYPE_Q8_0. */
GPU_KERNEL(rope_kv_q8, args_rope_kv)
{
    GPU_SHARED(float, turned, GPU_QUERY_FLOATS);
    struct rope_block block = rope_block_of(a);
    uint32_t kv_block_id = kv_block(&a->step, block.row, block.position);
    uint32_t token = block.position % GPU_KV_BLOCK_TOKENS;
    struct kv_q8 keys = kv_q8_at(&a->kv, a->kv.keys, kv_block_id, a->layer, block.index);
    struct kv_q8 values = kv_q8_at(&a->kv, a->kv.values, kv_block_id, a->layer, block.index);

    if (!block.is_key) {
        rope_run(a, &block, a->q + block.from, NULL);
        return;
    }
    rope_run(a, &block, turned, NULL);
    gpu_barrier();
    kv_q8_store(&a->kv, &keys, true, token, turned);
    kv_q8_store(&a->kv, &values, false, token, a->v + block.from);
}

#endif

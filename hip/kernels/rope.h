/* Turns of positions, and what q, k and v become before attention. */
#ifndef RBEE_HIP_KERNELS_ROPE_H
#define RBEE_HIP_KERNELS_ROPE_H

#include "hip/kernels/args.h"
#include "hip/kernels/gpu.h"
#include "hip/kernels/kv.h"

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

/* Grid: heads of q and then those of k with v, rows; a block is one wave. */
GPU_KERNEL(rope_kv, args_rope_kv)
{
    uint32_t dim = a->kv.head_dim;
    uint32_t row = gpu_block_y();
    bool is_key = gpu_block_x() >= a->head_count;
    uint32_t index = is_key ? gpu_block_x() - a->head_count : gpu_block_x();
    uint64_t from = ((uint64_t)row * (is_key ? a->kv.kv_head_count : a->head_count) + index) * dim;
    uint32_t position = a->step.positions[row];
    struct rope_head head = {.from = (is_key ? a->k : a->q) + from,
                             .norm = is_key ? a->k_norm : a->q_norm};

    if (is_key)
        head.key = a->kv.keys + kv_key_at(&a->kv, &a->step, row, a->layer, index, position);
    else
        head.q = a->q + from;
    if (head.norm != NULL)
        head.factor = rope_norm_factor(head.from, dim, a->epsilon);
    rope_turn(a, &head, a->table + (uint64_t)row * 2 * a->pairs);
    if (is_key) {
        uint16_t *value =
            a->kv.values + kv_value_at(&a->kv, &a->step, row, a->layer, index, position);

        for (uint32_t i = gpu_lane(); i < dim; i += GPU_WAVE)
            value[i] = gpu_float_to_half(a->v[from + i]);
    }
}

#endif

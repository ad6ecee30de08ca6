/* Keys and values as KV_TYPE_Q8_0 (struct backend_kv_shape says what that is):
 * where they lie, how a head becomes them, and what they are again. */
#ifndef RBEE_HIP_KERNELS_KV_Q8_H
#define RBEE_HIP_KERNELS_KV_Q8_H

#include "hip/kernels/kv.h"
#include "hip/kernels/quantise.h"

#include <stdbool.h>

#define KV_Q8_LARGEST 127.0f

/* What a block of the store has of a head: numbers, then scales. */
struct kv_q8 {
    int8_t
        *numbers; /* of keys [dim / GPU_Q8_KEY_DIMS][token][GPU_Q8_KEY_DIMS], else [token][dim] */
    uint16_t *scales; /* of keys [group][token], else [token][group] */
};

/* Of STORE, which is kv->keys or kv->values. */
GPU_DEVICE struct kv_q8 kv_q8_at(const struct gpu_kv *kv, void *store, uint32_t block,
                                 uint32_t layer, uint32_t kv_head)
{
    uint32_t number_bytes = GPU_KV_BLOCK_TOKENS * kv->padded_dim;
    uint32_t bytes = number_bytes + number_bytes / GPU_KV_GROUP_DIMS * (uint32_t)sizeof(uint16_t);
    uint64_t index = ((uint64_t)layer * kv->block_count + block) * kv->kv_head_count + kv_head;
    struct kv_q8 out;

    out.numbers = (int8_t *)store + index * bytes;
    out.scales = (uint16_t *)(out.numbers + number_bytes);
    return out;
}

/* From a token's first number to that of dimension I of its key. */
GPU_DEVICE uint32_t kv_q8_key_dim(uint32_t i)
{
    return i / GPU_Q8_KEY_DIMS * (GPU_KV_BLOCK_TOKENS * GPU_Q8_KEY_DIMS) + i % GPU_Q8_KEY_DIMS;
}

/* From a token's first scale to that of dimension I of its key. */
GPU_DEVICE uint32_t kv_q8_key_scale(uint32_t i)
{
    return i / GPU_KV_GROUP_DIMS * GPU_KV_BLOCK_TOKENS;
}

/* The largest magnitude of the group, of which the lane has VALUE; NaN, if one is. */
GPU_DEVICE float kv_q8_largest(float value)
{
    return gpu_bits_to_float(quantise_largest_over(quantise_bits(value), GPU_KV_GROUP_DIMS));
}

/* VALUE is at most a little more than KV_Q8_LARGEST scales; or they are zero or not finite, and any
 * number will do. */
GPU_DEVICE int8_t kv_q8_number(float value, float scale)
{
    float rounded = (scale > 0.0f ? value / scale : 0.0f) + QUANTISE_ROUNDING;
    int32_t number = (int32_t)(gpu_float_to_bits(rounded) - gpu_float_to_bits(QUANTISE_ROUNDING));
    int32_t most = (int32_t)KV_Q8_LARGEST;

    return (int8_t)(number > most ? most : number < -most ? -most : number);
}

/* The head FROM [head_dim] to the place of TOKEN, with zeros behind it; all lanes of the wave call
 * it. */
GPU_DEVICE void kv_q8_store(const struct gpu_kv *kv, const struct kv_q8 *to, bool is_key,
                            uint32_t token, const float *from)
{
    uint32_t padded = kv->padded_dim;

    for (uint32_t begin = 0; begin < padded; begin += GPU_WAVE) {
        uint32_t i = begin + gpu_lane();
        float value = i < kv->head_dim ? from[i] : 0.0f;
        uint16_t half = gpu_float_to_half(kv_q8_largest(value) / KV_Q8_LARGEST);
        int8_t number = kv_q8_number(value, gpu_half_to_float(half));

        if (i >= padded)
            continue;
        to->numbers[is_key ? token * GPU_Q8_KEY_DIMS + kv_q8_key_dim(i) : token * padded + i] =
            number;
        if (i % GPU_KV_GROUP_DIMS == 0)
            to->scales[is_key ? token + kv_q8_key_scale(i)
                              : (token * padded + i) / GPU_KV_GROUP_DIMS] = half;
    }
}

/* The four numbers of a word. */
GPU_DEVICE void kv_q8_unpack(int32_t word, float out[4])
{
    GPU_UNROLL
    for (int i = 0; i < 4; i++)
        out[i] = (float)(int8_t)(word >> 8 * i);
}

/* Eight numbers, multiplied by their scale, as halves. */
GPU_DEVICE struct gpu_int4 kv_q8_halves(struct gpu_int2 packed, float scale)
{
    float numbers[8];
    int32_t words[4];

    kv_q8_unpack(packed.x, numbers);
    kv_q8_unpack(packed.y, numbers + 4);
    GPU_UNROLL
    for (int i = 0; i < 4; i++) {
        uint32_t low = gpu_float_to_half(numbers[2 * i] * scale);

        words[i] = (int32_t)(low | (uint32_t)gpu_float_to_half(numbers[2 * i + 1] * scale) << 16);
    }
    struct gpu_int4 out = {words[0], words[1], words[2], words[3]};

    return out;
}

#endif

/* Where keys and values lie (struct gpu_kv). */
#ifndef RBEE_HIP_KERNELS_KV_H
#define RBEE_HIP_KERNELS_KV_H

#include "hip/kernels/args.h"
#include "hip/kernels/gpu.h"

#include <stdbool.h>
#include <stddef.h>

/* The block of the KV store that holds POSITION of the sequence of ROW. */
GPU_DEVICE uint32_t kv_block(const struct gpu_step *step, uint32_t row, uint32_t position)
{
    return step->block_tables[step->tables[row] + position / GPU_KV_BLOCK_TOKENS];
}

/* The first half of what BLOCK has of a head, of keys as of values. */
GPU_DEVICE uint64_t kv_block_at(const struct gpu_kv *kv, uint32_t block, uint32_t layer,
                                uint32_t kv_head)
{
    return (((uint64_t)layer * kv->block_count + block) * kv->kv_head_count + kv_head) *
           GPU_KV_BLOCK_TOKENS * kv->padded_dim;
}

/* From a token's first half to dimension I of its key. */
GPU_DEVICE uint32_t kv_key_dim(uint32_t i)
{
    return i / GPU_KEY_DIMS * (GPU_KV_BLOCK_TOKENS * GPU_KEY_DIMS) + i % GPU_KEY_DIMS;
}

GPU_DEVICE uint64_t kv_key_at(const struct gpu_kv *kv, const struct gpu_step *step, uint32_t row,
                              uint32_t layer, uint32_t kv_head, uint32_t position)
{
    return kv_block_at(kv, kv_block(step, row, position), layer, kv_head) +
           position % GPU_KV_BLOCK_TOKENS * GPU_KEY_DIMS;
}

GPU_DEVICE uint64_t kv_value_at(const struct gpu_kv *kv, const struct gpu_step *step, uint32_t row,
                                uint32_t layer, uint32_t kv_head, uint32_t position)
{
    return kv_block_at(kv, kv_block(step, row, position), layer, kv_head) +
           (uint64_t)(position % GPU_KV_BLOCK_TOKENS) * kv->padded_dim;
}

#endif

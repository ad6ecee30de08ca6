/* Rows of the embedding as floats.
 *
 *   embed_TYPE(struct args_embed): out[row] = scale * table[tokens[row]]
 *   grid   x: gpu_groups(columns) / GPU_EMBED_THREADS, rounded up
 *          y: rows
 *   block  GPU_EMBED_THREADS: a thread has a group of columns
 *   writes out [row][columns] */
#ifndef RBEE_HIP_KERNELS_EMBED_H
#define RBEE_HIP_KERNELS_EMBED_H

#include "hip/kernels/unpack.h"

GPU_DEVICE void embed(const struct args_embed *a, enum gpu_weight_type type)
{
    struct gpu_format format = gpu_format_of(type);
    uint32_t columns = a->table.columns;
    uint32_t group = gpu_block_x() * GPU_EMBED_THREADS + gpu_thread();
    uint32_t token = a->tokens[gpu_block_y()];
    struct gpu_place place =
        gpu_place_of(&format, &a->table, token / GPU_TILE_ROWS, token % GPU_TILE_ROWS);
    float *out = a->out + (uint64_t)gpu_block_y() * columns + (uint64_t)group * GPU_GROUP_COLUMNS;
    float numbers[GPU_GROUP_COLUMNS];

    if (group >= gpu_groups(columns))
        return;
    gpu_unpack_numbers(&format, &place, group / format.chunk_groups, group % format.chunk_groups,
                       numbers);
    GPU_UNROLL
    for (uint32_t i = 0; i < GPU_GROUP_COLUMNS; i++) {
        if (group * GPU_GROUP_COLUMNS + i < columns)
            out[i] = numbers[i] * a->scale;
    }
}

#define WEIGHT_TYPE(name, ...)                                                                     \
    GPU_KERNEL(embed_##name, args_embed)                                                           \
    {                                                                                              \
        embed(a, GPU_WEIGHT_##name);                                                               \
    }
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE

#endif

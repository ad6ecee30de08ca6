/* Products for the rows of prompts. A wave has GPU_MATMUL_ROWS rows of activations and, in each
 * lane, GPU_MATMUL_TILES rows of the weight, over all columns; a block's waves have the same rows
 * of the weight, which so come from the cache but once. Nothing of a row's result depends on how
 * many others there are.
 *
 *   matmul_TYPE(struct args_product)
 *   grid   x: gpu_product_blocks(a, is_gate, GPU_WAVE * GPU_MATMUL_TILES)
 *          y: row_count / (waves of a block * GPU_MATMUL_ROWS), rounded up
 *   block  1 to GPU_THREADS_MAX / GPU_WAVE waves
 *   reads and writes as matvec */
#ifndef RBEE_HIP_KERNELS_MATMUL_H
#define RBEE_HIP_KERNELS_MATMUL_H

#include "hip/kernels/product.h"

/* The sums of weight WEIGHT. */
GPU_DEVICE void matmul_columns(const struct args_product *a, const struct gpu_format *format,
                               uint32_t weight, uint32_t first, const struct product_rows *rows,
                               struct product_sums *sums)
{
    struct gpu_planes planes = product_planes(a, weight);
    struct gpu_place places[GPU_MATMUL_TILES];
    uint32_t step_columns = product_step_columns(format);
    uint32_t steps = product_chunk_steps(format);
    uint32_t whole = product_whole_columns(format, planes.columns) / step_columns;

    GPU_UNROLL
    for (uint32_t tile = 0; tile < GPU_MATMUL_TILES; tile++) {
        places[tile] = product_place(format, &planes, first + tile * GPU_WAVE);
        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MATMUL_ROWS; i++)
            sums->of[tile][i] = 0.0f;
    }
    for (uint32_t step = 0; step < whole; step++)
        product_add_step(a, format, places, GPU_MATMUL_TILES, rows, step / steps, step % steps, 1,
                         sums);
    for (uint32_t step = whole; step * step_columns < planes.columns; step++)
        product_add_step(a, format, places, GPU_MATMUL_TILES, rows, step / steps, step % steps, 0,
                         sums);
}

GPU_DEVICE void matmul_finish(const struct args_product *a, struct product_block block,
                              const struct product_rows *rows, const struct product_sums *first,
                              const struct product_sums *second)
{
    uint32_t width = product_planes(a, block.weight).rows;

    GPU_UNROLL
    for (uint32_t tile = 0; tile < GPU_MATMUL_TILES; tile++) {
        uint32_t column = block.first + tile * GPU_WAVE + gpu_lane();

        GPU_UNROLL
        for (uint32_t i = 0; i < GPU_MATMUL_ROWS; i++) {
            if (rows->first + i <= rows->last && column < width)
                gpu_finish(a, block.weight, rows->first + i, column, first->of[tile][i],
                           second->of[tile][i]);
        }
    }
}

GPU_DEVICE void matmul(const struct args_product *a, enum gpu_weight_type type)
{
    struct gpu_format format = gpu_format_of(type);
    struct product_block block = product_block_of(a, GPU_WAVE * GPU_MATMUL_TILES);
    uint32_t wave = gpu_block_y() * gpu_waves() + gpu_uniform(gpu_wave());
    struct product_rows rows = {a->row_begin + wave * GPU_MATMUL_ROWS,
                                a->row_begin + a->row_count - 1, GPU_MATMUL_ROWS};
    struct product_sums first;
    struct product_sums second = {{{0.0f}}};

    if (rows.first > rows.last)
        return; /* the launch's last waves; there is no barrier here */
    matmul_columns(a, &format, block.weight, block.first, &rows, &first);
    if (gpu_is_gate(a->epilogue))
        matmul_columns(a, &format, 1, block.first, &rows, &second);
    matmul_finish(a, block, &rows, &first, &second);
}

#define WEIGHT_TYPE(name, ...)                                                                     \
    GPU_KERNEL(matmul_##name, args_product)                                                        \
    {                                                                                              \
        matmul(a, GPU_WEIGHT_##name);                                                              \
    }
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE

#endif

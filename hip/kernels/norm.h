/* Root-mean-square norm of rows. Grid: rows; a block has a row. */
#ifndef RBEE_HIP_KERNELS_NORM_H
#define RBEE_HIP_KERNELS_NORM_H

#include "hip/kernels/quantise.h"

enum { NORM_WAVES_MAX = GPU_THREADS_MAX / 32 };

/* Of the values of all threads of the block, in the order of its waves. */
GPU_DEVICE float block_sum(float value, float *of_waves)
{
    float sum = gpu_sum_over(value, GPU_WAVE);

    if (gpu_lane() == 0)
        of_waves[gpu_wave()] = sum;
    gpu_barrier();
    sum = 0.0f;
    for (uint32_t i = 0; i < gpu_waves(); i++)
        sum += of_waves[i];
    return sum;
}

GPU_DEVICE float norm_squares(const float *x, uint32_t width)
{
    float sum = 0.0f;

    for (uint32_t at = gpu_thread() * GPU_LANE_COLUMNS; at < width;
         at += gpu_threads() * GPU_LANE_COLUMNS) {
        struct quantise_values values = quantise_load(x, at, width);

        for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++)
            sum += values.at[i] * values.at[i];
    }
    return sum;
}

/* The lane's columns of the result. */
GPU_DEVICE struct quantise_values norm_finish(const struct args_norm *a, const float *x,
                                              const float *out, uint32_t at, float factor)
{
    struct quantise_values values = quantise_load(x, at, a->width);
    struct quantise_values scale = quantise_load(a->scale, at, a->width);
    struct quantise_values before = {{0.0f}};

    if (a->is_added)
        before = quantise_load(out, at, a->width);
    for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++)
        values.at[i] = before.at[i] + values.at[i] * factor * scale.at[i];
    return values;
}

GPU_KERNEL(norm, args_norm)
{
    GPU_SHARED(float, of_waves, NORM_WAVES_MAX);
    uint32_t to = gpu_block_x();
    const float *x = a->x + (uint64_t)(a->rows != NULL ? a->rows[to] : to) * a->width;
    float *out = a->out != NULL ? a->out + (uint64_t)to * a->width : NULL;
    float squares = block_sum(norm_squares(x, a->width), of_waves);
    float factor = gpu_rsqrt(squares / (float)a->width + a->epsilon);

    /* Threads of a wave go round together, past the end of the row: shuffles need them all. */
    for (uint32_t first = 0; first < a->width; first += gpu_threads() * GPU_LANE_COLUMNS) {
        uint32_t at = first + gpu_thread() * GPU_LANE_COLUMNS;
        struct quantise_values values = norm_finish(a, x, out, at, factor);

        if (out != NULL)
            quantise_store(out, at, a->width, &values);
        if (a->quantised.upper != NULL)
            quantise_values(&a->quantised, (uint64_t)to * a->width + at, at < a->width, &values);
    }
}

#endif

/* Activations as integers (struct gpu_quantised). A lane has GPU_LANE_COLUMNS columns side by side,
 * so that a group is a few neighbouring lanes and a lane's bytes are one word.
 *
 * What is not finite makes its whole group's scale the same: it travels on, as in floats. */
#ifndef RBEE_HIP_KERNELS_QUANTISE_H
#define RBEE_HIP_KERNELS_QUANTISE_H

#include "hip/kernels/args.h"
#include "hip/kernels/gpu.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    QUANTISE_GROUP_LANES = GPU_GROUP_COLUMNS / GPU_LANE_COLUMNS,
    QUANTISE_SUM_LANES = GPU_SUM_COLUMNS / GPU_LANE_COLUMNS,
    QUANTISE_BYTE = 256,
    FLOAT_INFINITY_BITS = 0x7f800000,
};

#define QUANTISE_LARGEST 16383.0f /* 15 bits with the sign */
/* A group of less is zeros: its scale would not have all of a float's digits. */
#define QUANTISE_SMALLEST 2e-34f
/* 3 * 2^22: added, it leaves the nearest integer. */
#define QUANTISE_ROUNDING 12582912.0f

/* The columns of a lane. */
struct quantise_values {
    float at[GPU_LANE_COLUMNS];
};

/* Columns from AT on, those from WIDTH on as 0. */
GPU_DEVICE struct quantise_values quantise_load(const float *row, uint32_t at, uint32_t width)
{
    struct quantise_values values;

    if (width % GPU_LANE_COLUMNS == 0 && at < width) { /* rows are aligned, too */
        struct gpu_int4 packed = gpu_load16(row + at);

        __builtin_memcpy(&values, &packed, sizeof(values));
        return values;
    }
    for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++)
        values.at[i] = at + i < width ? row[at + i] : 0.0f;
    return values;
}

GPU_DEVICE void quantise_store(float *row, uint32_t at, uint32_t width,
                               const struct quantise_values *values)
{
    if (width % GPU_LANE_COLUMNS == 0 && at < width) {
        struct gpu_int4 packed;

        __builtin_memcpy(&packed, values, sizeof(packed));
        gpu_store16(row + at, packed);
        return;
    }
    for (uint32_t i = 0; i < GPU_LANE_COLUMNS && at + i < width; i++)
        row[at + i] = values->at[i];
}

/* The largest magnitude of the lane's group as bits of a float, of which NaN are the largest. */
GPU_DEVICE uint32_t quantise_group_bits(const struct quantise_values *values)
{
    uint32_t largest = 0;

    for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++) {
        uint32_t bits = gpu_float_to_bits(values->at[i]) & 0x7fffffffu;

        largest = bits > largest ? bits : largest;
    }
    for (uint32_t step = QUANTISE_GROUP_LANES / 2; step > 0; step /= 2) {
        uint32_t other = (uint32_t)gpu_shuffle_int((int32_t)largest, gpu_lane() ^ step);

        largest = other > largest ? other : largest;
    }
    return largest;
}

/* All lanes of the wave call it; AT is a multiple of GPU_LANE_COLUMNS and rises by that from lane
 * to lane, WIDTH is a multiple of GPU_GROUP_COLUMNS. Lanes beyond it only take part. */
GPU_DEVICE void quantise_values(const struct gpu_quantised *out, uint32_t row, uint32_t at,
                                uint32_t width, const struct quantise_values *values)
{
    uint32_t bits = quantise_group_bits(values);
    float largest = gpu_bits_to_float(bits);
    bool is_plain = bits < FLOAT_INFINITY_BITS && largest >= QUANTISE_SMALLEST;
    float inverse = is_plain ? QUANTISE_LARGEST / largest : 0.0f;
    int32_t sum = 0;
    uint32_t upper = 0;
    uint32_t lower = 0;
    uint64_t place = (uint64_t)row * width + at;

    for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++) {
        float rounded = (is_plain ? values->at[i] * inverse : 0.0f) + QUANTISE_ROUNDING;
        int32_t whole =
            (int32_t)gpu_float_to_bits(rounded) - (int32_t)gpu_float_to_bits(QUANTISE_ROUNDING);
        int32_t high = (whole + QUANTISE_BYTE / 2) >> 8; /* so that the rest is a signed byte */

        sum += whole;
        upper |= ((uint32_t)high & 0xffu) << (8 * i);
        lower |= ((uint32_t)(whole - high * QUANTISE_BYTE) & 0xffu) << (8 * i);
    }
    for (uint32_t step = QUANTISE_SUM_LANES / 2; step > 0; step /= 2)
        sum += gpu_shuffle_int(sum, gpu_lane() ^ step);
    if (at >= width)
        return;
    __builtin_memcpy(out->upper + place, &upper, sizeof(upper));
    __builtin_memcpy(out->lower + place, &lower, sizeof(lower));
    if (at % GPU_SUM_COLUMNS == 0)
        out->sums[place / GPU_SUM_COLUMNS] = sum;
    if (at % GPU_GROUP_COLUMNS == 0)
        out->scales[place / GPU_GROUP_COLUMNS] =
            is_plain ? largest / QUANTISE_LARGEST : (bits < FLOAT_INFINITY_BITS ? 0.0f : largest);
}

/* Grid: as many blocks of the columns of a row as there are, rows. */
GPU_KERNEL(quantise, args_quantise)
{
    uint32_t at = (gpu_block_x() * gpu_threads() + gpu_thread()) * GPU_LANE_COLUMNS;
    uint32_t row = gpu_block_y();
    struct quantise_values values =
        quantise_load(a->x + (uint64_t)row * a->columns, at, a->columns);

    quantise_values(&a->out, row, at, a->columns, &values);
}

#endif

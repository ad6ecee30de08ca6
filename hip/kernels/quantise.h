/* Activations as integers (struct gpu_quantised). A lane has GPU_LANE_COLUMNS columns side by side,
 * so that a group is a few neighbouring lanes and a lane's bytes are one word; or one column, where
 * a kernel has its results so. Rows are whole groups.
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

/* The largest of LANES neighbouring lanes, a power of 2. */
GPU_DEVICE uint32_t quantise_largest_over(uint32_t largest, uint32_t lanes)
{
    for (uint32_t step = lanes / 2; step > 0; step /= 2) {
        uint32_t other = (uint32_t)gpu_shuffle_int((int32_t)largest, gpu_lane() ^ step);

        largest = other > largest ? other : largest;
    }
    return largest;
}

GPU_DEVICE int32_t quantise_sum_over(int32_t sum, uint32_t lanes)
{
    for (uint32_t step = lanes / 2; step > 0; step /= 2)
        sum += gpu_shuffle_int(sum, gpu_lane() ^ step);
    return sum;
}

/* A magnitude as bits of a float, of which NaN are the largest. */
GPU_DEVICE uint32_t quantise_bits(float value)
{
    return gpu_float_to_bits(value) & 0x7fffffffu;
}

/* What a group's largest magnitude makes of it. */
struct quantise_scale {
    float scale;
    float inverse;
    bool is_plain; /* else all integers are 0 */
};

GPU_DEVICE struct quantise_scale quantise_scale_of(uint32_t bits)
{
    float largest = gpu_bits_to_float(bits);
    struct quantise_scale scale;

    scale.is_plain = bits < FLOAT_INFINITY_BITS && largest >= QUANTISE_SMALLEST;
    scale.inverse = scale.is_plain ? QUANTISE_LARGEST / largest : 0.0f;
    scale.scale =
        scale.is_plain ? largest / QUANTISE_LARGEST : (bits < FLOAT_INFINITY_BITS ? 0.0f : largest);
    return scale;
}

GPU_DEVICE int32_t quantise_whole(const struct quantise_scale *scale, float value)
{
    float rounded = scale->is_plain ? gpu_fma(value, scale->inverse, QUANTISE_ROUNDING)
                                    : QUANTISE_ROUNDING; /* spelt out, as in epilogue.h */

    return (int32_t)gpu_float_to_bits(rounded) - (int32_t)gpu_float_to_bits(QUANTISE_ROUNDING);
}

/* The upper byte, so that what is left is a signed one. */
GPU_DEVICE int32_t quantise_upper(int32_t whole)
{
    return (whole + QUANTISE_BYTE / 2) >> 8;
}

/* All lanes of the wave call it; PLACE, the lane's first column after those of all rows before, is
 * a multiple of GPU_LANE_COLUMNS and rises by that from lane to lane, from a multiple of
 * GPU_GROUP_COLUMNS on. Lanes that are not there only take part. */
GPU_DEVICE void quantise_values(const struct gpu_quantised *out, uint64_t place, bool is_there,
                                const struct quantise_values *values)
{
    uint32_t bits = 0;
    struct quantise_scale scale;
    int32_t sum = 0;
    uint32_t upper = 0;
    uint32_t lower = 0;

    for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++) {
        uint32_t other = quantise_bits(values->at[i]);

        bits = other > bits ? other : bits;
    }
    scale = quantise_scale_of(quantise_largest_over(bits, QUANTISE_GROUP_LANES));
    for (uint32_t i = 0; i < GPU_LANE_COLUMNS; i++) {
        int32_t whole = quantise_whole(&scale, values->at[i]);
        int32_t high = quantise_upper(whole);

        sum += whole;
        upper |= ((uint32_t)high & 0xffu) << (8 * i);
        lower |= ((uint32_t)(whole - high * QUANTISE_BYTE) & 0xffu) << (8 * i);
    }
    sum = quantise_sum_over(sum, QUANTISE_SUM_LANES);
    if (!is_there)
        return;
    __builtin_memcpy(out->upper + place, &upper, sizeof(upper));
    __builtin_memcpy(out->lower + place, &lower, sizeof(lower));
    if (place % GPU_SUM_COLUMNS == 0)
        out->sums[place / GPU_SUM_COLUMNS] = sum;
    if (place % GPU_GROUP_COLUMNS == 0)
        out->scales[place / GPU_GROUP_COLUMNS] = scale.scale;
}

/* The same, with the same integers, where a lane has one column. */
GPU_DEVICE void quantise_column(const struct gpu_quantised *out, uint64_t place, bool is_there,
                                float value)
{
    uint32_t bits = quantise_largest_over(quantise_bits(value), GPU_GROUP_COLUMNS);
    struct quantise_scale scale = quantise_scale_of(bits);
    int32_t whole = quantise_whole(&scale, value);
    int32_t high = quantise_upper(whole);
    int32_t sum = quantise_sum_over(whole, GPU_SUM_COLUMNS);

    if (!is_there)
        return;
    out->upper[place] = (int8_t)high;
    out->lower[place] = (int8_t)(whole - high * QUANTISE_BYTE);
    if (place % GPU_SUM_COLUMNS == 0)
        out->sums[place / GPU_SUM_COLUMNS] = sum;
    if (place % GPU_GROUP_COLUMNS == 0)
        out->scales[place / GPU_GROUP_COLUMNS] = scale.scale;
}

/* Grid: as many blocks of the columns of a row as there are, rows. */
GPU_KERNEL(quantise, args_quantise)
{
    uint32_t at = (gpu_block_x() * gpu_threads() + gpu_thread()) * GPU_LANE_COLUMNS;
    uint64_t row = (uint64_t)gpu_block_y() * a->columns;
    struct quantise_values values = quantise_load(a->x + row, at, a->columns);

    quantise_values(&a->out, row + at, at < a->columns, &values);
}

#endif

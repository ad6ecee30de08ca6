/* Products for the rows of prompts on matrix units (gpu_mma.h), of weights whose numbers halves can
 * hold (weight_types.def). Others, and devices without such a unit, go through matmul.h.
 *
 * A block computes R rows of activations (one of GPU_MMA_X_ROWS and GPU_MMA_X_ROWS_MAX, a constant
 * of each variant) times GPU_MMA_WEIGHT_ROWS rows of a weight. Both come as halves through shared
 * memory, MMA_COLUMNS at a time, and are summed up as floats. A row of either is scaled by a power
 * of 2, as far as it is not of halves already, so that none overflows and what a half rounds off is
 * at most 2^-11 of the number, or tiny beside the largest.
 *
 *   mma_TYPE_xR(struct args_product)
 *   grid   x: gpu_product_blocks(a, is_gate, GPU_MMA_WEIGHT_ROWS)
 *          y: row_count / R, rounded up
 *   block  GPU_MMA_THREADS
 *   reads  weights[i] [rows][columns] and quantised [row][columns], also of weights in halves
 *   writes as matvec; a row's sums depend neither on how many rows there are nor on R */
#ifndef RBEE_HIP_KERNELS_MATMUL_MMA_H
#define RBEE_HIP_KERNELS_MATMUL_MMA_H

#include "hip/kernels/gpu_mma.h"

#ifdef GPU_HAS_MMA

#include "hip/kernels/product.h"

#include <stdbool.h>

enum {
    MMA_COLUMNS = 64,             /* that are in shared memory at once */
    MMA_STRIDE = MMA_COLUMNS + 8, /* of a row in shared memory, in halves: another bank each */
    MMA_SHARERS = GPU_MMA_THREADS / GPU_MMA_WEIGHT_ROWS, /* threads of a weight's row */
    MMA_PART = 16,        /* columns of activations that a thread brings */
    MMA_FINISH_ROWS = 32, /* of activations whose products are finished at once */
    /* How the waves share the block: each has so many tiles of 16 activations and weights. */
    MMA_WAVES_OF_WEIGHTS = 4,
    MMA_WAVES_OF_X = GPU_MMA_THREADS / GPU_WAVE / MMA_WAVES_OF_WEIGHTS,
    MMA_X_TILES_MAX = GPU_MMA_X_ROWS_MAX / GPU_MMA_SIDE / MMA_WAVES_OF_X,
    MMA_WEIGHT_TILES = GPU_MMA_WEIGHT_ROWS / GPU_MMA_SIDE / MMA_WAVES_OF_WEIGHTS,
};

GPU_ASSERT(MMA_FINISH_ROWS * 2 <= GPU_MMA_X_ROWS, "products fit");

/* A wave's share of the block. */
struct mma_sums {
    struct gpu_mma_sum tiles[MMA_X_TILES_MAX][MMA_WEIGHT_TILES];
};

/* What a block works on, in shared memory: the next columns, and what each row is scaled by. In the
 * end products lie where the columns did. */
struct mma_stage {
    uint16_t *x;       /* [x_rows][MMA_STRIDE] */
    uint16_t *weights; /* [GPU_MMA_WEIGHT_ROWS][MMA_STRIDE] */
    float *products;   /* [MMA_FINISH_ROWS][GPU_MMA_WEIGHT_ROWS], in the same memory */
    float *factors;    /* [x_rows] powers of 2 */
    float *largest;    /* [MMA_SHARERS][GPU_MMA_WEIGHT_ROWS] a bound of the weight's row */
    uint32_t x_rows;   /* of the variant */
};

/* WORDS, a multiple of 4 of them, to a multiple of 16 bytes. */
GPU_DEVICE void mma_store(uint16_t *to, const uint32_t *words, uint32_t count)
{
    GPU_UNROLL
    for (uint32_t i = 0; i < count; i += 4) {
        struct gpu_int4 four = {(int32_t)words[i], (int32_t)words[i + 1], (int32_t)words[i + 2],
                                (int32_t)words[i + 3]};

        gpu_store16(to + 2 * i, four);
    }
}

/* The power of 2 that brings VALUE, not negative, to 2^13 or more and less than 2^14, as far as
 * there is one: far from what halves hold at most, and from where they lose digits (and some units
 * take them for 0). 1 for 0 and for what is no number. */
GPU_DEVICE float mma_factor_of(float value)
{
    const uint32_t bias = 127;
    const uint32_t wanted = 13;
    uint32_t exponent = gpu_float_to_bits(value) >> 23 & 0xff;

    if (exponent == 0 || exponent == 0xff)
        return 1.0f;
    if (exponent < wanted)
        exponent = wanted;
    return gpu_bits_to_float((2 * bias + wanted - exponent) << 23);
}

/* Tiles of activations that a wave has. */
GPU_DEVICE uint32_t mma_x_tiles(struct mma_stage stage)
{
    return stage.x_rows / (GPU_MMA_SIDE * MMA_WAVES_OF_X);
}

/* A few neighbouring threads look at a row's scales. */
GPU_DEVICE void mma_find_factors(const struct args_product *a, uint32_t x_begin,
                                 struct mma_stage stage)
{
    const uint32_t sharers = GPU_MMA_THREADS / stage.x_rows;
    uint32_t row = gpu_thread() / sharers;
    uint32_t groups = a->weights[0].columns / GPU_GROUP_COLUMNS;
    float largest = 0.0f;

    if (x_begin + row < a->row_count) {
        const float *scales =
            a->quantised.scales + (uint64_t)(a->row_begin + x_begin + row) * groups;

        for (uint32_t i = gpu_thread() % sharers; i < groups; i += sharers)
            largest = gpu_max(largest, scales[i]);
    }
    largest = gpu_max_over(largest, sharers);
    if (gpu_thread() % sharers == 0)
        stage.factors[row] = mma_factor_of(largest * 32768.0f); /* of integers of 15 bits */
}

/* Brings MMA_PART activations of row ROW of the block, of the columns from PART on of those from
 * COLUMN on. */
GPU_DEVICE void mma_bring_part(const struct args_product *a, uint32_t x_begin, uint32_t row,
                               uint32_t column, uint32_t part, struct mma_stage stage)
{
    uint32_t columns = a->weights[0].columns;
    uint64_t x_row = a->row_begin + x_begin + row;
    struct gpu_int4 upper = {0, 0, 0, 0};
    struct gpu_int4 lower = {0, 0, 0, 0};
    float scale = 0.0f;
    uint32_t words[MMA_PART / 2];

    if (x_begin + row < a->row_count && column + part < columns) {
        upper = gpu_load16(a->quantised.upper + x_row * columns + column + part);
        lower = gpu_load16(a->quantised.lower + x_row * columns + column + part);
        scale = a->quantised.scales[(x_row * columns + column + part) / GPU_GROUP_COLUMNS] *
                stage.factors[row];
    }
    GPU_UNROLL
    for (uint32_t i = 0; i < MMA_PART; i++) {
        int32_t high = (int8_t)((uint32_t)gpu_word_of(upper, i / 4) >> i % 4 * 8);
        int32_t low = (int8_t)((uint32_t)gpu_word_of(lower, i / 4) >> i % 4 * 8);
        uint32_t half = gpu_float_to_half((float)(high * 256 + low) * scale);

        words[i / 2] = i % 2 == 0 ? half : words[i / 2] | half << 16;
    }
    mma_store(stage.x + row * MMA_STRIDE + part, words, MMA_PART / 2);
}

/* Brings the block's activations of the columns from COLUMN on, a part or two by each thread. */
GPU_DEVICE void mma_bring_x(const struct args_product *a, uint32_t x_begin, uint32_t column,
                            struct mma_stage stage)
{
    const uint32_t parts = MMA_COLUMNS / MMA_PART; /* of a row */

    GPU_UNROLL
    for (uint32_t row = 0; row < stage.x_rows; row += GPU_MMA_THREADS / parts)
        mma_bring_part(a, x_begin, row + gpu_thread() / parts, column,
                       gpu_thread() % parts * MMA_PART, stage);
}

/* No number of the format is larger, before its scale and minimum. */
GPU_DEVICE float mma_largest_code(const struct gpu_format *format)
{
    return format->numbers == GPU_NUMBERS_IQ4 ? 128.0f
           : format->numbers == GPU_NUMBERS_E2M1
               ? 16.0f
               : (float)(1u << (format->low_bits + format->high_bits));
}

GPU_DEVICE float mma_abs(float x)
{
    return x < 0.0f ? -x : x;
}

/* Where this thread's row of the weight lies, if it is there. */
GPU_DEVICE bool mma_own_place(const struct gpu_format *format, const struct gpu_planes *weight,
                              uint32_t row_begin, struct gpu_place *out)
{
    uint32_t row = gpu_thread() % GPU_MMA_WEIGHT_ROWS;
    uint32_t tile = row_begin / GPU_TILE_ROWS;

    if (tile + row / GPU_TILE_ROWS >= gpu_tiles(weight->rows))
        return false;
    *out = gpu_place_of(format, weight, tile, row);
    return true;
}

/* Bounds of the rows of a weight whose scales may be beyond what halves hold; the threads of a row
 * share its groups. */
GPU_DEVICE void mma_find_largest(const struct gpu_format *format, const struct gpu_planes *weight,
                                 uint32_t row_begin, struct mma_stage stage)
{
    uint32_t groups = gpu_groups(weight->columns);
    float largest = 0.0f;
    struct gpu_place place;

    if (mma_own_place(format, weight, row_begin, &place) && !gpu_format_is_float(format)) {
        for (uint32_t group = gpu_thread() / GPU_MMA_WEIGHT_ROWS; group < groups;
             group += MMA_SHARERS) {
            struct gpu_raw_scales scales =
                gpu_load_scales(format, &place, group / format->chunk_groups);
            struct gpu_unpacked one;
            float scale = 0.0f;
            float minimum = 0.0f;

            gpu_unpack_scales(format, &scales, group % format->chunk_groups, &one);
            scale = gpu_max(mma_abs(one.scales[0]), mma_abs(one.scales[1]));
            minimum = gpu_max(mma_abs(one.minima[0]), mma_abs(one.minima[1]));
            largest = gpu_max(largest, gpu_fma(scale, mma_largest_code(format), minimum));
        }
    }
    stage.largest[gpu_thread()] = largest;
}

GPU_DEVICE float mma_weight_factor(struct mma_stage stage, uint32_t row)
{
    float largest = 0.0f;

    GPU_UNROLL
    for (uint32_t i = 0; i < MMA_SHARERS; i++) {
        largest = gpu_max(largest, stage.largest[i * GPU_MMA_WEIGHT_ROWS + row]);
    }
    return mma_factor_of(largest);
}

/* Brings this thread's group of a weight's row, the first groups from GROUP on. */
GPU_DEVICE void mma_bring_weights(const struct gpu_format *format, const struct gpu_planes *weight,
                                  uint32_t row_begin, uint32_t group, struct mma_stage stage)
{
    uint32_t row = gpu_thread() % GPU_MMA_WEIGHT_ROWS;
    uint32_t own = gpu_thread() / GPU_MMA_WEIGHT_ROWS;
    float factor = mma_weight_factor(stage, row);
    float numbers[GPU_GROUP_COLUMNS] = {0};
    uint32_t words[GPU_GROUP_COLUMNS / 2];
    struct gpu_place place;

    if (group + own < gpu_groups(weight->columns) &&
        mma_own_place(format, weight, row_begin, &place))
        gpu_unpack_numbers(format, &place, (group + own) / format->chunk_groups,
                           (group + own) % format->chunk_groups, numbers);
    GPU_UNROLL
    for (uint32_t i = 0; i < GPU_GROUP_COLUMNS / 2; i++) {
        uint32_t low = gpu_float_to_half(numbers[2 * i] * factor);

        words[i] = low | (uint32_t)gpu_float_to_half(numbers[2 * i + 1] * factor) << 16;
    }
    mma_store(stage.weights + row * MMA_STRIDE + own * GPU_GROUP_COLUMNS, words,
              GPU_GROUP_COLUMNS / 2);
}

/* The place of this wave's first tile, in rows of the block. */
GPU_DEVICE uint32_t mma_wave_x(struct mma_stage stage)
{
    return gpu_wave() / MMA_WAVES_OF_WEIGHTS * mma_x_tiles(stage) * GPU_MMA_SIDE;
}

GPU_DEVICE uint32_t mma_wave_weights(void)
{
    return gpu_wave() % MMA_WAVES_OF_WEIGHTS * MMA_WEIGHT_TILES * GPU_MMA_SIDE;
}

GPU_DEVICE void mma_add_stage(struct mma_stage stage, struct mma_sums *sums)
{
    GPU_UNROLL_TWICE
    for (uint32_t k = 0; k < MMA_COLUMNS; k += GPU_MMA_SIDE) {
        struct gpu_mma_tile x[MMA_X_TILES_MAX];
        struct gpu_mma_tile weights[MMA_WEIGHT_TILES];

        GPU_UNROLL
        for (uint32_t i = 0; i < mma_x_tiles(stage); i++) {
            gpu_mma_load(&x[i], stage.x + (mma_wave_x(stage) + i * GPU_MMA_SIDE) * MMA_STRIDE + k,
                         MMA_STRIDE);
        }
        GPU_UNROLL
        for (uint32_t i = 0; i < MMA_WEIGHT_TILES; i++) {
            gpu_mma_load(&weights[i],
                         stage.weights + (mma_wave_weights() + i * GPU_MMA_SIDE) * MMA_STRIDE + k,
                         MMA_STRIDE);
        }
        GPU_UNROLL
        for (uint32_t i = 0; i < mma_x_tiles(stage); i++) {
            GPU_UNROLL
            for (uint32_t j = 0; j < MMA_WEIGHT_TILES; j++)
                gpu_mma(&sums->tiles[i][j], &x[i], &weights[j]);
        }
    }
}

/* x * transposed(weight) of the block, in SUMS; all rows of activations still scaled. */
GPU_DEVICE void mma_sum_up(const struct gpu_format *format, const struct args_product *a,
                           const struct gpu_planes *weight, uint32_t row_begin, uint32_t x_begin,
                           struct mma_stage stage, struct mma_sums *sums)
{
    GPU_UNROLL
    for (uint32_t i = 0; i < mma_x_tiles(stage); i++) {
        GPU_UNROLL
        for (uint32_t j = 0; j < MMA_WEIGHT_TILES; j++) {
            GPU_UNROLL
            for (uint32_t k = 0; k < GPU_MMA_ELEMENTS; k++) {
                sums->tiles[i][j].values[k] = 0.0f;
            }
        }
    }
    for (uint32_t column = 0; column < weight->columns; column += MMA_COLUMNS) {
        mma_bring_x(a, x_begin, column, stage);
        mma_bring_weights(format, weight, row_begin, column / GPU_GROUP_COLUMNS, stage);
        gpu_barrier();
        mma_add_stage(stage, sums);
        gpu_barrier();
    }
}

/* Of a gate the first weight's product waits in its place of the out, as it is, for that of the
 * second: the same lane writes and reads it. */
enum mma_pass { MMA_WHOLE, MMA_FIRST_OF_GATE, MMA_SECOND_OF_GATE };

/* ONE is the launch as if it had but the weight that the block works on. */
GPU_DEVICE void mma_finish_one(const struct args_product *one, enum mma_pass pass, uint32_t x_row,
                               uint32_t column, float product)
{
    uint32_t row = one->row_begin + x_row;
    float *waiting = one->outs[0] + (uint64_t)row * one->weights[0].rows + column;

    if (x_row >= one->row_count || column >= one->weights[0].rows)
        return;
    if (pass == MMA_FIRST_OF_GATE)
        *waiting = product;
    else if (pass == MMA_SECOND_OF_GATE)
        gpu_finish(one, 0, row, column, *waiting, product);
    else
        gpu_finish(one, 0, row, column, product, 0.0f);
}

/* Tiles of activations of each wave that are finished at once. */
GPU_DEVICE uint32_t mma_finish_tiles(struct mma_stage stage)
{
    return mma_x_tiles(stage) * MMA_FINISH_ROWS / stage.x_rows;
}

/* Puts the wave's tiles from tile FIRST on to where all threads find them. */
GPU_DEVICE void mma_show(struct mma_stage stage, const struct mma_sums *sums, uint32_t first)
{
    uint32_t at = gpu_wave() / MMA_WAVES_OF_WEIGHTS * mma_finish_tiles(stage) * GPU_MMA_SIDE;

    GPU_UNROLL
    for (uint32_t i = 0; i < mma_finish_tiles(stage); i++) {
        GPU_UNROLL
        for (uint32_t j = 0; j < MMA_WEIGHT_TILES; j++) {
            GPU_UNROLL
            for (uint32_t k = 0; k < GPU_MMA_ELEMENTS; k++) {
                uint32_t row = at + i * GPU_MMA_SIDE + gpu_mma_row(k);
                uint32_t column = mma_wave_weights() + j * GPU_MMA_SIDE + gpu_mma_column(k);

                stage.products[row * GPU_MMA_WEIGHT_ROWS + column] =
                    sums->tiles[first + i][j].values[k];
            }
        }
    }
    gpu_barrier();
}

/* By way of shared memory, so that the threads of a wave write side by side, and what an epilogue
 * takes is there once and not for each element that a lane has. */
GPU_DEVICE void mma_finish(const struct args_product *one, uint32_t first, enum mma_pass pass,
                           uint32_t x_begin, struct mma_stage stage, const struct mma_sums *sums)
{
    const uint32_t tiles = mma_finish_tiles(stage);
    uint32_t column = gpu_thread() % GPU_MMA_WEIGHT_ROWS;
    float factor = mma_weight_factor(stage, column);

    GPU_UNROLL
    for (uint32_t tile = 0; tile < mma_x_tiles(stage); tile += tiles) {
        mma_show(stage, sums, tile);
        GPU_ROLLED
        for (uint32_t row = gpu_thread() / GPU_MMA_WEIGHT_ROWS; row < MMA_FINISH_ROWS;
             row += MMA_SHARERS) {
            uint32_t wave = row / (tiles * GPU_MMA_SIDE); /* of activations */
            uint32_t x_row =
                (wave * mma_x_tiles(stage) + tile) * GPU_MMA_SIDE + row % (tiles * GPU_MMA_SIDE);
            float product = stage.products[row * GPU_MMA_WEIGHT_ROWS + column];

            /* By powers of 2, one after the other: exact. */
            mma_finish_one(one, pass, x_begin + x_row, first + column,
                           product / stage.factors[x_row] / factor);
        }
        gpu_barrier(); /* others go where these are */
    }
}

/* The launch as if weight WEIGHT were its only one. Field by field: a choice between structs is one
 * between addresses, for which the compiler would keep all arguments in memory. */
GPU_DEVICE struct args_product mma_only(const struct args_product *a, uint32_t weight,
                                        uint32_t is_gate)
{
    struct args_product one = *a;

    GPU_UNROLL
    for (uint32_t i = 1; i < GPU_PRODUCT_WEIGHTS; i++) {
        bool is_it = weight == i;

        one.weights[0].codes = is_it ? a->weights[i].codes : one.weights[0].codes;
        one.weights[0].high = is_it ? a->weights[i].high : one.weights[0].high;
        one.weights[0].scales = is_it ? a->weights[i].scales : one.weights[0].scales;
        one.weights[0].supers = is_it ? a->weights[i].supers : one.weights[0].supers;
        one.weights[0].rows = is_it ? a->weights[i].rows : one.weights[0].rows;
        one.biases[0] = is_it ? a->biases[i] : one.biases[0];
        one.outs[0] = is_it && !is_gate ? a->outs[i] : one.outs[0];
    }
    return one;
}

GPU_DEVICE void mma_product(const struct args_product *a, enum gpu_weight_type type,
                            struct mma_stage stage)
{
    struct gpu_format format = gpu_format_of(type);
    struct product_block block = product_block_of(a, GPU_MMA_WEIGHT_ROWS);
    uint32_t x_begin = gpu_block_y() * stage.x_rows;
    uint32_t is_gate = gpu_is_gate(a->epilogue);

    mma_find_factors(a, x_begin, stage);
    for (uint32_t pass = 0; pass <= is_gate; pass++) {
        struct args_product one = mma_only(a, block.weight + pass, is_gate);
        struct mma_sums sums;

        mma_find_largest(&format, &one.weights[0], block.first, stage);
        gpu_barrier();
        mma_sum_up(&format, &one, &one.weights[0], block.first, x_begin, stage, &sums);
        mma_finish(&one, block.first,
                   !is_gate    ? MMA_WHOLE
                   : pass == 0 ? MMA_FIRST_OF_GATE
                               : MMA_SECOND_OF_GATE,
                   x_begin, stage, &sums);
    }
}

#define MMA(name, rows)                                                                            \
    GPU_KERNEL(mma_##name##_x##rows, args_product)                                                 \
    {                                                                                              \
        GPU_SHARED(float, memory, (rows + GPU_MMA_WEIGHT_ROWS) * MMA_STRIDE / 2);                  \
        GPU_SHARED(float, factors, rows);                                                          \
        GPU_SHARED(float, largest, GPU_MMA_THREADS);                                               \
        uint16_t *x = (uint16_t *)memory;                                                          \
        struct mma_stage stage = {x, x + rows * MMA_STRIDE, memory, factors, largest, rows};       \
                                                                                                   \
        mma_product(a, GPU_WEIGHT_##name, stage);                                                  \
    }
#define WEIGHT_TYPE(name, ...)
#define WEIGHT_TYPE_OF_HALVES(name, ...)                                                           \
    MMA(name, 64)                                                                                  \
    MMA(name, 128)
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
#undef MMA

#endif

#endif

/* What matvec and matmul share: which weight a block works on, and a lane's products of its own row
 * of the weight with rows of activations, which are the same for all lanes. */
#ifndef RBEE_HIP_KERNELS_PRODUCT_H
#define RBEE_HIP_KERNELS_PRODUCT_H

#include "hip/kernels/epilogue.h"
#include "hip/kernels/unpack.h"

/* Rows of activations whose groups are loaded at once: 20 scalar registers each, of about 100 that
 * there are; addresses take the rest. */
enum { PRODUCT_PAUSE_ROWS = 2 };

/* Where a block is in its launch. */
struct product_block {
    uint32_t weight;
    uint32_t first; /* of the weight's rows */
};

/* Blocks along x cover ROWS rows each of weight 0, then of weight 1 and 2; a gate's cover both of
 * its weights. */
GPU_DEVICE struct product_block product_block_of(const struct args_product *a, uint32_t rows)
{
    uint32_t index = gpu_block_x();
    struct product_block block = {0, 0};
    uint32_t blocks = (a->weights[0].rows + rows - 1) / rows;

    if (!gpu_is_gate(a->epilogue) && index >= blocks) {
        index -= blocks;
        block.weight = 1;
        blocks = (a->weights[1].rows + rows - 1) / rows;
        if (index >= blocks) {
            index -= blocks;
            block.weight = 2;
        }
    }
    block.first = index * rows;
    return block;
}

GPU_DEVICE struct gpu_planes product_planes(const struct args_product *a, uint32_t weight)
{
    return weight == 0 ? a->weights[0] : weight == 1 ? a->weights[1] : a->weights[2];
}

/* The lane's row, GPU_WAVE rows side by side from row FIRST on. Lanes beyond the last tile read
 * that one; their products are not written. */
GPU_DEVICE struct gpu_place product_place(const struct gpu_format *format,
                                          const struct gpu_planes *planes, uint32_t first)
{
    uint32_t last = gpu_tiles(planes->rows) - 1;
    uint32_t tile = gpu_min_u32(first / GPU_TILE_ROWS, last);
    uint32_t rows_after = gpu_lane();

    if (GPU_WAVE > GPU_TILE_ROWS && tile == last)
        rows_after %= GPU_TILE_ROWS;
    return gpu_place_of(format, planes, tile, rows_after);
}

/* A group of a row of activations. */
struct product_group {
    struct gpu_int4 upper[2];
    struct gpu_int4 lower[2];
    float scale;
    int32_t sums[2];
};

/* Group GROUP of the chunk that begins with the group CHUNK_GROUP of all rows' groups. Offsets to
 * the chunk have 32 bits and the group is a constant: scalar loads add both by themselves. */
GPU_DEVICE struct product_group product_group_of(const struct gpu_quantised *x,
                                                 uint32_t chunk_group, uint32_t group)
{
    const int8_t *upper = x->upper + chunk_group * GPU_GROUP_COLUMNS;
    const int8_t *lower = x->lower + chunk_group * GPU_GROUP_COLUMNS;
    const uint8_t *scale = (const uint8_t *)x->scales + chunk_group * (uint32_t)sizeof(float);
    const uint8_t *sums = (const uint8_t *)x->sums + chunk_group * 2 * (uint32_t)sizeof(int32_t);
    struct gpu_int2 both = gpu_uniform_load8(sums + group * 2 * sizeof(int32_t));
    struct product_group out;

    upper += group * GPU_GROUP_COLUMNS;
    lower += group * GPU_GROUP_COLUMNS;
    out.upper[0] = gpu_uniform_load16(upper);
    out.upper[1] = gpu_uniform_load16(upper + GPU_PIECE_BYTES);
    out.lower[0] = gpu_uniform_load16(lower);
    out.lower[1] = gpu_uniform_load16(lower + GPU_PIECE_BYTES);
    out.scale = gpu_uniform_load_float(scale + group * sizeof(float));
    out.sums[0] = both.x;
    out.sums[1] = both.y;
    return out;
}

/* START + the products of PIECES times 16 codes and numbers. Exact: of 32 at most 2^8 * 2^15 *
 * 2^5. */
GPU_DEVICE int32_t product_dot(const int32_t *codes, const struct gpu_int4 *upper,
                               const struct gpu_int4 *lower, uint32_t pieces, int32_t start)
{
    int32_t uppers = 0;

    GPU_UNROLL
    for (uint32_t i = 0; i < pieces; i++) {
        GPU_UNROLL
        for (uint32_t word = 0; word < GPU_HALF_GROUP_WORDS; word++) {
            int32_t code = codes[i * GPU_HALF_GROUP_WORDS + word];

            if (GPU_HAS_DOT4) {
                uppers = gpu_dot4(code, gpu_word_of(upper[i], word), uppers);
                start = gpu_dot4(code, gpu_word_of(lower[i], word), start);
            } else {
                start = gpu_dot4_wide(code, gpu_word_of(upper[i], word),
                                      gpu_word_of(lower[i], word), start);
            }
        }
    }
    return uppers * 256 + start;
}

/* SUM + a group's share of a row's product. */
GPU_DEVICE float product_of_group(const struct gpu_format *format,
                                  const struct gpu_unpacked *weight, const struct product_group *x,
                                  float sum)
{
    const int32_t *codes = weight->codes;
    int32_t all = x->sums[0] + x->sums[1];
    float product;

    if (gpu_format_has_two_scales(format)) {
        int32_t first = product_dot(codes, x->upper, x->lower, 1, -format->less * x->sums[0]);
        int32_t second = product_dot(codes + GPU_HALF_GROUP_WORDS, x->upper + 1, x->lower + 1, 1,
                                     -format->less * x->sums[1]);

        product = weight->scales[0] * (float)first;
        product = gpu_fma(weight->scales[1], (float)second, product);
        if (gpu_format_has_minima(format)) {
            product = gpu_fma(weight->minima[0], (float)x->sums[0], product);
            product = gpu_fma(weight->minima[1], (float)x->sums[1], product);
        }
    } else {
        product = weight->scales[0] *
                  (float)product_dot(codes, x->upper, x->lower, 2, -format->less * all);
        if (gpu_format_has_minima(format))
            product = gpu_fma(weight->minima[0], (float)all, product);
    }
    return gpu_fma(x->scale, product, sum);
}

/* Rows of activations that a wave works on: COUNT from FIRST on, of which those after LAST are read
 * as LAST and not written. */
struct product_rows {
    uint32_t first;
    uint32_t last;
    uint32_t count; /* a constant */
};

GPU_DEVICE uint32_t product_row(const struct product_rows *rows, uint32_t index)
{
    return gpu_min_u32(rows->first + index, rows->last);
}

/* What a wave adds to: the sums of its rows of activations with each of its lanes' TILES rows of
 * the weight. */
struct product_sums {
    float of[GPU_MATMUL_TILES][GPU_ROWS_PER_MATVEC];
};

/* AT, before the INDEX-th row of a chunk's groups: what is loaded for a few must not be waiting for
 * its turn while more comes, or scalar registers run out. */
GPU_DEVICE uint32_t product_pause(uint32_t at, uint32_t index)
{
    return index % PRODUCT_PAUSE_ROWS == 0 ? gpu_not_before(at) : at;
}

/* Adds the share of group GROUP of the chunk that begins with the group *AT of a row. WEIGHTS are
 * TILES. */
GPU_DEVICE void product_add_group(const struct args_product *a, const struct gpu_format *format,
                                  const struct gpu_unpacked *weights, uint32_t tiles,
                                  const struct product_rows *rows, uint32_t *at, uint32_t group,
                                  struct product_sums *sums)
{
    uint32_t groups = gpu_groups(a->weights[0].columns);

    GPU_UNROLL
    for (uint32_t i = 0; i < rows->count; i++) {
        struct product_group x;

        *at = product_pause(*at, group * rows->count + i);
        x = product_group_of(&a->quantised, product_row(rows, i) * groups + *at, group);
        GPU_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++)
            sums->of[tile][i] = product_of_group(format, &weights[tile], &x, sums->of[tile][i]);
    }
}

/* Four floats of a row, of which the first COUNT are there. */
GPU_DEVICE struct gpu_int4 product_floats(const float *x, uint32_t is_whole, uint32_t count)
{
    const int32_t *bits = (const int32_t *)x;
    struct gpu_int4 four = {0, 0, 0, 0};

    if (is_whole)
        return gpu_uniform_load16(x);
    four.x = count > 0 ? bits[0] : 0;
    four.y = count > 1 ? bits[1] : 0;
    four.z = count > 2 ? bits[2] : 0;
    four.w = count > 3 ? bits[3] : 0;
    return four;
}

/* A piece of a lane's row. */
struct product_piece {
    float numbers[GPU_PIECE_NUMBERS_MAX];
};

/* The same of floats: of piece STEP of the chunk that begins with the column *AT. IS_WHOLE: its
 * columns are all there, and in x they are at a multiple of 16 bytes. */
GPU_DEVICE void product_add_piece(const struct args_product *a, const struct gpu_format *format,
                                  const struct product_piece *weights, uint32_t tiles,
                                  const struct product_rows *rows, uint32_t *at, uint32_t step,
                                  uint32_t is_whole, struct product_sums *sums)
{
    const uint32_t count = gpu_piece_numbers(format);
    uint32_t columns = a->weights[0].columns;

    GPU_UNROLL
    for (uint32_t i = 0; i < rows->count; i++) {
        *at = product_pause(*at, step * rows->count + i);
        GPU_UNROLL
        for (uint32_t j = 0; j < count; j += 4) {
            uint32_t begin = (product_row(rows, i) * columns + *at) * (uint32_t)sizeof(float);
            uint32_t column = *at + step * count + j;
            struct gpu_int4 x =
                product_floats((const float *)((const uint8_t *)a->x + begin) + step * count + j,
                               is_whole, column < columns ? columns - column : 0);

            GPU_UNROLL
            for (uint32_t tile = 0; tile < tiles; tile++) {
                const float *weight = weights[tile].numbers + j;
                float *sum = &sums->of[tile][i];

                *sum = gpu_fma(weight[0], gpu_bits_to_float((uint32_t)x.x), *sum);
                *sum = gpu_fma(weight[1], gpu_bits_to_float((uint32_t)x.y), *sum);
                *sum = gpu_fma(weight[2], gpu_bits_to_float((uint32_t)x.z), *sum);
                *sum = gpu_fma(weight[3], gpu_bits_to_float((uint32_t)x.w), *sum);
            }
        }
    }
}

/* A step is what one call of the two above works on: a group of integers, a piece of floats. */
GPU_DEVICE uint32_t product_step_columns(const struct gpu_format *format)
{
    return gpu_format_is_float(format) ? gpu_piece_numbers(format) : GPU_GROUP_COLUMNS;
}

GPU_DEVICE uint32_t product_chunk_steps(const struct gpu_format *format)
{
    return format->chunk_groups * (GPU_GROUP_COLUMNS / product_step_columns(format));
}

/* Step STEP of the chunk CHUNK, loaded for itself. */
GPU_DEVICE void product_add_step(const struct args_product *a, const struct gpu_format *format,
                                 const struct gpu_place *places, uint32_t tiles,
                                 const struct product_rows *rows, uint32_t chunk, uint32_t step,
                                 uint32_t is_whole, struct product_sums *sums)
{
    if (gpu_format_is_float(format)) {
        uint32_t first = chunk * product_chunk_steps(format) + step;
        uint32_t at = first * gpu_piece_numbers(format);
        struct product_piece weights[GPU_MATMUL_TILES];

        GPU_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++)
            gpu_unpack_piece(format, gpu_load_piece(&places[tile], first), weights[tile].numbers);
        product_add_piece(a, format, weights, tiles, rows, &at, 0, is_whole, sums);
    } else {
        uint32_t at = chunk * format->chunk_groups + step;
        struct gpu_unpacked weights[GPU_MATMUL_TILES];

        GPU_UNROLL
        for (uint32_t tile = 0; tile < tiles; tile++) {
            struct gpu_raw_group raw = gpu_load_group(format, &places[tile], chunk, step);
            struct gpu_raw_scales scales = gpu_load_scales(format, &places[tile], chunk);

            weights[tile] = gpu_unpack(format, &raw, &scales, step);
        }
        product_add_group(a, format, weights, tiles, rows, &at, 0, sums);
    }
}

/* A whole chunk of a lane's row, as it lies in memory. */
struct product_chunk {
    struct gpu_raw_group groups[GPU_CHUNK_GROUPS_MAX];
    struct gpu_raw_scales scales;
    struct gpu_int4 pieces[GPU_CHUNK_PIECES_MAX]; /* of floats, instead */
};

GPU_DEVICE void product_load_chunk(const struct gpu_format *format, const struct gpu_place *place,
                                   uint32_t chunk, struct product_chunk *out)
{
    const uint32_t steps = product_chunk_steps(format);

    if (!gpu_format_is_float(format))
        out->scales = gpu_load_scales(format, place, chunk);
    GPU_UNROLL
    for (uint32_t step = 0; step < steps; step++) {
        if (gpu_format_is_float(format))
            out->pieces[step] = gpu_load_piece(place, chunk * steps + step);
        else
            out->groups[step] = gpu_load_group(format, place, chunk, step);
    }
}

/* All steps of the chunk CHUNK, which is RAW. */
GPU_DEVICE void product_add_chunk(const struct args_product *a, const struct gpu_format *format,
                                  const struct product_chunk *raw, const struct product_rows *rows,
                                  uint32_t chunk, struct product_sums *sums)
{
    const uint32_t steps = product_chunk_steps(format);
    uint32_t at = chunk * steps * (gpu_format_is_float(format) ? gpu_piece_numbers(format) : 1);

    GPU_UNROLL
    for (uint32_t step = 0; step < steps; step++) {
        if (gpu_format_is_float(format)) {
            struct product_piece weight;

            gpu_unpack_piece(format, raw->pieces[step], weight.numbers);
            product_add_piece(a, format, &weight, 1, rows, &at, step, 1, sums);
        } else {
            struct gpu_unpacked weight = gpu_unpack(format, &raw->groups[step], &raw->scales, step);

            product_add_group(a, format, &weight, 1, rows, &at, step, sums);
        }
    }
}

/* Columns in steps that are whole, and can be read 16 bytes at once. */
GPU_DEVICE uint32_t product_whole_columns(const struct gpu_format *format, uint32_t columns)
{
    return gpu_format_is_float(format) && columns % 4 != 0 ? 0 : columns;
}

#endif

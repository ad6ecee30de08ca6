/* Products of integers for many rows of activations, bound by arithmetic: rows lie side by side in
 * a vector, and a tile's sums stay in registers. */
#ifndef RBEE_HIP_BACKEND_CPU_MANY_H
#define RBEE_HIP_BACKEND_CPU_MANY_H

#include "hip/backend/cpu_products.h"

#if defined(__x86_64__)

enum {
    MANY_STRIP_WIDTH = 32, /* CPU_MANY_WIDTH, and two tiles of cpu_many_tiles.h */
    /* Words of a weight's strip and its offsets, in whole cache lines. */
    WEIGHT_WORDS = STRIP + 32,
};

/* What a tile is part of: words of weights by activations, or offsets by sums. */
struct strip_job {
    const int16_t *weights;     /* [weight][WEIGHT_WORDS] */
    const float *weight_units;  /* [weight] */
    const int16_t *activations; /* [group][pairs][CPU_GROUP][2] */
    uint64_t group_words;       /* from one group to the next */
    const float *units;         /* [group][CPU_GROUP] */
    float *sums;                /* [group][sums_width][CPU_GROUP] */
    uint32_t sums_width;
    uint32_t pairs;
};

/* Adds to the sums of WIDTH weights from FIRST on by GROUPS groups of activations from GROUP on;
 * both counts are constants. */
WIDE void multiply_tile(const struct strip_job *job, uint32_t first, uint32_t width, uint32_t group,
                        uint32_t groups)
{
    const int16_t *weights = job->weights + (uint64_t)first * WEIGHT_WORDS;
    const int16_t *x = job->activations + group * job->group_words;
    sums32 sum[MANY_TILE_WIDTH][MANY_TILE_GROUPS * GROUP_VECTORS];

    UNROLL
    for (uint32_t w = 0; w < width; w++) {
        UNROLL
        for (uint32_t v = 0; v < groups * GROUP_VECTORS; v++)
            sum[w][v] = sums_zero();
    }
    for (uint32_t pair = 0; pair < job->pairs; pair++, x += 2 * CPU_GROUP) {
        words values[MANY_TILE_GROUPS * GROUP_VECTORS];

        UNROLL
        for (uint32_t v = 0; v < groups * GROUP_VECTORS; v++)
            values[v] =
                words_load(x + v / GROUP_VECTORS * job->group_words + v % GROUP_VECTORS * WORDS);
        UNROLL
        for (uint32_t w = 0; w < width; w++) {
            words weight = words_pair(weights + w * WEIGHT_WORDS + 2 * pair);

            UNROLL
            for (uint32_t v = 0; v < groups * GROUP_VECTORS; v++)
                sum[w][v] = sums_add(sum[w][v], values[v], weight);
        }
    }
    UNROLL
    for (uint32_t w = 0; w < width; w++) {
        UNROLL
        for (uint32_t v = 0; v < groups * GROUP_VECTORS; v++) {
            uint32_t at = group + v / GROUP_VECTORS;
            uint32_t lane = v % GROUP_VECTORS * SUM_LANES;

            sums_scale_add(
                sum[w][v], job->weight_units[first + w], job->units + at * CPU_GROUP + lane,
                job->sums + ((uint64_t)at * job->sums_width + first + w) * CPU_GROUP + lane);
        }
    }
}

/* GROUPS is a constant. */
WIDE void multiply_groups(const struct strip_job *job, uint32_t width, uint32_t group,
                          uint32_t groups)
{
    uint32_t first = 0;

    for (; first + MANY_TILE_WIDTH <= width; first += MANY_TILE_WIDTH)
        multiply_tile(job, first, MANY_TILE_WIDTH, group, groups);
    for (; first + FEW_WIDTH <= width; first += FEW_WIDTH)
        multiply_tile(job, first, FEW_WIDTH, group, groups);
    for (; first < width; first++)
        multiply_tile(job, first, 1, group, groups);
}

/* ROWS of a group, up to eight, from FROM [width][CPU_GROUP] on. */
WIDE void put_eight_rows(const float *from, uint32_t rows, uint32_t width, float *out)
{
    uint32_t w = 0;

    for (; rows == 8 && w + 8 <= width; w += 8)
        transpose_eight(from + (uint64_t)w * CPU_GROUP, CPU_GROUP, out + w, width);
    for (; w < width; w++) {
        for (uint32_t r = 0; r < rows; r++)
            out[(uint64_t)r * width + w] = from[w * CPU_GROUP + r];
    }
}

WIDE void put_sums(const struct cpu_product *product)
{
    uint64_t width = product->width;

    for (uint32_t r = 0; r < product->x->row_count; r += 8) {
        const float *from = product->sums + r / CPU_GROUP * width * CPU_GROUP + r % CPU_GROUP;
        uint32_t left = product->x->row_count - r;

        put_eight_rows(from, left < 8 ? left : 8, product->width, product->out + r * width);
    }
}

/* What a strip of up to MANY_STRIP_WIDTH weights is multiplied with. */
struct many_strip {
    _Alignas(LINE_BYTES) int16_t weights[MANY_STRIP_WIDTH][WEIGHT_WORDS];
    float units[MANY_STRIP_WIDTH];
    float offset_units[MANY_STRIP_WIDTH];
};

/* Of weights FIRST to FIRST + ROWS_AT_ONCE, or as many as there are. */
WIDE void many_words(uint32_t type, const struct cpu_product *product, uint32_t first,
                     uint32_t strip_index, uint32_t parts, struct many_strip *out)
{
    const uint8_t *strips[ROWS_AT_ONCE];
    struct strip_rows prepared;

    for (uint32_t w = 0; w < ROWS_AT_ONCE; w++) {
        uint32_t row = first + w < product->width ? first + w : product->width - 1;

        strips[w] =
            product->weights + row * product->row_bytes + (uint64_t)strip_index * strip_bytes(type);
    }
    prepare_strips(type, strips, parts, &prepared);
    for (uint32_t w = 0; w < ROWS_AT_ONCE; w++) {
        int16_t *row = out->weights[first + w];

        strip_to_words(type, strips[w], parts, &prepared, w, row);
        if (has_exact_words(type))
            memcpy(row + STRIP, prepared.offsets[w], sizeof(prepared.offsets[w]));
    }
    memcpy(out->units + first, prepared.units, sizeof(prepared.units));
    if (has_exact_words(type))
        memcpy(out->offset_units + first, prepared.offset_units, sizeof(prepared.offset_units));
}

/* A function of its own: all types share it. */
static NOINLINE WIDE_TARGET void multiply_all(const struct strip_job *job, uint32_t width,
                                              uint32_t groups)
{
    uint32_t group = 0;

    for (; group + MANY_TILE_GROUPS <= groups; group += MANY_TILE_GROUPS)
        multiply_groups(job, width, group, MANY_TILE_GROUPS);
    for (; group < groups; group++)
        multiply_groups(job, width, group, 1);
}

/* Where words are exact, what offsets are worth is added behind them. JOB is that of the words. */
WIDE void multiply_offsets_of(const struct many_strip *strip, const struct strip_job *words_job,
                              const int16_t *sums_of_x, uint32_t width, uint32_t groups)
{
    struct strip_job job = *words_job;

    job.weights = strip->weights[0] + STRIP;
    job.weight_units = strip->offset_units;
    job.activations = sums_of_x;
    job.group_words = 2 * CPU_STRIP_SUMS * CPU_GROUP;
    job.pairs = CPU_STRIP_SUMS;
    multiply_all(&job, width, groups);
}

/* Strip STRIP_INDEX, which has PARTS parts: a constant but for the last one. */
WIDE void many_add_strip(uint32_t type, const struct cpu_product *product, uint32_t strip_index,
                         uint32_t parts)
{
    const struct cpu_integers *x = product->x;
    uint32_t groups = (x->row_count + CPU_GROUP - 1) / CPU_GROUP;
    uint64_t place = (uint64_t)strip_index * groups * CPU_GROUP;
    struct many_strip strip;
    struct strip_job job = {
        .weights = strip.weights[0],
        .weight_units = strip.units,
        .activations = x->values + place * STRIP,
        .group_words = STRIP * CPU_GROUP,
        .units = x->units + place,
        .sums = product->sums,
        .sums_width = product->width,
        .pairs = whole_parts(parts) * (BLOCK / 2),
    };

    for (uint32_t w = 0; w < product->width; w += ROWS_AT_ONCE)
        many_words(type, product, w, strip_index, parts, &strip);
    multiply_all(&job, product->width, groups);
    if (has_exact_words(type))
        multiply_offsets_of(&strip, &job, x->sums + place * 2 * CPU_STRIP_SUMS, product->width,
                            groups);
}

WIDE void many_of_type(uint32_t type, const struct cpu_product *product)
{
    uint32_t full = product->x->columns / STRIP;
    uint32_t rest = strip_parts(product->x->columns % STRIP);
    uint64_t groups = (product->x->row_count + CPU_GROUP - 1) / CPU_GROUP;

    assert(product->width <= CPU_MANY_WIDTH);
    memset(product->sums, 0, groups * product->width * CPU_GROUP * sizeof(*product->sums));
    for (uint32_t strip = 0; strip < full; strip++)
        many_add_strip(type, product, strip, STRIP_PARTS);
    if (has_small_blocks(type) && rest != 0)
        many_add_strip(type, product, full, rest);
    put_sums(product);
}

/* The same loops once for each type, so that the choice is outside of them. */
#define MANY_CASE(name)                                                                            \
    case QUANT_##name:                                                                             \
        many_of_type(QUANT_##name, product);                                                       \
        break;

#endif

#endif

/* Products of integers for many rows of activations, on tiles of bytes: bit for bit those of
 * cpu_many.h.
 *
 * A word is 64 * high + low, low from 0 to 63; both fit a byte, and so does high + low. With hh,
 * ll and bb the sums of products of the highs, of the lows and of those sums of both, the sum of
 * products of words is
 *
 *      4096 * hh + 64 * (bb - hh - ll) + ll
 *
 * so three products of bytes do, not four. All are exact, and what comes of them is what
 * cpu_many.h has, within 32 bits.
 *
 * Two tiles of weights are multiplied by two of activations, a piece of the words after the other:
 * four sums, which need not wait for each other, and a load for each product. What was summed for
 * two groups of activations becomes floats while the next two are multiplied: the processor does
 * both at once, if they stand close together. */
#ifndef RBEE_HIP_BACKEND_CPU_MANY_TILES_H
#define RBEE_HIP_BACKEND_CPU_MANY_TILES_H

#include "hip/backend/cpu_many.h"
#include "hip/backend/cpu_tiles.h"

#if defined(__x86_64__)

enum {
    PIECES = 3, /* of a word: high, low, and both added up */
    STEP_COLUMNS = TILE_ROW_BYTES,
    STRIP_STEPS = STRIP / STEP_COLUMNS,
    ROW_PIECES = CPU_STRIP_PIECES,         /* a row's strip: [PIECES][STRIP] */
    GROUP_PIECES = CPU_GROUP * ROW_PIECES, /* [PIECES][STRIP_STEPS] tiles */
    PAIR = 2, /* tiles of weights, and groups of activations, that are multiplied at once */
    PAIR_WIDTH = PAIR * TILE_ROWS,
};

_Static_assert(CPU_ACTIVATION_MAX < 64 * 64 && CPU_WEIGHT_MAX < 32 * 64,
               "both pieces of a word, added up, fit a byte");
_Static_assert((int)MANY_STRIP_WIDTH >= (int)PAIR_WIDTH, "a strip has room for two tiles");
_Static_assert((int)CPU_GROUP == (int)TILE_ROWS, "tiles are full");

/* Of numbers that are none (to_integers()) the high piece is as large as it can be: infinity keeps
 * its sign. */
WIDE void strip_to_pieces(const int16_t *strip, int8_t *pieces)
{
    UNROLL
    for (uint32_t i = 0; i < STRIP; i += 2 * WORDS)
        words_to_pieces(strip + i, pieces + i, pieces + STRIP + i, pieces + 2 * STRIP + i);
}

/* Of a group of activations: CPU_GROUP rows, side by side. */
WIDE void rows_to_pieces(const int16_t *rows, void *group)
{
    _Alignas(LINE_BYTES) int8_t pieces[CPU_GROUP][ROW_PIECES];

    for (uint32_t r = 0; r < CPU_GROUP; r++)
        strip_to_pieces(rows + (uint64_t)r * STRIP, pieces[r]);
    interleave_rows(pieces, ROW_PIECES / FOUR_BYTES, group);
}

/* Of two groups of activations, by piece. */
struct tile_sums {
    _Alignas(LINE_BYTES) int32_t of[PIECES][PAIR][PAIR_WIDTH][CPU_GROUP];
};

struct tile_job {
    struct strip_job strip; /* activations are pieces here */
    const int8_t *pieces;   /* of weights: [PAIR_WIDTH][ROW_PIECES] */
    uint32_t width;         /* up to PAIR_WIDTH */
    uint32_t steps;
};

/* ---- sums of pieces to floats ---- */

/* Of one group, PLACE of those in SUMS, and weights FIRST to END - 1. */
WIDE void finish_rows(const struct tile_job *job, const struct tile_sums *sums, uint32_t place,
                      uint32_t group, uint32_t first, uint32_t end)
{
    const float *weight_units = job->strip.weight_units;
    const float *units = job->strip.units + (uint64_t)group * CPU_GROUP;
    float *to = job->strip.sums + (uint64_t)group * job->strip.sums_width * CPU_GROUP;
    uint64_t last = end < job->width ? end : job->width;

    for (uint64_t w = first; w < last; w++) {
        UNROLL
        for (uint32_t lane = 0; lane < CPU_GROUP; lane += SUM_LANES) {
            sums32 sum = sums_of_pieces(sums->of[0][place][w] + lane, sums->of[1][place][w] + lane,
                                        sums->of[2][place][w] + lane);

            sums_scale_add(sum, weight_units[w], units + lane, to + w * CPU_GROUP + lane);
        }
    }
}

/* STEP of STRIP_STEPS of what is to be done for GROUPS groups from GROUP on. */
WIDE void finish_step(const struct tile_job *job, const struct tile_sums *sums, uint32_t group,
                      uint32_t groups, uint32_t step)
{
    enum { ROWS = PAIR_WIDTH / STRIP_STEPS };

    for (uint32_t place = 0; place < groups; place++)
        finish_rows(job, sums, place, group + place, step * ROWS, (step + 1) * ROWS);
}

/* ---- tiles 0 to 3 are sums, 4 and 5 weights, 6 and 7 activations; how many TILES of weights and
 * GROUPS of activations there are, 1 or 2, is a constant ---- */

WIDE void zero_sums(uint32_t tiles, uint32_t groups)
{
    TILE_ZERO(0);
    if (tiles > 1)
        TILE_ZERO(1);
    if (groups > 1)
        TILE_ZERO(2);
    if (tiles > 1 && groups > 1)
        TILE_ZERO(3);
}

WIDE void multiply_step(const int8_t *weights, const int8_t *x, uint32_t tiles, uint32_t groups)
{
    TILE_LOAD(4, weights, ROW_PIECES);
    TILE_LOAD(6, x, TILE_ROW_BYTES);
    TILE_ADD_PRODUCT(0, 4, 6);
    if (tiles > 1) {
        TILE_LOAD(5, weights + TILE_ROWS * ROW_PIECES, ROW_PIECES);
        TILE_ADD_PRODUCT(1, 5, 6);
    }
    if (groups > 1) {
        TILE_LOAD(7, x + GROUP_PIECES, TILE_ROW_BYTES);
        TILE_ADD_PRODUCT(2, 4, 7);
    }
    if (tiles > 1 && groups > 1)
        TILE_ADD_PRODUCT(3, 5, 7);
}

WIDE void store_sums(int32_t to[PAIR][PAIR_WIDTH][CPU_GROUP], uint32_t tiles, uint32_t groups)
{
    TILE_STORE(0, to[0][0], TILE_ROW_BYTES);
    if (tiles > 1)
        TILE_STORE(1, to[0][TILE_ROWS], TILE_ROW_BYTES);
    if (groups > 1)
        TILE_STORE(2, to[1][0], TILE_ROW_BYTES);
    if (tiles > 1 && groups > 1)
        TILE_STORE(3, to[1][TILE_ROWS], TILE_ROW_BYTES);
}

/* The weights' strip by GROUPS groups of activations from GROUP on, to SUMS, after those of the two
 * groups before are finished. */
WIDE void multiply_block(const struct tile_job *job, struct tile_sums *sums, uint32_t group,
                         uint32_t tiles, uint32_t groups)
{
    const int8_t *x = (const int8_t *)job->strip.activations + (uint64_t)group * GROUP_PIECES;

    for (uint32_t piece = 0; piece < PIECES; piece++) {
        uint32_t left = piece == 0 && group > 0 ? STRIP_STEPS : 0; /* steps to finish */

        zero_sums(tiles, groups);
        for (uint32_t step = 0; step < job->steps; step++) {
            multiply_step(job->pieces + piece * STRIP + step * STEP_COLUMNS,
                          x + piece * (STRIP_STEPS * TILE_BYTES) + step * TILE_BYTES, tiles,
                          groups);
            if (left > 0)
                finish_step(job, sums, group - PAIR, PAIR, --left);
        }
        while (left > 0)
            finish_step(job, sums, group - PAIR, PAIR, --left);
        store_sums(sums->of[piece], tiles, groups);
    }
}

/* All groups of activations. */
WIDE void multiply_blocks(const struct tile_job *job, uint32_t groups, uint32_t tiles)
{
    struct tile_sums sums;
    uint32_t group = 0;
    uint32_t last = (groups - 1) / PAIR * PAIR;

    for (; group + PAIR <= groups; group += PAIR)
        multiply_block(job, &sums, group, tiles, PAIR);
    if (group < groups)
        multiply_block(job, &sums, group, tiles, 1);
    for (uint32_t step = 0; step < STRIP_STEPS; step++)
        finish_step(job, &sums, last, groups - last, step);
}

/* Functions of their own: all types share them. */
static NOINLINE WIDE_TARGET void multiply_one_tile(const struct tile_job *job, uint32_t groups)
{
    multiply_blocks(job, groups, 1);
}

static NOINLINE WIDE_TARGET void multiply_two_tiles(const struct tile_job *job, uint32_t groups)
{
    multiply_blocks(job, groups, PAIR);
}

/* What a strip of up to PAIR_WIDTH weights is multiplied with; rows of a tile that are no weight's
 * may have anything. */
struct tile_strip {
    struct many_strip strip;
    _Alignas(LINE_BYTES) int8_t pieces[PAIR_WIDTH][ROW_PIECES];
};

/* Weights FIRST to FIRST + PAIR_WIDTH, or as many as there are, of strip STRIP_INDEX, which has
 * PARTS parts: a constant but for the last one. OUT's words behind those are zeroes, or were words
 * of another strip: activations are zeroes there. */
WIDE void tiles_add_strip(uint32_t type, const struct cpu_product *product, uint32_t first,
                          uint32_t strip_index, uint32_t parts, struct tile_strip *out)
{
    const struct cpu_integers *x = product->x;
    uint32_t groups = (x->row_count + CPU_GROUP - 1) / CPU_GROUP;
    uint64_t place = (uint64_t)strip_index * groups * CPU_GROUP;
    uint32_t left = product->width - first;
    struct cpu_product part = *product;
    struct tile_job job = {
        .strip = {.weight_units = out->strip.units,
                  .activations = x->values + place * (ROW_PIECES / sizeof(*x->values)),
                  .units = x->units + place,
                  .sums = product->sums + (uint64_t)first * CPU_GROUP,
                  .sums_width = product->width},
        .pieces = out->pieces[0],
        .width = left < PAIR_WIDTH ? left : PAIR_WIDTH,
        .steps = (parts * BLOCK + STEP_COLUMNS - 1) / STEP_COLUMNS,
    };

    part.weights += first * product->row_bytes;
    part.width = job.width;
    for (uint32_t w = 0; w < job.width; w += ROWS_AT_ONCE)
        many_words(type, &part, w, strip_index, parts, &out->strip);
    for (uint32_t w = 0; w < job.width; w++)
        strip_to_pieces(out->strip.weights[w], out->pieces[w]);
    if (job.width > TILE_ROWS)
        multiply_two_tiles(&job, groups);
    else
        multiply_one_tile(&job, groups);
    if (has_exact_words(type))
        multiply_offsets_of(&out->strip, &job.strip, x->sums + place * 2 * CPU_STRIP_SUMS,
                            job.width, groups);
}

WIDE void tiles_add_strips(uint32_t type, const struct cpu_product *product, uint32_t strip_index,
                           uint32_t parts, struct tile_strip *strip)
{
    for (uint32_t first = 0; first < product->width; first += PAIR_WIDTH)
        tiles_add_strip(type, product, first, strip_index, parts, strip);
}

WIDE void tiles_of_type(uint32_t type, const struct cpu_product *product)
{
    uint32_t full = product->x->columns / STRIP;
    uint32_t rest = strip_parts(product->x->columns % STRIP);
    uint64_t groups = (product->x->row_count + CPU_GROUP - 1) / CPU_GROUP;
    struct tile_strip strip;

    memset(&strip, 0, sizeof(strip));
    memset(product->sums, 0, groups * product->width * CPU_GROUP * sizeof(*product->sums));
    for (uint32_t i = 0; i < full; i++)
        tiles_add_strips(type, product, i, STRIP_PARTS, &strip);
    if (has_small_blocks(type) && rest != 0)
        tiles_add_strips(type, product, full, rest, &strip);
    put_sums(product);
}

/* The same loops once for each type, so that the choice is outside of them. */
#define TILES_CASE(name)                                                                           \
    case QUANT_##name:                                                                             \
        tiles_of_type(QUANT_##name, product);                                                      \
        break;

static WIDE_TARGET void multiply_by_tiles(const struct cpu_product *product)
{
    assert(product->width <= CPU_TILE_WIDTH);
    tiles_on();
    switch (product->type) {
        FOR_EACH_BLOCK_TYPE(TILES_CASE)
    default:
        assert(false && "a type without blocks");
    }
    tiles_off();
}

#endif

#endif

/* The plain encoders of the tensor types, the inverse of hip/model/quant*.c: each number to the
 * nearest that its block has, scales from the largest. Valid, not the best. */
#ifndef RBEE_TESTS_QUANT_WRITER_H
#define RBEE_TESTS_QUANT_WRITER_H

#include "common/attr.h"
#include "common/buf.h"
#include "hip/model/quant.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void writer_check(int result)
{
    if (result != 0)
        abort();
}

/* ---- helpers ---- */

enum { WRITER_BLOCK_MAX_BYTES = 210 }; /* Q6_K, of those that are made here */

static inline void writer_half(uint8_t *place, float value)
{
    uint16_t half = quant_f32_to_f16(value);

    memcpy(place, &half, sizeof(half));
}

/* What the half of VALUE reads as: numbers are chosen for the scale that is stored. */
static inline float writer_stored(float value)
{
    return quant_f16_to_f32(quant_f32_to_f16(value));
}

/* X / STEP to the nearest whole number from LOW to HIGH. */
static inline int writer_round(float x, float step, int low, int high)
{
    float q = step == 0.0f ? 0.0f : roundf(x / step);

    return (int)fmaxf((float)low, fminf((float)high, q));
}

/* Of the largest magnitude, with its sign. */
static inline float writer_largest(const float *x, size_t count)
{
    float largest = 0.0f;

    for (size_t i = 0; i < count; i++) {
        if (fabsf(x[i]) > fabsf(largest))
            largest = x[i];
    }
    return largest;
}

static inline void writer_range(const float *x, size_t count, float *out_smallest,
                                float *out_largest)
{
    *out_smallest = INFINITY;
    *out_largest = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        *out_smallest = fminf(*out_smallest, x[i]);
        *out_largest = fmaxf(*out_largest, x[i]);
    }
}

/* The place of the value nearest to X / STEP. */
static inline int writer_nearest(float x, float step, const int8_t values[16])
{
    int best = 0;

    for (int i = 1; step != 0.0f && i < 16; i++) {
        if (fabsf(x / step - (float)values[i]) < fabsf(x / step - (float)values[best]))
            best = i;
    }
    return best;
}

/* Bits of element I of 32 as nibbles: low ones first, then high ones. */
static inline void writer_put_nibble(uint8_t *nibbles, size_t i, int q)
{
    nibbles[i % 16] |= (uint8_t)((q & 15) << (i < 16 ? 0 : 4));
}

/* ---- blocks of 32, to a zeroed block ---- */

static inline void writer_block_q8_0(uint8_t *block, const float *x)
{
    float step = writer_stored(fabsf(writer_largest(x, 32)) / 127.0f);

    writer_half(block, step);
    for (size_t i = 0; i < 32; i++)
        block[2 + i] = (uint8_t)writer_round(x[i], step, -127, 127);
}

static inline void writer_block_q4_0(uint8_t *block, const float *x)
{
    float step = writer_stored(fabsf(writer_largest(x, 32)) / 7.0f);

    writer_half(block, step);
    for (size_t i = 0; i < 32; i++)
        writer_put_nibble(block + 2, i, writer_round(x[i], step, -8, 7) + 8);
}

static inline void writer_block_q5_0(uint8_t *block, const float *x)
{
    float step = writer_stored(writer_largest(x, 32) / -16.0f);

    writer_half(block, step);
    for (size_t i = 0; i < 32; i++) {
        int q = writer_round(x[i], step, -16, 15) + 16;

        writer_put_nibble(block + 6, i, q);
        block[2 + i / 8] |= (uint8_t)(q >> 4 << i % 8);
    }
}

/* Q4_1 and Q5_1: HIGHEST is the largest number; fifth bits, where there are any, come before the
 * nibbles. */
static inline void writer_block_with_minimum(uint8_t *block, const float *x, int highest)
{
    uint8_t *nibbles = block + (highest == 31 ? 8 : 4);
    float smallest = 0.0f;
    float largest = 0.0f;
    float step = 0.0f;

    writer_range(x, 32, &smallest, &largest);
    step = writer_stored((largest - smallest) / (float)highest);
    writer_half(block, step);
    writer_half(block + 2, smallest);
    for (size_t i = 0; i < 32; i++) {
        int q = writer_round(x[i] - writer_stored(smallest), step, 0, highest);

        writer_put_nibble(nibbles, i, q);
        if (highest == 31)
            block[4 + i / 8] |= (uint8_t)(q >> 4 << i % 8);
    }
}

static inline void writer_block_iq4_nl(uint8_t *block, const float *x)
{
    float step = writer_stored(writer_largest(x, 32) / -127.0f);

    writer_half(block, step);
    for (size_t i = 0; i < 32; i++)
        writer_put_nibble(block + 2, i, writer_nearest(x[i], step, QUANT_IQ4_VALUES));
}

/* The smallest power of two with which the largest four-bit float, 6, is not too small. */
static inline void writer_block_mxfp4(uint8_t *block, const float *x)
{
    float largest = fabsf(writer_largest(x, 32));
    int exponent = largest == 0.0f ? 0 : (int)ceilf(log2f(largest / 6.0f)) + 127;

    block[0] = (uint8_t)(exponent < 0 ? 0 : exponent);
    for (size_t i = 0; i < 32; i++)
        writer_put_nibble(block + 1, i,
                          writer_nearest(x[i], quant_e8m0_halved(block[0]), QUANT_E2M1_DOUBLED));
}

/* ---- blocks of 256, to a zeroed block ---- */

/* A type's scales: COUNT of them, each times the block's own, with numbers from -LOWEST on. */
struct writer_scales {
    size_t count;
    int highest_scale;
    float block_scale; /* as stored */
    int scales[16];
};

/* Signed scales, such that the number of largest magnitude of each becomes LOWEST. */
static inline void writer_choose_scales(struct writer_scales *out, const float *x, float lowest)
{
    size_t width = 256 / out->count;
    float steps[16];

    for (size_t s = 0; s < out->count; s++)
        steps[s] = writer_largest(x + s * width, width) / lowest;
    out->block_scale =
        writer_stored(fabsf(writer_largest(steps, out->count)) / (float)out->highest_scale);
    for (size_t s = 0; s < out->count; s++)
        out->scales[s] =
            writer_round(steps[s], out->block_scale, -out->highest_scale, out->highest_scale);
}

static inline void writer_put_scale_q3_k(uint8_t *packed, size_t s, int scale)
{
    packed[s % 8] |= (uint8_t)((scale & 15) << (s < 8 ? 0 : 4));
    packed[8 + s % 4] |= (uint8_t)(scale >> 4 << 2 * (s / 4));
}

static inline void writer_block_q3_k(uint8_t *block, const float *x)
{
    struct writer_scales chosen = {.count = 16, .highest_scale = 31};

    writer_choose_scales(&chosen, x, -4.0f);
    writer_half(block + 108, chosen.block_scale);
    for (size_t s = 0; s < 16; s++)
        writer_put_scale_q3_k(block + 96, s, chosen.scales[s] + 32);
    for (size_t i = 0; i < 256; i++) {
        float step = chosen.block_scale * (float)chosen.scales[i / 16];
        int q = writer_round(x[i], step, -4, 3) + 4;

        block[32 + i / 128 * 32 + i % 32] |= (uint8_t)((q & 3) << i % 128 / 32 * 2);
        block[i % 32] |= (uint8_t)(q >> 2 << i / 32);
    }
}

static inline void writer_block_q6_k(uint8_t *block, const float *x)
{
    struct writer_scales chosen = {.count = 16, .highest_scale = 127};

    writer_choose_scales(&chosen, x, -32.0f);
    writer_half(block + 208, chosen.block_scale);
    for (size_t i = 0; i < 256; i++) {
        float step = chosen.block_scale * (float)chosen.scales[i / 16];
        int q = writer_round(x[i], step, -32, 31) + 32;

        block[192 + i / 16] = (uint8_t)chosen.scales[i / 16];
        block[i / 128 * 64 + i % 64] |= (uint8_t)((q & 15) << i % 128 / 64 * 4);
        block[128 + i / 128 * 32 + i % 32] |= (uint8_t)(q >> 4 << i % 128 / 32 * 2);
    }
}

static inline void writer_block_iq4_xs(uint8_t *block, const float *x)
{
    struct writer_scales chosen = {.count = 8, .highest_scale = 31};

    writer_choose_scales(&chosen, x, -127.0f);
    writer_half(block, chosen.block_scale);
    for (size_t s = 0; s < 8; s++) {
        int scale = chosen.scales[s] + 32;

        block[4 + s / 2] |= (uint8_t)((scale & 15) << s % 2 * 4);
        block[2 + s / 4] |= (uint8_t)(scale >> 4 << s % 4 * 2);
    }
    for (size_t i = 0; i < 256; i++) {
        float step = chosen.block_scale * (float)chosen.scales[i / 32];

        writer_put_nibble(block + 8 + i / 32 * 16, i % 32,
                          writer_nearest(x[i], step, QUANT_IQ4_VALUES));
    }
}

/* Scales and minima, neither negative: x = scale * q - minimum. */
struct writer_minima {
    struct writer_scales scales;
    float block_minimum; /* as stored */
    int minima[16];
};

static inline void writer_choose_minima(struct writer_minima *out, const float *x, int highest)
{
    size_t count = out->scales.count;
    size_t width = 256 / count;
    float steps[16];
    float below[16];

    for (size_t s = 0; s < count; s++) {
        float largest = 0.0f;

        writer_range(x + s * width, width, &below[s], &largest);
        below[s] = fmaxf(0.0f, -below[s]);
        steps[s] = fmaxf(0.0f, largest + below[s]) / (float)highest;
    }
    out->scales.block_scale =
        writer_stored(writer_largest(steps, count) / (float)out->scales.highest_scale);
    out->block_minimum =
        writer_stored(writer_largest(below, count) / (float)out->scales.highest_scale);
    for (size_t s = 0; s < count; s++) {
        out->scales.scales[s] =
            writer_round(steps[s], out->scales.block_scale, 0, out->scales.highest_scale);
        out->minima[s] = writer_round(below[s], out->block_minimum, 0, out->scales.highest_scale);
    }
}

static inline int writer_number(const struct writer_minima *chosen, size_t i, float x, int highest)
{
    size_t s = i / (256 / chosen->scales.count);
    float step = chosen->scales.block_scale * (float)chosen->scales.scales[s];
    float minimum = chosen->block_minimum * (float)chosen->minima[s];

    return writer_round(x + minimum, step, 0, highest);
}

static inline void writer_block_q2_k(uint8_t *block, const float *x)
{
    struct writer_minima chosen = {.scales = {.count = 16, .highest_scale = 15}};

    writer_choose_minima(&chosen, x, 3);
    writer_half(block + 80, chosen.scales.block_scale);
    writer_half(block + 82, chosen.block_minimum);
    for (size_t s = 0; s < 16; s++)
        block[s] = (uint8_t)(chosen.scales.scales[s] | chosen.minima[s] << 4);
    for (size_t i = 0; i < 256; i++)
        block[16 + i / 128 * 32 + i % 32] |=
            (uint8_t)(writer_number(&chosen, i, x[i], 3) << i % 128 / 32 * 2);
}

static inline void writer_put_scales_q4_k(uint8_t *packed, size_t s, int scale, int minimum)
{
    if (s < 4) {
        packed[s] |= (uint8_t)scale;
        packed[4 + s] |= (uint8_t)minimum;
        return;
    }
    packed[4 + s] |= (uint8_t)((scale & 15) | (minimum & 15) << 4);
    packed[s - 4] |= (uint8_t)(scale >> 4 << 6);
    packed[s] |= (uint8_t)(minimum >> 4 << 6);
}

/* Q4_K and Q5_K: HIGHEST is the largest number; fifth bits, where there are any, come before the
 * nibbles. */
static inline void writer_block_q4_k(uint8_t *block, const float *x, int highest)
{
    struct writer_minima chosen = {.scales = {.count = 8, .highest_scale = 63}};
    uint8_t *nibbles = block + (highest == 31 ? 48 : 16);

    writer_choose_minima(&chosen, x, highest);
    writer_half(block, chosen.scales.block_scale);
    writer_half(block + 2, chosen.block_minimum);
    for (size_t s = 0; s < 8; s++)
        writer_put_scales_q4_k(block + 4, s, chosen.scales.scales[s], chosen.minima[s]);
    for (size_t i = 0; i < 256; i++) {
        int q = writer_number(&chosen, i, x[i], highest);

        nibbles[i / 64 * 32 + i % 32] |= (uint8_t)((q & 15) << i % 64 / 32 * 4);
        if (highest == 31)
            block[16 + i % 32] |= (uint8_t)(q >> 4 << i / 32);
    }
}

/* ---- any type ---- */

static inline void writer_block(uint32_t type, uint8_t *block, const float *x)
{
    switch (type) {
    case QUANT_Q8_0:
        writer_block_q8_0(block, x);
        break;
    case QUANT_Q4_0:
        writer_block_q4_0(block, x);
        break;
    case QUANT_Q4_1:
        writer_block_with_minimum(block, x, 15);
        break;
    case QUANT_Q5_0:
        writer_block_q5_0(block, x);
        break;
    case QUANT_Q5_1:
        writer_block_with_minimum(block, x, 31);
        break;
    case QUANT_IQ4_NL:
        writer_block_iq4_nl(block, x);
        break;
    case QUANT_MXFP4:
        writer_block_mxfp4(block, x);
        break;
    case QUANT_Q2_K:
        writer_block_q2_k(block, x);
        break;
    case QUANT_Q3_K:
        writer_block_q3_k(block, x);
        break;
    case QUANT_Q4_K:
        writer_block_q4_k(block, x, 15);
        break;
    case QUANT_Q5_K:
        writer_block_q4_k(block, x, 31);
        break;
    case QUANT_Q6_K:
        writer_block_q6_k(block, x);
        break;
    case QUANT_IQ4_XS:
        writer_block_iq4_xs(block, x);
        break;
    default:
        abort();
    }
}

/* Appends COUNT values as blocks of TYPE, one of those with a reader; a multiple of its block. */
static inline void writer_encode(struct buf *out, uint32_t type, const float *x, size_t count)
{
    const struct quant_info *info = quant_info(type);

    if (count % info->block_elements != 0)
        abort();
    for (size_t i = 0; i < count; i += info->block_elements) {
        uint8_t block[WRITER_BLOCK_MAX_BYTES] = {0};
        uint16_t half = type == QUANT_F16 ? quant_f32_to_f16(x[i]) : quant_f32_to_bf16(x[i]);

        if (type == QUANT_F32)
            memcpy(block, &x[i], sizeof(x[i]));
        else if (type == QUANT_F16 || type == QUANT_BF16)
            memcpy(block, &half, sizeof(half));
        else
            writer_block(type, block, x + i);
        writer_check(buf_add(out, block, info->block_bytes));
    }
}

/* Appends the row of COLUMNS that lies BACK rows before the end. */
static inline void writer_repeat(struct buf *out, uint32_t type, size_t columns, size_t back)
{
    const struct quant_info *info = quant_info(type);
    size_t row_bytes = columns / info->block_elements * info->block_bytes;

    writer_check(buf_reserve(out, row_bytes));
    memcpy(out->data + out->len, out->data + out->len - back * row_bytes, row_bytes);
    out->len += row_bytes;
}

#endif

/* What the CPU's products of integers share, for vectors of any width: weights and activations as
 * integers. cpu_avx2_products.c and cpu_avx512.c include it once each, with the loops, cpu_few.h
 * and cpu_many.h. What is computed: struct cpu_product. */
#ifndef RBEE_HIP_BACKEND_CPU_PRODUCTS_H
#define RBEE_HIP_BACKEND_CPU_PRODUCTS_H

#include "hip/backend/cpu_vector.h"

#if defined(__x86_64__)

#include <assert.h>
#include <string.h>

enum {
    FEW_WIDTH = ROWS_AT_ONCE, /* of a weight */
    SUM_LANES = WORDS / 2,
    GROUP_VECTORS = CPU_GROUP / SUM_LANES,
    PREFETCH_BYTES = 1024, /* hip/SPEED.md */
    LINE_BYTES = 64,
    FOUR_BYTES = 4, /* a pair of words */
};

/* PARTS, and the zeroes that make them as many as are put at once. */
WIDE uint32_t whole_parts(uint32_t parts)
{
    return (parts + PARTS_AT_ONCE - 1) / PARTS_AT_ONCE * PARTS_AT_ONCE;
}

/* Row ROW of what was prepared: its words, in the order that to_integers() has, too. */
WIDE void strip_to_words(uint32_t type, const uint8_t *strip, uint32_t parts,
                         const struct strip_rows *prepared, uint32_t row, int16_t *out)
{
    const struct word_scales *scales = &prepared->scales[row];

    FOR_EACH_PART
    for (uint32_t part = 0; part < STRIP_PARTS; part += PARTS_AT_ONCE) {
        words both[2];

        if (part >= parts)
            continue;
        words_of_parts(type, strip, part, parts - part, scales, both);
        words_store(out + part * BLOCK, both[0]);
        words_store(out + part * BLOCK + WORDS, both[1]);
    }
}

/* ---- four bytes at a time ---- */

/* Two of 128 bits, each 64 of A and then of B. */
WIDE __m256 halves_low(__m256 a, __m256 b)
{
    return _mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0));
}

WIDE __m256 halves_high(__m256 a, __m256 b)
{
    return _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2));
}

/* Eight rows of eight times four bytes: row i of the one is column i of the other. Rows are STRIDE
 * times four bytes apart. */
WIDE void transpose_eight(const float *from, uint64_t stride, float *to, uint64_t to_stride)
{
    __m256 rows[8]; /* of which the lower and the upper halves are four columns each */
    __m256 pairs[8];

    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        rows[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * stride)),
                                       _mm_loadu_ps(from + (i + 4) * stride), 1);
        rows[i + 4] =
            _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * stride + 4)),
                                 _mm_loadu_ps(from + (i + 4) * stride + 4), 1);
    }
    UNROLL
    for (uint32_t i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    UNROLL
    for (uint32_t i = 0; i < 8; i += 4) {
        _mm256_storeu_ps(to + i * to_stride, halves_low(pairs[i], pairs[i + 2]));
        _mm256_storeu_ps(to + (i + 1) * to_stride, halves_high(pairs[i], pairs[i + 2]));
        _mm256_storeu_ps(to + (i + 2) * to_stride, halves_low(pairs[i + 1], pairs[i + 3]));
        _mm256_storeu_ps(to + (i + 3) * to_stride, halves_high(pairs[i + 1], pairs[i + 3]));
    }
}

/* CPU_GROUP rows of COUNT times four bytes, a multiple of 8: side by side. */
WIDE void interleave_rows(const void *rows, uint32_t count, void *group)
{
    const float *from = rows;
    float *to = group;

    for (uint32_t i = 0; i < count; i += 8) {
        for (uint32_t row = 0; row < CPU_GROUP; row += 8)
            transpose_eight(from + (uint64_t)row * count + i, count,
                            to + (uint64_t)i * CPU_GROUP + row, CPU_GROUP);
    }
}

/* ---- activations ---- */

/* Eight floats to values; larger ones than 16 bits hold become the largest of those. */
WIDE __m128i eight_values(const float *x, __m256 inverse)
{
    __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));

    return _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}

/* Where the words of columns AT to AT + 7 are: see words_of_parts(). */
WIDE uint32_t place_of(uint32_t at)
{
    uint32_t within = at % (2 * WORDS);

    return at - within + within / 8 % 2 * WORDS + within / 16 * 8;
}

/* The sum of 32 values, in parts of up to four columns, as a pair of sums. */
WIDE void put_sum(__m128i fours, int16_t *out)
{
    __m128i two = _mm_add_epi32(fours, _mm_shuffle_epi32(fours, _MM_SHUFFLE(1, 0, 3, 2)));
    __m128i one = _mm_add_epi32(two, _mm_shuffle_epi32(two, _MM_SHUFFLE(2, 3, 0, 1)));
    int32_t sum = _mm_cvtsi128_si32(one);
    int32_t below = sum & (CPU_SUM_UNIT - 1);

    out[0] = (int16_t)below;
    out[1] = (int16_t)((sum - below) / CPU_SUM_UNIT);
}

WIDE float largest_activation(const float *x, uint32_t count)
{
    __m256i largest = _mm256_setzero_si256();
    __m128i four;

    for (uint32_t i = 0; i < count; i += LANES)
        largest = _mm256_max_epi32(largest, magnitude_bits(_mm256_loadu_ps(x + i)));
    four = halves_max(largest);
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtss_f32(_mm_castsi128_ps(four));
}

/* NaN and infinity become the unit, whatever the values are. */
WIDE float to_integers(const float *x, uint32_t count, int16_t *values, int16_t *sums_of_x)
{
    float unit = largest_activation(x, count) * (1.0f / CPU_ACTIVATION_MAX);
    const __m256 inverse = _mm256_set1_ps(unit >= FLT_MIN ? 1.0f / unit : 0.0f);

    assert(count % BLOCK == 0 && count <= STRIP);
    for (uint32_t part = 0; part < STRIP_PARTS; part++) {
        __m128i fours = _mm_setzero_si128();

        for (uint32_t i = part * BLOCK; i < (part + 1) * BLOCK; i += LANES) {
            __m128i eight = i < count ? eight_values(x + i, inverse) : _mm_setzero_si128();

            fours = _mm_add_epi32(fours, _mm_madd_epi16(eight, _mm_set1_epi16(1)));
            _mm_storeu_si128((__m128i *)(values + place_of(i)), eight);
        }
        put_sum(fours, sums_of_x + 2 * part);
    }
    return unit;
}

#endif

#endif

/* Weights of a strip as 16-bit integers, for the vector loops: weight = unit * word, where the
 * largest word a strip could have is CPU_WEIGHT_MAX. A part's words are factor * number + addend,
 * rounded, in fixed point.
 *
 * Rounding costs half a unit of the strip's largest weight twice, a normalised mean square error of
 * 4e-7 for weights like noise; activations of 8 bits, as they are usual, cost a hundred times as
 * much (hip/SPEED.md).
 *
 * Types whose scales are themselves integers times one float need no rounding: the words are scale
 * * number, and the offsets, integers times another float, are multiplied by sums of activations.
 */
#ifndef RBEE_HIP_BACKEND_CPU_WORDS_H
#define RBEE_HIP_BACKEND_CPU_WORDS_H

#include "hip/backend/cpu_avx2_load.h"

#if defined(__x86_64__)

#include <float.h>

/* Twice the same 16 bits in each. */
struct word_scales {
    uint32_t factor[STRIP_SCALES]; /* 2^WORD_POINT times as large */
    uint32_t addend[STRIP_SCALES];
};

/* Numbers are multiplied in the upper byte of a word, and the product's upper half is the word: 15
 * bits lower than the product of the two. The factor, at most CPU_WEIGHT_MAX / 7.5 (half the
 * largest number of a type with offsets, a whole number of the others), keeps within 15 bits. */
enum { WORD_POINT = 15 - 8 };

/* Smaller units are 0: their inverse times 2^WORD_POINT is no float. */
#define UNIT_MIN (FLT_MIN * (1 << WORD_POINT))

/* What struct word_scales is made from and with, for several rows of a weight at once: each alone
 * is a chain of operations that wait for each other. */
enum { ROWS_AT_ONCE = 4 };

struct strip_rows {
    struct word_scales scales[ROWS_AT_ONCE];
    float units[ROWS_AT_ONCE];
    /* Of types with exact words: an offset, and CPU_SUM_UNIT times as much, to be multiplied by a
     * pair of sums. */
    int16_t offsets[ROWS_AT_ONCE][2 * CPU_STRIP_SUMS];
    float offset_units[ROWS_AT_ONCE];
};

/* The largest word is 63 * 31 and stays near enough to CPU_WEIGHT_MAX for its sums. */
INLINE bool has_exact_words(uint32_t type)
{
    return type == QUANT_Q4_K || type == QUANT_Q5_K;
}

INLINE __m256i magnitude_bits(__m256 x)
{
    return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(INT32_MAX));
}

INLINE uint32_t scale_count(uint32_t type)
{
    return has_half_scales(type) ? STRIP_SCALES : STRIP_PARTS;
}

/* Each at least the magnitude of every weight that its part could have, as the bits of floats of no
 * sign: the largest has the largest bits, and NaN larger ones still, so it gets through. */
INLINE __m256i largest_weights(uint32_t type, const struct strip_scales *scales)
{
    const __m256 most = _mm256_set1_ps(largest_number(type));
    __m256i largest = _mm256_setzero_si256();

    for (uint32_t i = 0; i < scale_count(type); i += LANES) {
        __m256 top = _mm256_mul_ps(_mm256_loadu_ps(scales->scale + i), most);

        if (has_offsets(type)) {
            __m256 offset = _mm256_loadu_ps(scales->offset + i);

            top = _mm256_add_ps(top, offset);
            largest = _mm256_max_epi32(largest, magnitude_bits(offset));
        }
        largest = _mm256_max_epi32(largest, magnitude_bits(top));
    }
    return largest;
}

INLINE __m128i halves_max(__m256i x)
{
    return _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/* The largest of each of four vectors. */
INLINE __m128 largest_of_four(const __m256i x[ROWS_AT_ONCE])
{
    __m128i a = halves_max(x[0]);
    __m128i b = halves_max(x[1]);
    __m128i c = halves_max(x[2]);
    __m128i d = halves_max(x[3]);
    __m128i ab = _mm_max_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    __m128i cd = _mm_max_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));

    return _mm_castsi128_ps(_mm_max_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd)));
}

/* Rounded, and the lower half of each twice. */
INLINE void put_words(__m256 x, uint32_t *out)
{
    const __m256i twice = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));

    _mm256_storeu_si256((__m256i *)out, _mm256_shuffle_epi8(_mm256_cvtps_epi32(x), twice));
}

INLINE bool has_addends(uint32_t type)
{
    return has_offsets(type) && !has_exact_words(type);
}

/* Each of four vectors added up. */
INLINE __m128i sum_each_of_four(const __m256i x[ROWS_AT_ONCE])
{
    __m256i lanes = _mm256_hadd_epi32(_mm256_hadd_epi32(x[0], x[1]), _mm256_hadd_epi32(x[2], x[3]));

    return _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}

/* Of one row of a type with exact words. */
INLINE void prepare_exact(const uint8_t *block, struct strip_rows *out, uint32_t row)
{
    const __m256i scale_places =
        _mm256_setr_epi8(/* each as a word, twice */
                         0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, /* half */
                         4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1);
    const __m256i offset_places =
        _mm256_add_epi8(scale_places, _mm256_set1_epi16(8)); /* -1 stays in the upper byte */
    __m256i bytes = _mm256_broadcastsi128_si256(six_bit_scales(block));
    __m256i offsets = _mm256_shuffle_epi8(bytes, offset_places);

    _mm256_storeu_si256((__m256i *)out->scales[row].factor,
                        _mm256_shuffle_epi8(bytes, scale_places));
    _mm256_storeu_si256((__m256i *)out->offsets[row],
                        _mm256_mullo_epi16(offsets, _mm256_set1_epi32(1 | CPU_SUM_UNIT << 16)));
    out->units[row] = half_at(block);
    out->offset_units[row] = -half_at(block + 2);
}

/* Units and scales of a strip of four rows. A strip of zeroes, or of weights too small for a float
 * to divide by, has words of 0; NaN and infinity become the unit, whatever the words are. */
INLINE void prepare_strips(uint32_t type, const uint8_t *const strips[ROWS_AT_ONCE], uint32_t parts,
                           struct strip_rows *out)
{
    struct strip_scales scales[ROWS_AT_ONCE];
    __m256i largest[ROWS_AT_ONCE] = {
        {0}}; /* for an analyzer that does not unroll; it costs nothing */
    float inverses[ROWS_AT_ONCE];
    __m128 units;
    __m128 inverse;

    for (uint32_t r = 0; has_exact_words(type) && r < ROWS_AT_ONCE; r++)
        prepare_exact(strips[r], out, r);
    if (has_exact_words(type))
        return;
    for (uint32_t r = 0; r < ROWS_AT_ONCE; r++) {
        load_strip_scales(type, strips[r], parts, &scales[r]);
        largest[r] = largest_weights(type, &scales[r]);
    }
    units = _mm_mul_ps(largest_of_four(largest), _mm_set1_ps(1.0f / CPU_WEIGHT_MAX));
    inverse = _mm_and_ps(_mm_div_ps(_mm_set1_ps(1.0f), units),
                         _mm_cmpge_ps(units, _mm_set1_ps(UNIT_MIN)));
    _mm_storeu_ps(out->units, units);
    _mm_storeu_ps(inverses, inverse);
    for (uint32_t r = 0; r < ROWS_AT_ONCE; r++) {
        for (uint32_t i = 0; i < scale_count(type); i += LANES) {
            put_words(_mm256_mul_ps(_mm256_loadu_ps(scales[r].scale + i),
                                    _mm256_set1_ps(inverses[r] * (1 << WORD_POINT))),
                      out->scales[r].factor + i);
            if (has_offsets(type))
                put_words(_mm256_mul_ps(_mm256_loadu_ps(scales[r].offset + i),
                                        _mm256_set1_ps(inverses[r])),
                          out->scales[r].addend + i);
        }
    }
}

#endif

#endif

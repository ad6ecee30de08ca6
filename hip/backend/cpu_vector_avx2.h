/* Vectors of 256 bits, for loops that are written for any width (cpu_vector.h). */
#ifndef RBEE_HIP_BACKEND_CPU_VECTOR_AVX2_H
#define RBEE_HIP_BACKEND_CPU_VECTOR_AVX2_H

#include "hip/backend/cpu_words.h"

#if defined(__x86_64__)

#include <math.h>

#define WIDE INLINE
#define WIDE_TARGET __attribute__((target("avx2,fma,f16c")))

/* ---- integers ---- */

typedef __m256i words;
typedef __m256i sums32;

enum {
    WORDS = 16,
    PARTS_AT_ONCE = 1,
    /* 8 sums, 2 vectors of activations, a pair of weights and its products of 16 registers. */
    MANY_TILE_WIDTH = 4,
    MANY_TILE_GROUPS = 1,
};

WIDE words words_load(const int16_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

WIDE void words_store(int16_t *to, words x)
{
    _mm256_store_si256((__m256i *)to, x);
}

/* The two words at FROM, in every pair of the vector. */
WIDE words words_pair(const int16_t *from)
{
    int32_t pair;

    memcpy(&pair, from, sizeof(pair));
    return _mm256_set1_epi32(pair);
}

WIDE sums32 sums_zero(void)
{
    return _mm256_setzero_si256();
}

/* The assembly keeps the order: gcc adds products to each other first, and for that keeps them all.
 */
WIDE sums32 sums_add(sums32 sum, words a, words b)
{
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    __asm__("" : "+x"(sum));
    return sum;
}

WIDE __m128i sums_of_four(const sums32 sum[4])
{
    return sum_each_of_four(sum);
}

/* 2 * WORDS words to bytes, in an order of their own: see cpu_many_tiles.h. */
WIDE void words_to_pieces(const int16_t *from, int8_t *high, int8_t *low, int8_t *both)
{
    const __m256i low_bits = _mm256_set1_epi16(63);
    __m256i a = words_load(from);
    __m256i b = words_load(from + WORDS);
    __m256i highs = _mm256_packs_epi16(_mm256_srai_epi16(a, 6), _mm256_srai_epi16(b, 6));
    __m256i lows = _mm256_packs_epi16(_mm256_and_si256(a, low_bits), _mm256_and_si256(b, low_bits));

    _mm256_storeu_si256((__m256i *)high, highs);
    _mm256_storeu_si256((__m256i *)low, lows);
    _mm256_storeu_si256((__m256i *)both, _mm256_add_epi8(highs, lows));
}

/* 4096 * high + 64 * (both - high - low) + low */
WIDE sums32 sums_of_pieces(const int32_t *high, const int32_t *low, const int32_t *both)
{
    __m256i hh = _mm256_loadu_si256((const __m256i *)high);
    __m256i ll = _mm256_loadu_si256((const __m256i *)low);
    __m256i ss = _mm256_loadu_si256((const __m256i *)both);
    __m256i cross = _mm256_sub_epi32(_mm256_sub_epi32(ss, hh), ll);
    __m256i upper = _mm256_add_epi32(_mm256_slli_epi32(hh, 6), cross);

    return _mm256_add_epi32(_mm256_slli_epi32(upper, 6), ll);
}

/* to += sum * (unit * units) */
WIDE void sums_scale_add(sums32 sum, float unit, const float *units, float *to)
{
    __m256 scale = _mm256_mul_ps(_mm256_set1_ps(unit), _mm256_loadu_ps(units));

    _mm256_storeu_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, _mm256_loadu_ps(to)));
}

/* Scales of a part's two halves, a lane each. */
WIDE __m256i lane_scales(uint32_t type, const uint32_t *scales, uint32_t part)
{
    if (has_half_scales(type))
        return _mm256_inserti128_si256(_mm256_set1_epi32((int)scales[2 * part]),
                                       _mm_set1_epi32((int)scales[2 * part + 1]), 1);
    return _mm256_set1_epi32((int)scales[part]);
}

/* NUMBERS are in the upper bytes of words; in the lower ones where words are exact. */
WIDE words scaled_words(uint32_t type, __m256i numbers, __m256i factor, __m256i addend)
{
    __m256i product = has_exact_words(type) ? _mm256_mullo_epi16(numbers, factor)
                                            : _mm256_mulhrs_epi16(numbers, factor);

    return has_addends(type) ? _mm256_add_epi16(product, addend) : product;
}

/* One part. Of each lane's 16 numbers the first 8 are words of the first vector, the others of the
 * second. */
WIDE void words_of_parts(uint32_t type, const uint8_t *strip, uint32_t part, uint32_t left,
                         const struct word_scales *scales, words out[2])
{
    __m256i numbers = numbers_of_part(type, strip, part);
    __m256i factor = lane_scales(type, scales->factor, part);
    __m256i addend = has_addends(type) ? lane_scales(type, scales->addend, part) : numbers;
    __m256i low = has_exact_words(type) ? numbers : _mm256_setzero_si256();
    __m256i high = has_exact_words(type) ? _mm256_setzero_si256() : numbers;

    out[0] = scaled_words(type, _mm256_unpacklo_epi8(low, high), factor, addend);
    out[1] = scaled_words(type, _mm256_unpackhi_epi8(low, high), factor, addend);
}

/* ---- floats ---- */

typedef __m256 floats;

enum {
    FLOATS = 8,
    ATTEND_QUERIES = 2, /* 8 sums, 4 vectors of keys and one of queries of 16 registers */
};

INLINE floats floats_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

INLINE void floats_store(float *to, floats x)
{
    _mm256_storeu_ps(to, x);
}

INLINE floats floats_set(float value)
{
    return _mm256_set1_ps(value);
}

INLINE floats floats_halves(const uint16_t *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

INLINE floats floats_fma(floats a, floats b, floats c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE floats floats_mul(floats a, floats b)
{
    return _mm256_mul_ps(a, b);
}

INLINE floats floats_sub(floats a, floats b)
{
    return _mm256_sub_ps(a, b);
}

/* Of the two: the second where either is NaN. */
INLINE floats floats_min(floats a, floats b)
{
    return _mm256_min_ps(a, b);
}

INLINE floats floats_max(floats a, floats b)
{
    return _mm256_max_ps(a, b);
}

INLINE floats floats_round(floats x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 2^n of whole numbers, straight into the exponent of a float. */
INLINE floats floats_power(floats n)
{
    __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);

    return _mm256_castsi256_ps(_mm256_add_epi32(power, _mm256_castps_si256(_mm256_set1_ps(1.0f))));
}

INLINE float floats_sum(floats x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE float floats_largest(floats x)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/* Elements of places FIRST to END - 1; -INFINITY for the others. X's first is at place AT. */
INLINE floats floats_keep(floats x, uint32_t at, uint32_t first, uint32_t end)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i place = _mm256_add_epi32(lanes, _mm256_set1_epi32((int)at));
    __m256i is_kept = _mm256_and_si256(_mm256_cmpgt_epi32(place, _mm256_set1_epi32((int)first - 1)),
                                       _mm256_cmpgt_epi32(_mm256_set1_epi32((int)end), place));

    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), x, _mm256_castsi256_ps(is_kept));
}

#endif

#endif

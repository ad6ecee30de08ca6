/* Vectors of 512 bits, for loops that are written for any width (cpu_vector.h). */
#ifndef RBEE_HIP_BACKEND_CPU_VECTOR_AVX512_H
#define RBEE_HIP_BACKEND_CPU_VECTOR_AVX512_H

#include "hip/backend/cpu_words.h"

#if defined(__x86_64__)

#include <math.h>

#define WIDE_TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define WIDE static inline __attribute__((always_inline)) WIDE_TARGET

/* ---- integers ---- */

typedef __m512i words;
typedef __m512i sums32;

enum {
    WORDS = 32,
    PARTS_AT_ONCE = 2,
    /* 24 sums, 2 vectors of activations and a pair of weights of 32 registers. */
    MANY_TILE_WIDTH = 12,
    MANY_TILE_GROUPS = 2,
};

WIDE words words_load(const int16_t *from)
{
    return _mm512_loadu_si512(from);
}

WIDE void words_store(int16_t *to, words x)
{
    _mm512_store_si512(to, x);
}

/* The two words at FROM, in every pair of the vector. */
WIDE words words_pair(const int16_t *from)
{
    int32_t pair;

    memcpy(&pair, from, sizeof(pair));
    return _mm512_set1_epi32(pair);
}

WIDE sums32 sums_zero(void)
{
    return _mm512_setzero_si512();
}

WIDE sums32 sums_add(sums32 sum, words a, words b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(b), "vm"(a));
    return sum;
}

/* Each of four vectors added up. */
WIDE __m128i sums_of_four(const sums32 sum[4])
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(sum[0], sum[1]),
                                  _mm512_unpackhi_epi32(sum[0], sum[1]));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(sum[2], sum[3]),
                                  _mm512_unpackhi_epi32(sum[2], sum[3]));
    __m512i lanes = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));

    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* 2 * WORDS words to bytes, in an order of their own: see cpu_many_tiles.h. */
WIDE void words_to_pieces(const int16_t *from, int8_t *high, int8_t *low, int8_t *both)
{
    const __m512i low_bits = _mm512_set1_epi16(63);
    __m512i a = words_load(from);
    __m512i b = words_load(from + WORDS);
    __m512i highs = _mm512_packs_epi16(_mm512_srai_epi16(a, 6), _mm512_srai_epi16(b, 6));
    __m512i lows = _mm512_packs_epi16(_mm512_and_si512(a, low_bits), _mm512_and_si512(b, low_bits));

    _mm512_storeu_si512(high, highs);
    _mm512_storeu_si512(low, lows);
    _mm512_storeu_si512(both, _mm512_add_epi8(highs, lows));
}

/* 4096 * high + 64 * (both - high - low) + low */
WIDE sums32 sums_of_pieces(const int32_t *high, const int32_t *low, const int32_t *both)
{
    __m512i hh = _mm512_loadu_si512(high);
    __m512i ll = _mm512_loadu_si512(low);
    __m512i ss = _mm512_loadu_si512(both);
    __m512i cross = _mm512_sub_epi32(_mm512_sub_epi32(ss, hh), ll);
    __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(hh, 6), cross);

    return _mm512_add_epi32(_mm512_slli_epi32(upper, 6), ll);
}

/* to += sum * (unit * units) */
WIDE void sums_scale_add(sums32 sum, float unit, const float *units, float *to)
{
    __m512 scale = _mm512_mul_ps(_mm512_set1_ps(unit), _mm512_loadu_ps(units));

    _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, _mm512_loadu_ps(to)));
}

/* A scale for each lane of two parts: lanes 0 and 1 are the halves of the first, 2 and 3 of the
 * second. */
WIDE __m512i lane_scales(uint32_t type, const uint32_t *scales, uint32_t part)
{
    if (has_half_scales(type)) {
        const __m512i each = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
        __m128i four = _mm_loadu_si128((const __m128i *)(scales + (uint64_t)2 * part));

        return _mm512_permutexvar_epi32(each, _mm512_castsi128_si512(four));
    }
    return _mm512_mask_set1_epi32(_mm512_set1_epi32((int)scales[part]), 0xff00,
                                  (int)scales[part + 1]);
}

/* NUMBERS are in the upper bytes of words; in the lower ones where words are exact. */
WIDE words scaled_words(uint32_t type, __m512i numbers, __m512i factor, __m512i addend)
{
    __m512i product = has_exact_words(type) ? _mm512_mullo_epi16(numbers, factor)
                                            : _mm512_mulhrs_epi16(numbers, factor);

    return has_addends(type) ? _mm512_add_epi16(product, addend) : product;
}

/* Two parts; where LEFT is 1 the second is zeroes. Of each lane's 16 numbers the first 8 are words
 * of the first vector, the others of the second. */
WIDE void words_of_parts(uint32_t type, const uint8_t *strip, uint32_t part, uint32_t left,
                         const struct word_scales *scales, words out[2])
{
    __m256i second = left > 1 ? numbers_of_part(type, strip, part + 1) : _mm256_setzero_si256();
    __m512i numbers =
        _mm512_inserti64x4(_mm512_castsi256_si512(numbers_of_part(type, strip, part)), second, 1);
    __m512i factor = lane_scales(type, scales->factor, part);
    __m512i addend = has_addends(type) ? lane_scales(type, scales->addend, part) : numbers;
    __m512i low = has_exact_words(type) ? numbers : _mm512_setzero_si512();
    __m512i high = has_exact_words(type) ? _mm512_setzero_si512() : numbers;

    out[0] = scaled_words(type, _mm512_unpacklo_epi8(low, high), factor, addend);
    out[1] = scaled_words(type, _mm512_unpackhi_epi8(low, high), factor, addend);
}

/* ---- floats ---- */

typedef __m512 floats;

enum {
    FLOATS = 16,
    ATTEND_QUERIES = 8, /* 16 sums, 2 vectors of keys and one of queries of 32 registers */
};

WIDE floats floats_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

WIDE void floats_store(float *to, floats x)
{
    _mm512_storeu_ps(to, x);
}

WIDE floats floats_set(float value)
{
    return _mm512_set1_ps(value);
}

WIDE floats floats_halves(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

WIDE floats floats_fma(floats a, floats b, floats c)
{
    return _mm512_fmadd_ps(a, b, c);
}

WIDE floats floats_mul(floats a, floats b)
{
    return _mm512_mul_ps(a, b);
}

WIDE floats floats_sub(floats a, floats b)
{
    return _mm512_sub_ps(a, b);
}

/* Of the two: the second where either is NaN. */
WIDE floats floats_min(floats a, floats b)
{
    return _mm512_min_ps(a, b);
}

WIDE floats floats_max(floats a, floats b)
{
    return _mm512_max_ps(a, b);
}

WIDE floats floats_round(floats x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 2^n of whole numbers, straight into the exponent of a float. */
WIDE floats floats_power(floats n)
{
    __m512i power = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);

    return _mm512_castsi512_ps(_mm512_add_epi32(power, _mm512_castps_si512(_mm512_set1_ps(1.0f))));
}

WIDE float floats_sum(floats x)
{
    return _mm512_reduce_add_ps(x);
}

WIDE float floats_largest(floats x)
{
    return _mm512_reduce_max_ps(x);
}

/* Elements of places FIRST to END - 1; -INFINITY for the others. X's first is at place AT. */
WIDE floats floats_keep(floats x, uint32_t at, uint32_t first, uint32_t end)
{
    uint32_t is_kept = (uint32_t)(((uint64_t)1 << end) - ((uint64_t)1 << first)) >> at;

    return _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), (__mmask16)is_kept, x);
}

#endif

#endif

/* How the CPU's vector loops read weights: sizes, bits to bytes, bytes to floats in registers, and
 * types without blocks. Types with blocks are cpu_avx2_load.h.
 *
 * No load leaves its block: the last one may lie at the end of the file's map. */
#ifndef RBEE_HIP_BACKEND_CPU_AVX2_BLOCKS_H
#define RBEE_HIP_BACKEND_CPU_AVX2_BLOCKS_H

#if defined(__x86_64__)

#include "hip/model/quant.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline, target("avx2,fma,f16c")))

enum {
    LANES = 8,
    BLOCK = 32,              /* elements that are loaded at a time */
    VECTORS = BLOCK / LANES, /* registers they fill */
};

/* Shifts of a part become constants, which is worth the size of the code (hip/SPEED.md). */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define FOR_EACH_PART UNROLL

#define FOR_EACH_FLOAT_TYPE(X) X(F32) X(F16) X(BF16)
#define FOR_EACH_BLOCK_TYPE(X)                                                                     \
    X(Q8_0)                                                                                        \
    X(Q4_0)                                                                                        \
    X(Q4_1)                                                                                        \
    X(Q5_0)                                                                                        \
    X(Q5_1)                                                                                        \
    X(IQ4_NL)                                                                                      \
    X(MXFP4)                                                                                       \
    X(Q2_K)                                                                                        \
    X(Q3_K)                                                                                        \
    X(Q4_K)                                                                                        \
    X(Q5_K)                                                                                        \
    X(Q6_K)                                                                                        \
    X(IQ4_XS)

/* Bytes of a block, or of BLOCK elements of a type without blocks. TYPE is a constant wherever this
 * and what follows is used, so that nothing is left of the switches. */
INLINE uint32_t block_bytes(uint32_t type)
{
    switch (type) {
#define QUANT(id, name, elements, bytes, reader)                                                   \
    case id:                                                                                       \
        return (elements) >= BLOCK ? (bytes) : BLOCK / (elements) * (bytes);
#include "hip/model/quant_types.def"
#undef QUANT
    default:
        return 0;
    }
}

/* How many times BLOCK elements that is. */
INLINE uint32_t block_parts(uint32_t type)
{
    switch (type) {
#define QUANT(id, name, elements, bytes, reader)                                                   \
    case id:                                                                                       \
        return (elements) >= BLOCK ? (elements) / BLOCK : 1;
#include "hip/model/quant_types.def"
#undef QUANT
    default:
        return 0;
    }
}

INLINE uint16_t u16_at(const uint8_t *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

INLINE float half_at(const uint8_t *bytes)
{
    return _cvtsh_ss(u16_at(bytes));
}

INLINE uint32_t u32_at(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

INLINE __m128i load_16(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)bytes);
}

INLINE __m256i load_32(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)bytes);
}

/* ---- bytes to floats ---- */

/* The lowest eight bytes. */
INLINE __m256 floats_of_i8(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

INLINE __m256 floats_of_u8(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

/* 32 numbers to floats, SCALES[0] and OFFSETS[0] for the first 16, the others for the rest. */
INLINE void scale_i8(__m256i bytes, const __m256 scales[2], __m256 out[VECTORS])
{
    __m128i low = _mm256_castsi256_si128(bytes);
    __m128i high = _mm256_extracti128_si256(bytes, 1);

    out[0] = _mm256_mul_ps(floats_of_i8(low), scales[0]);
    out[1] = _mm256_mul_ps(floats_of_i8(_mm_srli_si128(low, LANES)), scales[0]);
    out[2] = _mm256_mul_ps(floats_of_i8(high), scales[1]);
    out[3] = _mm256_mul_ps(floats_of_i8(_mm_srli_si128(high, LANES)), scales[1]);
}

INLINE void scale_u8(__m256i bytes, const __m256 scales[2], const __m256 offsets[2],
                     __m256 out[VECTORS])
{
    __m128i low = _mm256_castsi256_si128(bytes);
    __m128i high = _mm256_extracti128_si256(bytes, 1);

    out[0] = _mm256_fmadd_ps(floats_of_u8(low), scales[0], offsets[0]);
    out[1] = _mm256_fmadd_ps(floats_of_u8(_mm_srli_si128(low, LANES)), scales[0], offsets[0]);
    out[2] = _mm256_fmadd_ps(floats_of_u8(high), scales[1], offsets[1]);
    out[3] = _mm256_fmadd_ps(floats_of_u8(_mm_srli_si128(high, LANES)), scales[1], offsets[1]);
}

/* ---- numbers of a few bits ---- */

/* MASK of each byte, after its bits have moved RIGHT (or left, where that is negative). */
INLINE __m256i bits_of(__m256i bytes, int right, uint8_t mask)
{
    __m256i moved = right >= 0 ? _mm256_srli_epi16(bytes, right) : _mm256_slli_epi16(bytes, -right);

    return _mm256_and_si256(moved, _mm256_set1_epi8((char)mask));
}

/* 16 bytes of nibbles: the low ones, then the high ones. */
INLINE __m256i nibbles_at(const uint8_t *bytes)
{
    __m128i packed = load_16(bytes);

    return bits_of(_mm256_set_m128i(_mm_srli_epi16(packed, 4), packed), 0, 0xf);
}

/* A byte of VALUE for each of the 32 bits at BYTES that is set, else 0. */
INLINE __m256i spread_bits(const uint8_t *bytes, uint8_t value)
{
    const __m256i source = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                              0x0303030303030303); /* which byte has the bit */
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i copies = _mm256_shuffle_epi8(_mm256_set1_epi32((int)u32_at(bytes)), source);
    __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(copies, bit), bit);

    return _mm256_and_si256(is_set, _mm256_set1_epi8((char)value));
}

/* Each byte of PLACES, below 16, replaced by that value. */
INLINE __m256i look_up(const int8_t values[16], __m256i places)
{
    __m128i table = _mm_loadu_si128((const __m128i *)values);

    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), places);
}

/* ---- types without blocks ---- */

INLINE void load_floats(uint32_t type, const uint8_t *bytes, __m256 out[VECTORS])
{
    for (int i = 0; i < VECTORS; i++) {
        if (type == QUANT_F32)
            out[i] = _mm256_loadu_ps((const float *)(const void *)(bytes + 32 * i));
        else if (type == QUANT_F16)
            out[i] = _mm256_cvtph_ps(load_16(bytes + 16 * i));
        else /* BF16 */
            out[i] = _mm256_castsi256_ps(
                _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(bytes + 16 * i)), 16));
    }
}

#endif

#endif

/* How cpu_avx2.c reads weights: blocks of 256, and the choice by type. The formats are those of
 * hip/model/quant_k.c, which this is tested against. A block of 256 is read in eight parts of 32,
 * after what they share: first load_scales(), then load_part() for each part. */
#ifndef RBEE_HIP_BACKEND_CPU_AVX2_LOAD_H
#define RBEE_HIP_BACKEND_CPU_AVX2_LOAD_H

#include "hip/backend/cpu_avx2_blocks.h"

#if defined(__x86_64__)

enum { K_SCALES = 16 }; /* the most that a block of 256 has */

/* x = scale * q + offset, for each part or each half of one. */
struct block_scales {
    float scale[K_SCALES];
    float offset[K_SCALES];
};

/* ---- scales, eight bytes at a time: a uint64_t's lowest byte is the first ---- */

#define EIGHT_BYTES(byte) (0x0101010101010101u * (byte))

INLINE uint64_t u64_at(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* SCALE * (byte - BIAS), signed. */
INLINE void put_scales(uint64_t bytes, int bias, float scale, float *out)
{
    __m128i biased = _mm_sub_epi8(_mm_cvtsi64_si128((int64_t)bytes), _mm_set1_epi8((char)bias));

    _mm256_storeu_ps(out, _mm256_mul_ps(floats_of_i8(biased), _mm256_set1_ps(scale)));
}

INLINE void load_scales_q2_k(const uint8_t *block, struct block_scales *out)
{
    for (int i = 0; i < K_SCALES; i += LANES) {
        uint64_t packed = u64_at(block + i);

        put_scales(packed & EIGHT_BYTES(0xf), 0, half_at(block + 80), out->scale + i);
        put_scales(packed >> 4 & EIGHT_BYTES(0xf), 0, -half_at(block + 82), out->offset + i);
    }
}

/* The upper bits of four scales stand in one byte: those of scale 0 lowest, of 4, 8 and 12 above.
 */
INLINE void load_scales_q3_k(const uint8_t *block, struct block_scales *out)
{
    uint64_t low = u64_at(block + 96);
    uint64_t high = u32_at(block + 104);
    uint64_t first_high = (high << 4 | high << 34) & EIGHT_BYTES(0x30);
    uint64_t second_high = (high | high << 30) & EIGHT_BYTES(0x30);
    float scale = half_at(block + 108);

    put_scales((low & EIGHT_BYTES(0xf)) | first_high, 32, scale, out->scale);
    put_scales((low >> 4 & EIGHT_BYTES(0xf)) | second_high, 32, scale, out->scale + LANES);
}

/* Q4_K and Q5_K: the first four have six bits in one place, the other four a nibble in LAST and
 * above it the upper bits of FIRST. */
INLINE uint64_t six_bits(uint64_t first, uint64_t last)
{
    uint64_t upper = first << 30 & EIGHT_BYTES(0x30) & ~(uint64_t)UINT32_MAX;

    return (first & EIGHT_BYTES(0x3f)) | (last << 32 & EIGHT_BYTES(0xf)) | upper;
}

INLINE void load_scales_q4_k(const uint8_t *block, struct block_scales *out)
{
    uint32_t last = u32_at(block + 12);

    put_scales(six_bits(u32_at(block + 4), last), 0, half_at(block), out->scale);
    put_scales(six_bits(u32_at(block + 8), last >> 4), 0, -half_at(block + 2), out->offset);
}

INLINE void load_scales_q6_k(const uint8_t *block, struct block_scales *out)
{
    for (int i = 0; i < K_SCALES; i += LANES)
        put_scales(u64_at(block + 192 + i), 0, half_at(block + 208), out->scale + i);
}

INLINE void load_scales_iq4_xs(const uint8_t *block, struct block_scales *out)
{
    const __m256i by_four = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i by_two = _mm256_srli_epi32(by_four, 1);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)u32_at(block + 4)), by_four);
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32((int)(u32_at(block) >> 16)), by_two);
    __m256i scales =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(0xf)),
                        _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(0x3)), 4));
    __m256 numbers = _mm256_cvtepi32_ps(_mm256_sub_epi32(scales, _mm256_set1_epi32(32)));

    _mm256_storeu_ps(out->scale, _mm256_mul_ps(numbers, _mm256_set1_ps(half_at(block))));
}

/* Nothing for the types without blocks of 256. */
INLINE void load_scales(uint32_t type, const uint8_t *block, struct block_scales *out)
{
    switch (type) {
    case QUANT_Q2_K:
        load_scales_q2_k(block, out);
        break;
    case QUANT_Q3_K:
        load_scales_q3_k(block, out);
        break;
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        load_scales_q4_k(block, out);
        break;
    case QUANT_Q6_K:
        load_scales_q6_k(block, out);
        break;
    case QUANT_IQ4_XS:
        load_scales_iq4_xs(block, out);
        break;
    default:
        break;
    }
}

/* ---- parts ---- */

INLINE __m256 broadcast(const float *value)
{
    return _mm256_broadcast_ss(value);
}

/* Part PART of planes of two bits, moved LEFT. */
INLINE __m256i two_bits(const uint8_t *planes, uint32_t part, int left)
{
    int right = 2 * (int)(part % 4) - left;

    return bits_of(load_32(planes + part / 4 * BLOCK), right, (uint8_t)(3 << left));
}

/* Bit PART of each byte, as bit TO. */
INLINE __m256i one_bit(const uint8_t *bytes, uint32_t part, int to)
{
    return bits_of(load_32(bytes), (int)part - to, (uint8_t)(1 << to));
}

/* Part PART of nibbles, two parts to 32 bytes. */
INLINE __m256i four_bits(const uint8_t *nibbles, uint32_t part)
{
    return bits_of(load_32(nibbles + part / 2 * BLOCK), 4 * (int)(part % 2), 0xf);
}

INLINE void load_part_q2_k(const uint8_t *block, uint32_t part, const struct block_scales *scales,
                           __m256 out[VECTORS])
{
    const float *scale = scales->scale + 2 * part;
    const float *offset = scales->offset + 2 * part;
    __m256i q = two_bits(block + 16, part, 0);

    scale_u8(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1),
             (__m256[]){broadcast(scale), broadcast(scale + 1)},
             (__m256[]){broadcast(offset), broadcast(offset + 1)}, out);
}

INLINE void load_part_q3_k(const uint8_t *block, uint32_t part, const struct block_scales *scales,
                           __m256 out[VECTORS])
{
    const float *scale = scales->scale + 2 * part;
    __m256i q = _mm256_or_si256(two_bits(block + 32, part, 0), one_bit(block, part, 2));

    scale_i8(_mm256_sub_epi8(q, _mm256_set1_epi8(4)), broadcast(scale), broadcast(scale + 1), out);
}

/* Of 64 bytes of nibbles, which hold four parts, the low ones are parts 0 and 1. */
INLINE void load_part_q6_k(const uint8_t *block, uint32_t part, const struct block_scales *scales,
                           __m256 out[VECTORS])
{
    const float *scale = scales->scale + 2 * part;
    const uint8_t *nibbles = block + part / 4 * (2 * BLOCK) + part % 2 * BLOCK;
    __m256i low = bits_of(load_32(nibbles), part % 4 < 2 ? 0 : 4, 0xf);
    __m256i q = _mm256_or_si256(low, two_bits(block + 128, part, 4));

    scale_i8(_mm256_sub_epi8(q, _mm256_set1_epi8(32)), broadcast(scale), broadcast(scale + 1), out);
}

INLINE void load_part_k(uint32_t type, const uint8_t *block, uint32_t part,
                        const struct block_scales *scales, __m256 out[VECTORS])
{
    const float *scale = scales->scale + part;
    const float *offset = scales->offset + part;

    switch (type) {
    case QUANT_Q2_K:
        load_part_q2_k(block, part, scales, out);
        break;
    case QUANT_Q3_K:
        load_part_q3_k(block, part, scales, out);
        break;
    case QUANT_Q4_K:
        scale_all_u8(four_bits(block + 16, part), broadcast(scale), broadcast(offset), out);
        break;
    case QUANT_Q5_K:
        scale_all_u8(_mm256_or_si256(four_bits(block + 48, part), one_bit(block + 16, part, 4)),
                     broadcast(scale), broadcast(offset), out);
        break;
    case QUANT_Q6_K:
        load_part_q6_k(block, part, scales, out);
        break;
    default: /* IQ4_XS */
        scale_i8(look_up(QUANT_IQ4_VALUES, nibbles_at(block + 8 + part * (BLOCK / 2))),
                 broadcast(scale), broadcast(scale), out);
        break;
    }
}

/* Elements 32 * PART to 32 * PART + 31 of a block; PART is below block_parts(TYPE), and SCALES what
 * load_scales() made. */
INLINE void load_part(uint32_t type, const uint8_t *block, uint32_t part,
                      const struct block_scales *scales, __m256 out[VECTORS])
{
    switch (type) {
    case QUANT_F32:
    case QUANT_F16:
    case QUANT_BF16:
        load_floats(type, block, out);
        break;
    case QUANT_Q8_0:
        load_q8_0(block, out);
        break;
    case QUANT_Q4_0:
        load_nibbles(block + 2, half_at(block), -8.0f * half_at(block), out);
        break;
    case QUANT_Q4_1:
        load_nibbles(block + 4, half_at(block), half_at(block + 2), out);
        break;
    case QUANT_Q5_0:
        load_five_bits(block + 2, block + 6, half_at(block), -16.0f * half_at(block), out);
        break;
    case QUANT_Q5_1:
        load_five_bits(block + 4, block + 8, half_at(block), half_at(block + 2), out);
        break;
    case QUANT_IQ4_NL:
        load_looked_up(block + 2, QUANT_IQ4_VALUES, half_at(block), out);
        break;
    case QUANT_MXFP4:
        load_looked_up(block + 1, QUANT_E2M1_DOUBLED, quant_e8m0_halved(block[0]), out);
        break;
    default:
        load_part_k(type, block, part, scales, out);
        break;
    }
}

#endif

#endif

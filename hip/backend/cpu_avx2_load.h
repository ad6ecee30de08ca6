/* How the CPU's vector loops read types with blocks, in strips of up to 256 columns: one block of
 * 256, or up to eight blocks of 32. A strip is read in parts of 32 columns: first the scales of all
 * of them, load_strip_scales(), then numbers_of_part() for each. The formats are those of
 * hip/model/quant_k.c and quant_blocks32.c, which this is tested against. */
#ifndef RBEE_HIP_BACKEND_CPU_AVX2_LOAD_H
#define RBEE_HIP_BACKEND_CPU_AVX2_LOAD_H

#include "hip/backend/cpu_avx2_blocks.h"
#include "hip/backend/cpu_kernels.h"

#if defined(__x86_64__)

enum {
    STRIP = CPU_STRIP,
    STRIP_PARTS = STRIP / BLOCK, /* of BLOCK columns */
    STRIP_SCALES = 16,           /* the most a strip has: two a part */
};

/* weight = scale * number + offset, for each part or each half of one. */
struct strip_scales {
    float scale[STRIP_SCALES];
    float offset[STRIP_SCALES];
};

/* Parts of a strip with LEFT columns, a multiple of BLOCK. */
INLINE uint32_t strip_parts(uint32_t left)
{
    return left < STRIP ? left / BLOCK : STRIP_PARTS;
}

/* ---- what a type's numbers are: TYPE is a constant, nothing is left of the switches ----
 *
 * Numbers of few bits are read shifted left, which costs nothing here and leaves room for the fixed
 * point of cpu_words.h; their scales are so much smaller. */

/* Numbers from 0 on, and offsets; else they are signed and have no offsets. */
INLINE bool has_offsets(uint32_t type)
{
    return type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q2_K || type == QUANT_Q4_K ||
           type == QUANT_Q5_K;
}

/* Two scales a part. */
INLINE bool has_half_scales(uint32_t type)
{
    return type == QUANT_Q2_K || type == QUANT_Q3_K || type == QUANT_Q6_K;
}

/* The largest magnitude a number can have. */
INLINE float largest_number(uint32_t type)
{
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_Q3_K: /* doubled */
        return 8;
    case QUANT_MXFP4:
        return 12;
    case QUANT_Q4_1:
    case QUANT_Q4_K:
        return 15;
    case QUANT_Q5_0:
        return 16;
    case QUANT_Q2_K: /* times eight */
        return 24;
    case QUANT_Q5_1:
    case QUANT_Q5_K:
        return 31;
    case QUANT_Q6_K:
        return 32;
    default: /* Q8_0, IQ4_NL, IQ4_XS */
        return 128;
    }
}

/* Blocks of 32: the others are one block a strip. */
INLINE bool has_small_blocks(uint32_t type)
{
    return block_parts(type) == 1;
}

INLINE uint32_t strip_bytes(uint32_t type)
{
    return has_small_blocks(type) ? STRIP_PARTS * block_bytes(type) : block_bytes(type);
}

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

INLINE void load_scales_q2_k(const uint8_t *block, struct strip_scales *out)
{
    for (int i = 0; i < STRIP_SCALES; i += LANES) {
        uint64_t packed = u64_at(block + i);

        put_scales(packed & EIGHT_BYTES(0xf), 0, half_at(block + 80) / 8, out->scale + i);
        put_scales(packed >> 4 & EIGHT_BYTES(0xf), 0, -half_at(block + 82), out->offset + i);
    }
}

/* The upper bits of four scales stand in one byte: those of scale 0 lowest, of 4, 8 and 12 above.
 */
INLINE void load_scales_q3_k(const uint8_t *block, struct strip_scales *out)
{
    uint64_t low = u64_at(block + 96);
    uint64_t high = u32_at(block + 104);
    uint64_t first_high = (high << 4 | high << 34) & EIGHT_BYTES(0x30);
    uint64_t second_high = (high | high << 30) & EIGHT_BYTES(0x30);
    float scale = half_at(block + 108) / 2;

    put_scales((low & EIGHT_BYTES(0xf)) | first_high, 32, scale, out->scale);
    put_scales((low >> 4 & EIGHT_BYTES(0xf)) | second_high, 32, scale, out->scale + LANES);
}

/* Q4_K and Q5_K: of 12 bytes behind two halves, scales 0 to 3 are the lower six bits of bytes 0 to
 * 3, minima 0 to 3 those of bytes 4 to 7; the others have their lower four bits in bytes 8 to 11
 * (minima the upper half) and the two above them as the upper bits of bytes 0 to 7. Here eight
 * scales and behind them eight minima. */
INLINE __m128i six_bit_scales(const uint8_t *block)
{
    const __m128i places = _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i upper_places =
        _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11);
    const __m128i masks = _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f);
    __m128i bytes = load_16(block);
    __m128i low = _mm_shuffle_epi8(bytes, places);
    __m128i upper = _mm_srli_epi16(_mm_shuffle_epi8(bytes, upper_places), 2);

    low = _mm_blend_epi32(low, _mm_srli_epi16(low, 4), 0x8); /* the last four minima */
    return _mm_or_si128(_mm_and_si128(low, masks), _mm_and_si128(upper, _mm_set1_epi8(0x30)));
}

INLINE void load_scales_q4_k(const uint8_t *block, struct strip_scales *out)
{
    __m128i bytes = six_bit_scales(block);

    _mm256_storeu_ps(out->scale,
                     _mm256_mul_ps(floats_of_i8(bytes), _mm256_set1_ps(half_at(block))));
    _mm256_storeu_ps(out->offset, _mm256_mul_ps(floats_of_i8(_mm_srli_si128(bytes, LANES)),
                                                _mm256_set1_ps(-half_at(block + 2))));
}

INLINE void load_scales_q6_k(const uint8_t *block, struct strip_scales *out)
{
    for (int i = 0; i < STRIP_SCALES; i += LANES)
        put_scales(u64_at(block + 192 + i), 0, half_at(block + 208), out->scale + i);
}

INLINE void load_scales_iq4_xs(const uint8_t *block, struct strip_scales *out)
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

/* One half from each of PARTS blocks, the first at BYTES; zeroes where there is no block. */
INLINE void put_halves(const uint8_t *bytes, uint32_t stride, uint32_t parts, float *out)
{
    __m128i halves = _mm_setzero_si128();

#define X(part)                                                                                    \
    if (part < parts)                                                                              \
        halves = _mm_insert_epi16(halves, u16_at(bytes + part * stride), part);
    X(0)
    X(1)
    X(2)
    X(3)
    X(4)
    X(5)
    X(6)
    X(7)
#undef X
    _mm256_storeu_ps(out, _mm256_cvtph_ps(halves));
}

/* Of the PARTS blocks of 32 from BLOCKS on. */
INLINE void load_scales_small(uint32_t type, const uint8_t *blocks, uint32_t parts,
                              struct strip_scales *out)
{
    if (type == QUANT_MXFP4) {
        for (uint32_t part = 0; part < STRIP_PARTS; part++)
            out->scale[part] =
                part < parts ? quant_e8m0_halved(blocks[part * block_bytes(type)]) : 0.0f;
        return;
    }
    put_halves(blocks, block_bytes(type), parts, out->scale);
    if (has_offsets(type))
        put_halves(blocks + 2, block_bytes(type), parts, out->offset);
}

/* Scales, and offsets where the type has any, of a strip's PARTS parts; of those after them, up to
 * STRIP_PARTS, they are zero. */
INLINE void load_strip_scales(uint32_t type, const uint8_t *strip, uint32_t parts,
                              struct strip_scales *out)
{
    switch (type) {
    case QUANT_Q2_K:
        load_scales_q2_k(strip, out);
        break;
    case QUANT_Q3_K:
        load_scales_q3_k(strip, out);
        break;
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        load_scales_q4_k(strip, out);
        break;
    case QUANT_Q6_K:
        load_scales_q6_k(strip, out);
        break;
    case QUANT_IQ4_XS:
        load_scales_iq4_xs(strip, out);
        break;
    default:
        load_scales_small(type, strip, parts, out);
        break;
    }
}

/* ---- numbers ---- */

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

/* Of 64 bytes of nibbles, which hold four parts, the low ones are parts 0 and 1. */
INLINE __m256i numbers_q6_k(const uint8_t *block, uint32_t part)
{
    const uint8_t *nibbles = block + part / 4 * (2 * BLOCK) + part % 2 * BLOCK;
    __m256i low = bits_of(load_32(nibbles), part % 4 < 2 ? 0 : 4, 0xf);

    return _mm256_or_si256(low, two_bits(block + 128, part, 4));
}

INLINE __m256i less(__m256i numbers, int8_t bias)
{
    return _mm256_sub_epi8(numbers, _mm256_set1_epi8(bias));
}

INLINE __m256i numbers_of_small_block(uint32_t type, const uint8_t *block)
{
    switch (type) {
    case QUANT_Q8_0:
        return load_32(block + 2);
    case QUANT_Q4_0:
        return less(nibbles_at(block + 2), 8);
    case QUANT_Q4_1:
        return nibbles_at(block + 4);
    case QUANT_Q5_0:
        return less(_mm256_or_si256(nibbles_at(block + 6), spread_bits(block + 2, 0x10)), 16);
    case QUANT_Q5_1:
        return _mm256_or_si256(nibbles_at(block + 8), spread_bits(block + 4, 0x10));
    case QUANT_IQ4_NL:
        return look_up(QUANT_IQ4_VALUES, nibbles_at(block + 2));
    default: /* MXFP4 */
        return look_up(QUANT_E2M1_DOUBLED, nibbles_at(block + 1));
    }
}

/* The 32 numbers of a part, in the order of their columns; bytes, signed or not. */
INLINE __m256i numbers_of_part(uint32_t type, const uint8_t *strip, uint32_t part)
{
    switch (type) {
    case QUANT_Q2_K:
        return two_bits(strip + 16, part, 3);
    case QUANT_Q3_K:
        return less(_mm256_or_si256(two_bits(strip + 32, part, 1), one_bit(strip, part, 3)), 8);
    case QUANT_Q4_K:
        return four_bits(strip + 16, part);
    case QUANT_Q5_K:
        return _mm256_or_si256(four_bits(strip + 48, part), one_bit(strip + 16, part, 4));
    case QUANT_Q6_K:
        return less(numbers_q6_k(strip, part), 32);
    case QUANT_IQ4_XS:
        return look_up(QUANT_IQ4_VALUES, nibbles_at(strip + 8 + part * (BLOCK / 2)));
    default:
        return numbers_of_small_block(type, strip + (uint64_t)part * block_bytes(type));
    }
}

/* A part as floats. */
INLINE void load_part(uint32_t type, const uint8_t *strip, uint32_t part,
                      const struct strip_scales *scales, __m256 out[VECTORS])
{
    uint32_t first = has_half_scales(type) ? 2 * part : part;
    uint32_t second = has_half_scales(type) ? first + 1 : first;
    const __m256 scale[2] = {_mm256_set1_ps(scales->scale[first]),
                             _mm256_set1_ps(scales->scale[second])};

    if (has_offsets(type)) {
        const __m256 offset[2] = {_mm256_set1_ps(scales->offset[first]),
                                  _mm256_set1_ps(scales->offset[second])};

        scale_u8(numbers_of_part(type, strip, part), scale, offset, out);
    } else {
        scale_i8(numbers_of_part(type, strip, part), scale, out);
    }
}

#endif

#endif

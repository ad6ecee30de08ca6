/* Owns the plain readers of types whose blocks have 256 elements: eight parts of 32, whose own
 * scales are small numbers that share the block's. Part p of a block are elements 32p to 32p + 31.
 *
 * Numbers of two bits lie in planes: byte b of the first 32 holds element b of parts 0, 1, 2 and 3,
 * part 0 lowest; the next 32 bytes hold parts 4 to 7 in the same way. */
#include "hip/model/quant_readers.h"

enum { PART = 32, PARTS = QUANT_K_BLOCK / PART, HALF_PARTS = PARTS / 2 };

/* Element J of part P in planes of two bits. */
static int two_bits(const uint8_t *planes, size_t p, size_t j)
{
    return planes[p / HALF_PARTS * PART + j] >> 2 * (p % HALF_PARTS) & 3;
}

/* Element J of part P, which shares its bytes with a neighbour: even parts are the low nibbles. */
static int four_bits(const uint8_t *nibbles, size_t p, size_t j)
{
    return nibbles[p / 2 * PART + j] >> 4 * (p % 2) & 0xf;
}

/* 84 bytes: 16 bytes, each for 16 elements, with a scale in the low nibble and a minimum in the
 * high one; 64 bytes of two-bit planes; f16 scale; f16 minimum.
 * x = scale * s * q - minimum * m. */
void quant_decode_q2_k(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_K_BLOCK, block += 84) {
        float scale = quant_load_f16(block + 80);
        float minimum = quant_load_f16(block + 82);

        for (size_t at = 0; at < QUANT_K_BLOCK; at++) {
            uint8_t packed = block[at / 16];
            int q = two_bits(block + 16, at / PART, at % PART);

            out[i + at] = scale * (float)(packed & 0xf) * (float)q - minimum * (float)(packed >> 4);
        }
    }
}

/* Scale INDEX of 16, six bits: the low four in the low nibbles of bytes 0 to 7, then in their high
 * nibbles; the upper two in bytes 8 to 11, four scales apart in one byte. */
static int scale_of_q3_k(const uint8_t *packed, size_t index)
{
    int low = packed[index % 8] >> 4 * (index / 8) & 0xf;
    int high = packed[8 + index % 4] >> 2 * (index / 4) & 3;

    return (low | high << 4) - 32;
}

/* 110 bytes: 32 bytes of third bits (bit p of byte b is element b of part p), 64 bytes of two-bit
 * planes, 12 bytes of scales for 16 elements each, f16 scale. A third bit that is clear means four
 * less: x = scale * s * (q - 4), with q of three bits. */
void quant_decode_q3_k(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_K_BLOCK, block += 110) {
        float scale = quant_load_f16(block + 108);

        for (size_t at = 0; at < QUANT_K_BLOCK; at++) {
            float s = scale * (float)scale_of_q3_k(block + 96, at / 16);
            int third = block[at % PART] >> at / PART & 1;
            int q = two_bits(block + 32, at / PART, at % PART) | third << 2;

            out[i + at] = s * (float)(q - 4);
        }
    }
}

/* The scale and the minimum of part P of a Q4_K or Q5_K block, which begins with the f16 scale and
 * minimum of the whole and 12 bytes of six bits for each part's. The first four scales are the low
 * six bits of bytes 0 to 3, the first four minima those of bytes 4 to 7. The other four have their
 * low bits in bytes 8 to 11, scale in the low nibble and minimum in the high one, and their upper
 * two where those bytes have room: the scale's on top of byte p - 4, the minimum's of byte p. */
static void part_scales(const uint8_t *block, size_t p, float *out_scale, float *out_minimum)
{
    const uint8_t *packed = block + 4;
    int scale = packed[p] & 0x3f;
    int minimum = packed[p + 4] & 0x3f;

    if (p >= HALF_PARTS) {
        scale = (packed[p + 4] & 0xf) | packed[p - 4] >> 6 << 4;
        minimum = packed[p + 4] >> 4 | packed[p] >> 6 << 4;
    }
    *out_scale = quant_load_f16(block) * (float)scale;
    *out_minimum = quant_load_f16(block + 2) * (float)minimum;
}

/* One block of Q4_K or, where there are FIFTH_BITS, of Q5_K. */
static void decode_with_minima(const uint8_t *block, const uint8_t *fifth_bits,
                               const uint8_t *nibbles, float *out)
{
    for (size_t p = 0; p < PARTS; p++) {
        float scale = 0.0f;
        float minimum = 0.0f;

        part_scales(block, p, &scale, &minimum);
        for (size_t j = 0; j < PART; j++) {
            int fifth = fifth_bits != NULL ? fifth_bits[j] >> p & 1 : 0;
            int q = four_bits(nibbles, p, j) | fifth << 4;

            out[p * PART + j] = scale * (float)q - minimum;
        }
    }
}

/* 144 bytes: f16 scale, f16 minimum, 12 bytes of scales and minima for 32 elements each, 128 bytes
 * of nibbles: 32 bytes for two parts, low nibbles the first.
 * x = scale * s * q - minimum * m. */
void quant_decode_q4_k(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_K_BLOCK, block += 144)
        decode_with_minima(block, NULL, block + 16, out + i);
}

/* 176 bytes: scales as in Q4_K, 32 bytes of fifth bits (bit p of byte b is element b of part p),
 * 128 bytes of nibbles as in Q4_K. x = scale * s * q - minimum * m. */
void quant_decode_q5_k(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_K_BLOCK, block += 176)
        decode_with_minima(block, block + 16, block + 48, out + i);
}

/* 210 bytes: 128 bytes of low nibbles, 64 bytes of two-bit planes above them, 16 signed bytes of
 * scales for 16 elements each, f16 scale. Of the nibbles, the first 64 bytes are the first half of
 * the block: bytes 0 to 31 hold parts 0 (low) and 2 (high), bytes 32 to 63 parts 1 and 3.
 * x = scale * s * (q - 32). */
void quant_decode_q6_k(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_K_BLOCK, block += 210) {
        float scale = quant_load_f16(block + 208);

        for (size_t at = 0; at < QUANT_K_BLOCK; at++) {
            size_t half = at / (QUANT_K_BLOCK / 2);
            size_t p = at / PART % HALF_PARTS;
            uint8_t packed = block[64 * half + PART * (p % 2) + at % PART];
            int low = packed >> 4 * (p / 2) & 0xf;
            int q = low | two_bits(block + 128, at / PART, at % PART) << 4;

            out[i + at] = scale * (float)(int8_t)block[192 + at / 16] * (float)(q - 32);
        }
    }
}

/* 136 bytes: f16 scale; 16 bits and then four bytes with the upper two and the low four bits of the
 * scales of the parts, part 0 lowest; 16 bytes of nibbles a part, low nibbles its elements 0 to 15
 * and high ones 16 to 31. x = scale * (s - 32) * QUANT_IQ4_VALUES[q]. */
void quant_decode_iq4_xs(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_K_BLOCK, block += 136) {
        uint32_t high = quant_load_u16(block + 2);
        uint32_t low = quant_load_u32(block + 4);

        for (size_t p = 0; p < PARTS; p++) {
            int s = (int)((low >> 4 * p & 0xf) | (high >> 2 * p & 3) << 4) - 32;
            float scale = quant_load_f16(block) * (float)s;
            const uint8_t *nibbles = block + 8 + 16 * p;

            for (size_t j = 0; j < PART; j++) {
                int q = nibbles[j % 16] >> 4 * (j / 16) & 0xf;

                out[i + p * PART + j] = scale * (float)QUANT_IQ4_VALUES[q];
            }
        }
    }
}

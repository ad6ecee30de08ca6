/* Owns the plain readers of types whose blocks have 32 elements and scales of their own. In all
 * that pack two numbers to a byte, low nibbles are elements 0 to 15 and high ones 16 to 31. */
#include "hip/model/quant_readers.h"

enum { PAIRS = QUANT_BLOCK / 2 };

const int8_t QUANT_IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

const int8_t QUANT_E2M1_DOUBLED[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 34 bytes: f16 scale, 32 signed bytes. x = scale * q. */
void quant_decode_q8_0(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 34) {
        float scale = quant_load_f16(block);

        for (size_t j = 0; j < QUANT_BLOCK; j++)
            out[i + j] = scale * (float)(int8_t)block[2 + j];
    }
}

/* 18 bytes: f16 scale, 16 bytes of nibbles. x = scale * (q - 8). */
void quant_decode_q4_0(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 18) {
        float scale = quant_load_f16(block);

        for (size_t j = 0; j < PAIRS; j++) {
            out[i + j] = scale * (float)((block[2 + j] & 0xf) - 8);
            out[i + j + PAIRS] = scale * (float)((block[2 + j] >> 4) - 8);
        }
    }
}

/* 20 bytes: f16 scale, f16 minimum, 16 bytes of nibbles. x = scale * q + minimum. */
void quant_decode_q4_1(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 20) {
        float scale = quant_load_f16(block);
        float minimum = quant_load_f16(block + 2);

        for (size_t j = 0; j < PAIRS; j++) {
            out[i + j] = scale * (float)(block[4 + j] & 0xf) + minimum;
            out[i + j + PAIRS] = scale * (float)(block[4 + j] >> 4) + minimum;
        }
    }
}

/* Number J of 32: a nibble of NIBBLES, and above it bit J of FIFTH_BITS. */
static int five_bits(const uint8_t *nibbles, uint32_t fifth_bits, size_t j)
{
    int nibble = j < PAIRS ? nibbles[j] & 0xf : nibbles[j - PAIRS] >> 4;

    return nibble | (int)(fifth_bits >> j & 1) << 4;
}

/* 22 bytes: f16 scale, 32 fifth bits (little endian, element 0 lowest), 16 bytes of nibbles.
 * x = scale * (q - 16). */
void quant_decode_q5_0(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 22) {
        float scale = quant_load_f16(block);
        uint32_t fifth_bits = quant_load_u32(block + 2);

        for (size_t j = 0; j < QUANT_BLOCK; j++)
            out[i + j] = scale * (float)(five_bits(block + 6, fifth_bits, j) - 16);
    }
}

/* 24 bytes: f16 scale, f16 minimum, fifth bits and nibbles as in Q5_0. x = scale * q + minimum. */
void quant_decode_q5_1(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 24) {
        float scale = quant_load_f16(block);
        float minimum = quant_load_f16(block + 2);
        uint32_t fifth_bits = quant_load_u32(block + 4);

        for (size_t j = 0; j < QUANT_BLOCK; j++)
            out[i + j] = scale * (float)five_bits(block + 8, fifth_bits, j) + minimum;
    }
}

/* 16 bytes of nibbles, each the place of a value: x = scale * value. */
static void decode_looked_up(const uint8_t *nibbles, const int8_t values[16], float scale,
                             float *out)
{
    for (size_t j = 0; j < PAIRS; j++) {
        out[j] = scale * (float)values[nibbles[j] & 0xf];
        out[j + PAIRS] = scale * (float)values[nibbles[j] >> 4];
    }
}

/* 18 bytes: f16 scale, 16 bytes of nibbles. x = scale * QUANT_IQ4_VALUES[q]. */
void quant_decode_iq4_nl(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 18)
        decode_looked_up(block + 2, QUANT_IQ4_VALUES, quant_load_f16(block), out + i);
}

/* 17 bytes: one byte e, 16 bytes of nibbles. x = 2^(e - 127) * the four-bit float q. */
void quant_decode_mxfp4(const void *blocks, float *out, size_t count)
{
    const uint8_t *block = blocks;

    for (size_t i = 0; i < count; i += QUANT_BLOCK, block += 17)
        decode_looked_up(block + 1, QUANT_E2M1_DOUBLED, quant_e8m0_halved(block[0]), out + i);
}

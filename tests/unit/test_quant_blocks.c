/* Tensor types by hand: small blocks written out byte by byte, and the numbers that the description
 * of the format gives for them, worked out on paper. Catches what a formula and a reader could have
 * wrong together. */
#include "hip/model/quant.h"

#include "common/attr.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Halves, low byte first. */
#define HALF_ONE 0x00, 0x3c
#define HALF_QUARTER 0x00, 0x34
#define HALF_SMALLEST 0x01, 0x00 /* 2^-24 */

static void expect_float(float got, float expected, const char *what, size_t index)
{
    if (got != expected || !signbit(got) != !signbit(expected))
        fail_msg("%s element %zu: %g, not %g", what, index, (double)got, (double)expected);
}

static void q5_0_takes_its_fifth_bits_in_order_and_subtracts_16(void **state)
{
    /* Bits 0, 17 and 31 are set. */
    const uint8_t block[22] = {HALF_ONE, 0x01, 0x00, 0x02, 0x80, 0x21};
    float out[32];

    quant_decode(QUANT_Q5_0, block, out, 32);
    expect_float(out[0], 1.0f, "Q5_0", 0);
    expect_float(out[1], -16.0f, "Q5_0", 1);
    expect_float(out[16], -14.0f, "Q5_0", 16);
    expect_float(out[17], 0.0f, "Q5_0", 17);
    expect_float(out[31], 0.0f, "Q5_0", 31);
}

static void q5_1_adds_its_minimum_and_subtracts_nothing(void **state)
{
    const uint8_t block[24] = {HALF_ONE, HALF_QUARTER, 0x01, 0x00, 0x02, 0x80, 0x21};
    float out[32];

    quant_decode(QUANT_Q5_1, block, out, 32);
    expect_float(out[0], 17.25f, "Q5_1", 0);
    expect_float(out[1], 0.25f, "Q5_1", 1);
    expect_float(out[16], 2.25f, "Q5_1", 16);
    expect_float(out[17], 16.25f, "Q5_1", 17);
}

/* Byte i holds number i in its low nibble and 15 - i in its high one. */
static void put_all_nibbles(uint8_t *nibbles)
{
    for (unsigned i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)(i | (15 - i) << 4);
}

static void iq4_nl_looks_each_nibble_up(void **state)
{
    static const float VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
    uint8_t block[18] = {HALF_SMALLEST};
    float out[32];

    put_all_nibbles(block + 2);
    quant_decode(QUANT_IQ4_NL, block, out, 32);
    for (size_t i = 0; i < 16; i++) {
        expect_float(out[i], VALUES[i] * 0x1p-24f, "IQ4_NL", i);
        expect_float(out[16 + i], VALUES[15 - i] * 0x1p-24f, "IQ4_NL", 16 + i);
    }
}

static void mxfp4_is_a_four_bit_float_times_a_power_of_two(void **state)
{
    static const float VALUES[16] = {0.0f, 0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                     0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    /* The first two exponents make subnormal scales; 255 is 2^128, though the MX specification
     * keeps it for NaN. */
    static const int EXPONENTS[] = {0, 1, 2, 126, 127, 128, 200, 252, 255};

    for (size_t e = 0; e < ARRAY_COUNT(EXPONENTS); e++) {
        uint8_t block[17] = {(uint8_t)EXPONENTS[e]};
        float out[32];

        put_all_nibbles(block + 1);
        quant_decode(QUANT_MXFP4, block, out, 32);
        for (size_t i = 0; i < 16; i++) {
            float expected = ldexpf(VALUES[i], EXPONENTS[e] - 127);

            expect_float(out[i], expected, "MXFP4", i);
            expect_float(out[31 - i], expected, "MXFP4", 31 - i);
        }
    }
}

/* Parts of 32 share bytes of four numbers; each 16 have a nibble of scale and one of minimum. */
static void q2_k_has_four_parts_in_a_byte_and_a_minimum_for_16(void **state)
{
    uint8_t block[84] = {0x31, 0x02, 0x04};
    float out[256];

    block[13] = 0xf5; /* scale 5, minimum 15 of elements 208 to 223 */
    block[16] = 0xe4; /* 3 2 1 0 */
    block[16 + 16] = 0x01;
    block[16 + 32 + 20] = 0x30; /* part 6, element 20: number 212 */
    memcpy(block + 80, (uint8_t[]){HALF_ONE, HALF_QUARTER}, 4);
    quant_decode(QUANT_Q2_K, block, out, 256);
    expect_float(out[0], -0.75f, "Q2_K", 0);   /* 1 * 0 - 3 / 4 */
    expect_float(out[16], 2.0f, "Q2_K", 16);   /* 2 * 1 */
    expect_float(out[32], 4.0f, "Q2_K", 32);   /* 4 * 1 */
    expect_float(out[64], 0.0f, "Q2_K", 64);   /* scale 0 */
    expect_float(out[207], 0.0f, "Q2_K", 207); /* the 16 before */
    expect_float(out[208], -3.75f, "Q2_K", 208);
    expect_float(out[212], 11.25f, "Q2_K", 212); /* 5 * 3 - 15 / 4 */
}

/* Scale 0 of 64 is -32, and a clear third bit is four less. */
static void q3_k_has_scales_less_32_and_a_third_bit_that_adds(void **state)
{
    uint8_t block[110] = {0x01, [7] = 0x80};
    float out[256];

    block[32] = 0xe4;
    block[96] = 0xf1;  /* scale 0: low bits 1; scale 8: low bits 15 */
    block[103] = 0xa0; /* scale 15: low bits 10 */
    block[104] = 0x32; /* scale 0: upper bits 2; scale 8: upper bits 3 */
    block[107] = 0x40; /* scale 15: upper bits 1 */
    memcpy(block + 108, (uint8_t[]){HALF_ONE}, 2);
    quant_decode(QUANT_Q3_K, block, out, 256);
    expect_float(out[0], 0.0f, "Q3_K", 0);        /* (33 - 32) * (4 + 0 - 4) */
    expect_float(out[1], -4.0f, "Q3_K", 1);       /* 1 * -4 */
    expect_float(out[32], 96.0f, "Q3_K", 32);     /* (0 - 32) * (1 - 4) */
    expect_float(out[96], 32.0f, "Q3_K", 96);     /* (0 - 32) * (3 - 4) */
    expect_float(out[128], -124.0f, "Q3_K", 128); /* (63 - 32) * -4 */
    expect_float(out[231], -0.0f, "Q3_K", 231);   /* part 7, element 7: -32 * (4 - 4) */
    expect_float(out[255], 24.0f, "Q3_K", 255);   /* (26 - 32) * -4 */
}

/* Scales 1, 9, ... 57 and minima 63, 55, ... 7, packed by hand. */
static const uint8_t SIX_BITS[12] = {0x81, 0x89, 0xd1, 0xd9, 0x7f, 0x77,
                                     0x2f, 0x27, 0xf1, 0x79, 0xf1, 0x79};

static void q4_k_unpacks_the_last_four_scales_otherwise(void **state)
{
    uint8_t block[144] = {HALF_ONE, HALF_QUARTER};
    float out[256];

    memcpy(block + 4, SIX_BITS, sizeof(SIX_BITS));
    memset(block + 16, 0x21, 128); /* even parts 1, odd parts 2 */
    quant_decode(QUANT_Q4_K, block, out, 256);
    for (size_t i = 0; i < 256; i++) {
        float scale = (float)(1 + 8 * (i / 32));
        float minimum = (float)(63 - 8 * (i / 32)) / 4.0f;
        float q = i / 32 % 2 == 0 ? 1.0f : 2.0f;

        expect_float(out[i], scale * q - minimum, "Q4_K", i);
    }
}

static void q5_k_has_the_fifth_bit_of_each_part_in_one_byte(void **state)
{
    uint8_t block[176] = {HALF_ONE, HALF_QUARTER};
    float out[256];

    memcpy(block + 4, SIX_BITS, sizeof(SIX_BITS));
    memset(block + 16, 0x82, 32); /* parts 1 and 7 */
    memset(block + 48, 0x21, 128);
    quant_decode(QUANT_Q5_K, block, out, 256);
    for (size_t i = 0; i < 256; i++) {
        float scale = (float)(1 + 8 * (i / 32));
        float minimum = (float)(63 - 8 * (i / 32)) / 4.0f;
        float q = (i / 32 % 2 == 0 ? 1.0f : 2.0f) + (i / 32 == 1 || i / 32 == 7 ? 16.0f : 0.0f);

        expect_float(out[i], scale * q - minimum, "Q5_K", i);
    }
}

static void q6_k_has_two_halves_and_signed_scales(void **state)
{
    uint8_t block[210] = {[3] = 0x5a, [35] = 0x17, [64] = 0xf0};
    float out[256];

    block[128 + 3] = 0xe4; /* parts 0 to 3, element 3: upper bits 0 1 2 3 */
    block[128 + 32] = 0x30;
    block[192] = 1;
    block[192 + 2] = 2;
    block[192 + 4] = 0xff; /* -1 */
    block[192 + 6] = 3;
    block[192 + 12] = 0x80; /* -128 */
    memcpy(block + 208, (uint8_t[]){HALF_ONE}, 2);
    quant_decode(QUANT_Q6_K, block, out, 256);
    expect_float(out[0], -32.0f, "Q6_K", 0);
    expect_float(out[3], -22.0f, "Q6_K", 3);       /* 10 - 32 */
    expect_float(out[35], -18.0f, "Q6_K", 35);     /* 2 * (16 + 7 - 32) */
    expect_float(out[67], -5.0f, "Q6_K", 67);      /* -1 * (32 + 5 - 32) */
    expect_float(out[99], 51.0f, "Q6_K", 99);      /* 3 * (48 + 1 - 32) */
    expect_float(out[192], -3968.0f, "Q6_K", 192); /* -128 * (48 + 15 - 32) */
    expect_float(out[193], 4096.0f, "Q6_K", 193);  /* -128 * -32 */
}

static void iq4_xs_has_six_bits_of_scale_less_32(void **state)
{
    uint8_t block[136] = {HALF_ONE};
    float out[256];

    block[3] = 0xc0;       /* part 7: upper bits 3 */
    block[4 + 3] = 0xf0;   /* part 7: low bits 15 */
    block[4] = 0x01;       /* part 0: low bits 1 */
    block[2] = 0x02;       /* part 0: upper bits 2 */
    block[8] = 0xf8;       /* elements 0 and 16 */
    block[8 + 112] = 0x08; /* element 224 */
    quant_decode(QUANT_IQ4_XS, block, out, 256);
    expect_float(out[0], 1.0f, "IQ4_XS", 0);         /* (33 - 32) * 1 */
    expect_float(out[16], 113.0f, "IQ4_XS", 16);     /* 1 * 113 */
    expect_float(out[32], 4064.0f, "IQ4_XS", 32);    /* -32 * -127 */
    expect_float(out[224], 31.0f, "IQ4_XS", 224);    /* (63 - 32) * 1 */
    expect_float(out[240], -3937.0f, "IQ4_XS", 240); /* 31 * -127 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q5_0_takes_its_fifth_bits_in_order_and_subtracts_16),
        cmocka_unit_test(q5_1_adds_its_minimum_and_subtracts_nothing),
        cmocka_unit_test(iq4_nl_looks_each_nibble_up),
        cmocka_unit_test(mxfp4_is_a_four_bit_float_times_a_power_of_two),
        cmocka_unit_test(q2_k_has_four_parts_in_a_byte_and_a_minimum_for_16),
        cmocka_unit_test(q3_k_has_scales_less_32_and_a_third_bit_that_adds),
        cmocka_unit_test(q4_k_unpacks_the_last_four_scales_otherwise),
        cmocka_unit_test(q5_k_has_the_fifth_bit_of_each_part_in_one_byte),
        cmocka_unit_test(q6_k_has_two_halves_and_signed_scales),
        cmocka_unit_test(iq4_xs_has_six_bits_of_scale_less_32),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tensor types: each reader against the formula of its format, written here a second time and the
 * other way round (element by element, not block by block); halves against arithmetic. */
#include "hip/model/quant.h"

#include "common/attr.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ELEMENTS = 768, HALF_COUNT = 65536 };

/* (-1)^s * 2^(e-15) * (1 + m/1024), or m/1024 * 2^-14 where e is 0. */
static double half_by_formula(uint16_t half)
{
    double sign = half & 0x8000 ? -1.0 : 1.0;
    int exponent = half >> 10 & 31;
    double mantissa = (half & 1023) / 1024.0;

    if (exponent == 0)
        return sign * ldexp(mantissa, -14);
    if (exponent == 31)
        return mantissa == 0.0 ? sign * INFINITY : NAN;
    return sign * ldexp(1.0 + mantissa, exponent - 15);
}

static void every_half_reads_as_its_formula_and_writes_back_the_same(void **state)
{
    for (uint32_t half = 0; half < HALF_COUNT; half++) {
        double expected = half_by_formula((uint16_t)half);
        float value = quant_f16_to_f32((uint16_t)half);

        if (isnan(expected)) {
            assert_true(isnan(value));
            assert_true(isnan(quant_f16_to_f32(quant_f32_to_f16(value))));
            continue;
        }
        assert_true((double)value == expected && !signbit(value) == !signbit(expected));
        assert_int_equal(quant_f32_to_f16(value), half);
    }
}

/* Halfway between two neighbours goes to the even one, anything else to the nearer. */
static void writing_a_half_rounds_to_nearest_even(void **state)
{
    for (uint16_t half = 0; half < 0x7bff; half++) {
        double low = half_by_formula(half);
        double high = half_by_formula((uint16_t)(half + 1));
        float middle = (float)((low + high) / 2); /* exact: a float has 13 bits more */

        assert_int_equal(quant_f32_to_f16(middle), half % 2 == 0 ? half : half + 1);
        assert_int_equal(quant_f32_to_f16(nextafterf(middle, INFINITY)), half + 1);
        assert_int_equal(quant_f32_to_f16(nextafterf(middle, 0.0f)), half);
    }
    assert_int_equal(quant_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(quant_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(quant_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(quant_f32_to_f16(1e-30f), 0);
    assert_int_equal(quant_f32_to_f16(-0.0f), 0x8000);
}

static void bf16_is_the_upper_half_of_a_float_even_where_f16_would_overflow(void **state)
{
    assert_true(quant_bf16_to_f32(0x3f80) == 1.0f);
    assert_true(quant_bf16_to_f32(0x7f00) == 0x1p127f);
    assert_int_equal(quant_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(quant_f32_to_bf16(1.00390625f), 0x3f80); /* a tie, to even */
    assert_int_equal(quant_f32_to_bf16(1.01171875f), 0x3f82);
    assert_true(isnan(quant_bf16_to_f32(quant_f32_to_bf16(NAN))));
}

static uint16_t u16_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* What the formula of a type with a scale and an offset gives; exact for the scales of fill(). */
static double scaled(uint16_t half, int scale, int q)
{
    return half_by_formula(half) * scale * q;
}

/* COUNT bits of BYTES from bit FIRST on, bit 0 the lowest of the first byte. */
static int bits_at(const uint8_t *bytes, uint32_t first, uint32_t count)
{
    int value = 0;

    for (uint32_t i = 0; i < count; i++)
        value |= (bytes[(first + i) / 8] >> (first + i) % 8 & 1) << i;
    return value;
}

/* Nibble I of 32: byte i mod 16, upper half from 16 on. */
static int nibble_at(const uint8_t *nibbles, uint32_t i)
{
    return bits_at(nibbles, i % 16 * 8 + i / 16 * 4, 4);
}

static int iq4_value(int q)
{
    static const int VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

    return VALUES[q];
}

/* Sign, two bits of exponent with bias 1, one of mantissa; exponent 0 is subnormal. */
static double e2m1_by_formula(int q)
{
    double sign = q & 8 ? -1.0 : 1.0;
    int exponent = q >> 1 & 3;
    double mantissa = (q & 1) / 2.0;

    return sign * (exponent == 0 ? mantissa : ldexp(1.0 + mantissa, exponent - 1));
}

/* Element I of a block of 32, by the description of its format. */
static double block_element(uint32_t type, const uint8_t *block, uint32_t i)
{
    uint16_t scale = u16_at(block);

    switch (type) {
    case QUANT_Q8_0:
        return scaled(scale, 1, (int8_t)block[2 + i]);
    case QUANT_Q4_0:
        return scaled(scale, 1, nibble_at(block + 2, i) - 8);
    case QUANT_Q4_1:
        return scaled(scale, 1, nibble_at(block + 4, i)) + half_by_formula(u16_at(block + 2));
    case QUANT_Q5_0:
        return scaled(scale, 1, nibble_at(block + 6, i) + 16 * bits_at(block + 2, i, 1) - 16);
    case QUANT_Q5_1:
        return scaled(scale, 1, nibble_at(block + 8, i) + 16 * bits_at(block + 4, i, 1)) +
               half_by_formula(u16_at(block + 2));
    case QUANT_IQ4_NL:
        return scaled(scale, 1, iq4_value(nibble_at(block + 2, i)));
    case QUANT_MXFP4:
        return ldexp(e2m1_by_formula(nibble_at(block + 1, i)), block[0] - 127);
    default:
        fail_msg("no formula for type %u: write one", type);
        return 0.0;
    }
}

/* Six bits each: 0 to 7 are the scales of Q4_K and Q5_K, 8 to 15 their minima. Told as the bits of
 * the 12 bytes: the low six of bytes 0 to 3 and 4 to 7, and for the rest four in bytes 8 to 11 and
 * two at the top of bytes 0 to 3 (scales) or 4 to 7 (minima). */
static int packed_scale(const uint8_t *packed, uint32_t index)
{
    uint32_t bank = index / 8; /* 0: scales, 1: minima */
    uint32_t i = index % 8;

    if (i < 4)
        return bits_at(packed, 32 * bank + 8 * i, 6);
    return bits_at(packed, 64 + 8 * (i - 4) + 4 * bank, 4) +
           16 * bits_at(packed, 32 * bank + 8 * (i - 4) + 6, 2);
}

/* Element I of a block of 256, by the description of its format. */
static double k_element(uint32_t type, const uint8_t *block, uint32_t i)
{
    uint32_t part = i / 32;
    uint32_t in_part = i % 32;
    /* Where two bits of element I are among 64 bytes, and four among 128, two parts to 32 bytes. */
    uint32_t pair = 256 * (i / 128) + 8 * in_part + 2 * (part % 4);
    uint32_t nibble = 256 * (i / 64) + 8 * in_part + 4 * (part % 2);
    int q = 0;

    switch (type) {
    case QUANT_Q2_K:
        return scaled(u16_at(block + 80), block[i / 16] & 15, bits_at(block + 16, pair, 2)) -
               scaled(u16_at(block + 82), block[i / 16] >> 4, 1);
    case QUANT_Q3_K:
        q = bits_at(block + 32, pair, 2) - (bits_at(block, 8 * in_part + part, 1) ? 0 : 4);
        return scaled(u16_at(block + 108),
                      bits_at(block + 96, i / 16 % 8 * 8 + i / 128 * 4, 4) +
                          16 * bits_at(block + 104, i / 16 % 4 * 8 + i / 64 * 2, 2) - 32,
                      q);
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        q = type == QUANT_Q4_K
                ? bits_at(block + 16, nibble, 4)
                : bits_at(block + 48, nibble, 4) + 16 * bits_at(block + 16, 8 * in_part + part, 1);
        return scaled(u16_at(block), packed_scale(block + 4, part), q) -
               scaled(u16_at(block + 2), packed_scale(block + 4, 8 + part), 1);
    case QUANT_Q6_K:
        q = bits_at(block, 512 * (i / 128) + 8 * (i % 64) + i % 128 / 64 * 4, 4) +
            16 * bits_at(block + 128, pair, 2) - 32;
        return scaled(u16_at(block + 208), (int8_t)block[192 + i / 16], q);
    case QUANT_IQ4_XS:
        return scaled(u16_at(block),
                      bits_at(block + 4, 4 * part, 4) + 16 * bits_at(block + 2, 2 * part, 2) - 32,
                      iq4_value(nibble_at(block + 8 + 16 * part, in_part)));
    default:
        fail_msg("no formula for type %u: write one", type);
        return 0.0;
    }
}

/* Element I of a row at BYTES. */
static double element_by_formula(uint32_t type, const uint8_t *bytes, uint32_t i)
{
    const struct quant_info *info = quant_info(type);
    const uint8_t *block = bytes + (size_t)i / info->block_elements * info->block_bytes;
    float single = 0.0f;

    switch (type) {
    case QUANT_F32:
        memcpy(&single, block, sizeof(single));
        return (double)single;
    case QUANT_F16:
        return half_by_formula(u16_at(block));
    case QUANT_BF16:
        return (double)quant_bf16_to_f32(u16_at(block));
    default:
        return info->block_elements == 32 ? block_element(type, block, i % 32)
                                          : k_element(type, block, i % info->block_elements);
    }
}

/* Where the halves of a block are: scales and minima. Ends with -1. */
static const int *halves_of(uint32_t type)
{
    static const int NONE[] = {-1};
    static const int FIRST[] = {0, -1};
    static const int FIRST_TWO[] = {0, 2, -1};
    static const int OF_Q2_K[] = {80, 82, -1};
    static const int OF_Q3_K[] = {108, -1};
    static const int OF_Q6_K[] = {208, -1};

    switch (type) {
    case QUANT_F32:
    case QUANT_MXFP4:
        return NONE;
    case QUANT_Q4_1:
    case QUANT_Q5_1:
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        return FIRST_TWO;
    case QUANT_Q2_K:
        return OF_Q2_K;
    case QUANT_Q3_K:
        return OF_Q3_K;
    case QUANT_Q6_K:
        return OF_Q6_K;
    default:
        return FIRST;
    }
}

/* Random bytes, but for scales that are finite and have so few bits that every step of the formula
 * is exact in a float: whatever differs at all is wrong. */
static void fill(uint32_t type, uint8_t *bytes, size_t len, uint64_t *seed)
{
    const struct quant_info *info = quant_info(type);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)tiny_next(seed);
    for (size_t at = 0; at < len; at += info->block_bytes) {
        float single = tiny_uniform(seed);

        for (const int *place = halves_of(type); *place >= 0; place++) {
            uint16_t half = quant_f32_to_f16(floorf(tiny_uniform(seed) * 64.0f) / 64.0f);

            memcpy(bytes + at + *place, &half, sizeof(half));
        }
        if (type == QUANT_F32)
            memcpy(bytes + at, &single, sizeof(single));
        if (type == QUANT_MXFP4)
            bytes[at] =
                (uint8_t)(bytes[at] % 253); /* 2^125 times 6 is finite, 2^126 times 6 is not */
    }
}

static bool is_read(uint32_t type)
{
    return quant_info(type) != NULL && quant_info(type)->decode != NULL;
}

static void every_reader_agrees_with_the_formula_of_its_format(void **state)
{
    uint64_t seed = 7;

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        uint8_t bytes[ELEMENTS * sizeof(float) + 1];
        float out[ELEMENTS];

        for (int round = 0; is_read(type) && round < 20; round++) {
            /* One byte in: blocks in a file are not aligned. */
            fill(type, bytes + 1, quant_row_bytes(type, ELEMENTS), &seed);
            quant_decode(type, bytes + 1, out, ELEMENTS);
            for (uint32_t i = 0; i < ELEMENTS; i++) {
                double expected = element_by_formula(type, bytes + 1, i);

                if ((double)out[i] != expected)
                    fail_msg("%s element %u: %g, not %g", quant_info(type)->name, i, (double)out[i],
                             expected);
            }
        }
    }
}

/* Subnormal scales and the largest: a block whose halves are multiplied by a power of two is
 * multiplied by it. */
static void a_scale_of_any_size_scales_the_whole_block(void **state)
{
    static const uint16_t HALVES[] = {0x0001, 0x0200, 0x0400, 0x7800, 0x8001, 0xf800};
    uint64_t seed = 9;

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        if (!is_read(type) || quant_info(type)->block_elements == 1 || *halves_of(type) < 0)
            continue;
        for (size_t h = 0; h < ARRAY_COUNT(HALVES); h++) {
            static const uint16_t ONE = 0x3c00;
            uint8_t block[256];
            float of_one[256];
            float out[256];

            fill(type, block, quant_info(type)->block_bytes, &seed);
            for (const int *place = halves_of(type); *place >= 0; place++)
                memcpy(block + *place, &ONE, sizeof(ONE));
            quant_decode(type, block, of_one, quant_info(type)->block_elements);
            for (const int *place = halves_of(type); *place >= 0; place++)
                memcpy(block + *place, &HALVES[h], sizeof(HALVES[h]));
            quant_decode(type, block, out, quant_info(type)->block_elements);
            for (uint32_t i = 0; i < quant_info(type)->block_elements; i++)
                assert_true((double)out[i] == (double)of_one[i] * half_by_formula(HALVES[h]));
        }
    }
}

/* A block is wrong when its nibbles are taken as neighbours: the rule above would see it. */
static void swapped_nibbles_differ(void **state)
{
    uint8_t block[18] = {0x00, 0x3c, 0x0f};
    float out[32];

    quant_decode(QUANT_Q4_0, block, out, 32);
    assert_true(out[0] == 7.0f && out[16] == -8.0f && out[1] == -8.0f);
}

/* Of values in [-1, 1): a little more than half a step, and for blocks of 256 what rounding of the
 * scales adds. */
static double write_tolerance(uint32_t type)
{
    switch (type) {
    case QUANT_F32:
        return 0.0;
    case QUANT_F16:
        return 0x1p-12;
    case QUANT_BF16:
        return 0x1p-8;
    case QUANT_Q8_0:
        return 0.6 / 127.0;
    case QUANT_Q4_0:
        return 0.6 / 7.0;
    case QUANT_Q4_1:
        return 0.6 * 2.0 / 15.0;
    case QUANT_Q5_0:
        return 1.1 / 16.0; /* the other end of the range has a step less */
    case QUANT_Q5_1:
        return 0.6 * 2.0 / 31.0;
    case QUANT_IQ4_NL:
    case QUANT_IQ4_XS:
        return 17.0 / 127.0; /* the widest gap and the shorter end */
    case QUANT_MXFP4:
        return 2.0 / 6.0; /* a power of two too large, and then half of 4 to 6 */
    case QUANT_Q2_K:
        return 0.75 * 2.0 / 3.0;
    case QUANT_Q3_K:
        return 1.2 / 4.0;
    case QUANT_Q4_K:
        return 0.9 * 2.0 / 15.0;
    case QUANT_Q5_K:
        return 1.2 * 2.0 / 31.0;
    case QUANT_Q6_K:
        return 1.2 / 32.0;
    default:
        fail_msg("no tolerance for type %u: write one", type);
        return 0.0;
    }
}

static void what_the_tests_write_reads_back(void **state)
{
    uint64_t seed = 3;

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        float in[ELEMENTS];
        float out[ELEMENTS];
        AUTO_BUF struct buf blocks = BUF_INIT(sizeof(in));

        if (!is_read(type))
            continue;
        for (size_t i = 0; i < ELEMENTS; i++)
            in[i] = tiny_uniform(&seed);
        writer_encode(&blocks, type, in, ELEMENTS);
        assert_int_equal(blocks.len, quant_row_bytes(type, ELEMENTS));
        quant_decode(type, blocks.data, out, ELEMENTS);
        for (size_t i = 0; i < ELEMENTS; i++) {
            if (fabs((double)out[i] - (double)in[i]) > write_tolerance(type))
                fail_msg("%s element %zu: %g, not %g", quant_info(type)->name, i, (double)out[i],
                         (double)in[i]);
        }
    }
}

static void blocks_of_zeroes_read_as_zeroes(void **state)
{
    const float zeroes[256] = {0.0f};

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        float out[256];
        AUTO_BUF struct buf blocks = BUF_INIT(sizeof(zeroes));

        if (!is_read(type))
            continue;
        writer_encode(&blocks, type, zeroes, 256);
        quant_decode(type, blocks.data, out, 256);
        for (size_t i = 0; i < 256; i++)
            assert_true(out[i] == 0.0f);
    }
}

static void an_id_without_a_type_is_none(void **state)
{
    assert_null(quant_info(QUANT_TYPE_MAX + 1));
    assert_null(quant_info(UINT32_MAX));
    assert_null(quant_info(QUANT_IQ2_XXS)->decode);
    assert_string_equal(quant_info(QUANT_IQ2_XXS)->name, "IQ2_XXS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_reads_as_its_formula_and_writes_back_the_same),
        cmocka_unit_test(writing_a_half_rounds_to_nearest_even),
        cmocka_unit_test(bf16_is_the_upper_half_of_a_float_even_where_f16_would_overflow),
        cmocka_unit_test(every_reader_agrees_with_the_formula_of_its_format),
        cmocka_unit_test(a_scale_of_any_size_scales_the_whole_block),
        cmocka_unit_test(swapped_nibbles_differ),
        cmocka_unit_test(what_the_tests_write_reads_back),
        cmocka_unit_test(blocks_of_zeroes_read_as_zeroes),
        cmocka_unit_test(an_id_without_a_type_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

enum { ELEMENTS = 96, HALF_COUNT = 65536 };

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

/* Element I of a row at BYTES, by the description of the format. */
static double element_by_formula(uint32_t type, const uint8_t *bytes, uint32_t i)
{
    uint32_t in_block = i % 32;
    uint32_t shift = in_block < 16 ? 0 : 4;
    const uint8_t *block = NULL;
    float single = 0.0f;

    switch (type) {
    case QUANT_F32:
        memcpy(&single, bytes + 4 * i, sizeof(single));
        return (double)single;
    case QUANT_F16:
        return half_by_formula(u16_at(bytes + 2 * i));
    case QUANT_BF16:
        return (double)quant_bf16_to_f32(u16_at(bytes + 2 * i));
    case QUANT_Q8_0:
        block = bytes + i / 32 * 34;
        return half_by_formula(u16_at(block)) * (double)(int8_t)block[2 + in_block];
    case QUANT_Q4_0:
        block = bytes + i / 32 * 18;
        return half_by_formula(u16_at(block)) * ((block[2 + in_block % 16] >> shift & 15) - 8);
    case QUANT_Q4_1:
        block = bytes + i / 32 * 20;
        return half_by_formula(u16_at(block)) * (block[4 + in_block % 16] >> shift & 15) +
               half_by_formula(u16_at(block + 2));
    default:
        fail_msg("no formula for type %u: write one", type);
        return 0.0;
    }
}

/* Random bytes, but for scales that are finite. */
static void fill(uint32_t type, uint8_t *bytes, size_t len, uint64_t *seed)
{
    const struct quant_info *info = quant_info(type);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)tiny_next(seed);
    for (size_t at = 0; at < len; at += info->block_bytes) {
        uint16_t scale = quant_f32_to_f16(tiny_uniform(seed));
        float single = tiny_uniform(seed);

        if (type == QUANT_F32)
            memcpy(bytes + at, &single, sizeof(single));
        else
            memcpy(bytes + at, &scale, sizeof(scale));
        if (type == QUANT_Q4_1)
            memcpy(bytes + at + 2, &scale, sizeof(scale));
    }
}

static void every_reader_agrees_with_the_formula_of_its_format(void **state)
{
    uint64_t seed = 7;

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        uint8_t bytes[ELEMENTS * sizeof(float) + 1];
        float out[ELEMENTS];
        uint32_t count = ELEMENTS;

        if (quant_info(type) == NULL || quant_info(type)->decode == NULL)
            continue;
        /* One byte in: blocks in a file are not aligned. */
        fill(type, bytes + 1, quant_row_bytes(type, count), &seed);
        quant_decode(type, bytes + 1, out, count);
        for (uint32_t i = 0; i < count; i++) {
            double expected = element_by_formula(type, bytes + 1, i);

            if (fabs((double)out[i] - expected) > 1e-6 * fabs(expected) + 1e-9)
                fail_msg("%s element %u: %g, not %g", quant_info(type)->name, i, (double)out[i],
                         expected);
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

static void what_the_tests_write_reads_back(void **state)
{
    static const struct {
        uint32_t type;
        double tolerance; /* of values in [-1, 1] */
    } CASES[] = {
        {QUANT_F32, 0.0},          {QUANT_F16, 0x1p-12},    {QUANT_BF16, 0x1p-8},
        {QUANT_Q8_0, 0.6 / 127.0}, {QUANT_Q4_0, 0.6 / 7.0}, {QUANT_Q4_1, 0.6 * 2.0 / 15.0},
    };
    uint64_t seed = 3;

    for (size_t c = 0; c < ARRAY_COUNT(CASES); c++) {
        float in[ELEMENTS];
        float out[ELEMENTS];
        struct buf blocks;

        buf_init(&blocks, sizeof(in));
        for (size_t i = 0; i < ELEMENTS; i++)
            in[i] = tiny_uniform(&seed);
        writer_encode(&blocks, CASES[c].type, in, ELEMENTS);
        assert_int_equal(blocks.len, quant_row_bytes(CASES[c].type, ELEMENTS));
        quant_decode(CASES[c].type, blocks.data, out, ELEMENTS);
        for (size_t i = 0; i < ELEMENTS; i++)
            assert_true(fabs((double)out[i] - (double)in[i]) <= CASES[c].tolerance);
        buf_release(&blocks);
    }
}

static void an_id_without_a_type_is_none(void **state)
{
    assert_null(quant_info(QUANT_TYPE_MAX + 1));
    assert_null(quant_info(UINT32_MAX));
    assert_null(quant_info(QUANT_Q4_K)->decode);
    assert_string_equal(quant_info(QUANT_Q4_K)->name, "Q4_K");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_reads_as_its_formula_and_writes_back_the_same),
        cmocka_unit_test(writing_a_half_rounds_to_nearest_even),
        cmocka_unit_test(bf16_is_the_upper_half_of_a_float_even_where_f16_would_overflow),
        cmocka_unit_test(every_reader_agrees_with_the_formula_of_its_format),
        cmocka_unit_test(swapped_nibbles_differ),
        cmocka_unit_test(what_the_tests_write_reads_back),
        cmocka_unit_test(an_id_without_a_type_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

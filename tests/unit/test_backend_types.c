/* Every type of weights on every device against ref: row counts around every boundary of the code,
 * widths that are no multiple of 256, scales at both ends of what they can be. And the other way
 * round: blocks as a wrong reader would read them must pass the bound, or the tests see nothing. */
#include "tests/backend_fixture.h"

static bool is_read(uint32_t type)
{
    return quant_info(type) != NULL && quant_info(type)->decode != NULL;
}

/* Widths to try; 0 ends the list. */
static const uint32_t *columns_of(uint32_t type)
{
    static const uint32_t SINGLE[] = {32, 288, 40, 7, 0};
    static const uint32_t BLOCKS[] = {32, 96, 288, 0};
    static const uint32_t K_BLOCKS[] = {256, 768, 0};

    switch (quant_info(type)->block_elements) {
    case 1:
        return SINGLE;
    case 32:
        return BLOCKS;
    default:
        return K_BLOCKS;
    }
}

static void expect_near(const char *device, const struct matmul_case *c)
{
    double nmse = matmul_distance(device, c, NULL);

    if (!(nmse <= product_bound(device, c->type)))
        fail_msg("%s %s rows %u columns %u width %u: %g", device, quant_info(c->type)->name,
                 c->rows, c->columns, c->width, nmse);
}

static void matmul_agrees_at_every_type_and_size(void **state)
{
    static const uint32_t WIDTHS[] = {1, 5, 50};

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        if (!is_read(type))
            continue;
        for (const uint32_t *columns = columns_of(type); *columns != 0; columns++) {
            for (size_t i = 0; i < ARRAY_COUNT(ROW_COUNTS) * ARRAY_COUNT(WIDTHS); i++) {
                struct matmul_case c = {
                    .type = type,
                    .rows = ROW_COUNTS[i / ARRAY_COUNT(WIDTHS)],
                    .columns = *columns,
                    .width = WIDTHS[i % ARRAY_COUNT(WIDTHS)],
                    .weight_count = 1,
                };

                for (size_t d = 0; d < device_count(); d++) {
                    size_t r = i / ARRAY_COUNT(WIDTHS);

                    /* An emulated GPU is slow: it has one of the widths for each count of rows. */
                    if (device_is_emulated(DEVICES[d]) && (i + r + d) % ARRAY_COUNT(WIDTHS) != 0)
                        continue;
                    c.is_decode = (r + type + d) % 2 == 0;
                    expect_near(DEVICES[d], &c);
                }
            }
        }
    }
}

static void a_row_is_the_same_in_a_batch_of_any_size_and_type(void **state)
{
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        struct matmul_case c = {.type = type, .columns = 288, .width = 50, .weight_count = 1};

        if (!is_read(type))
            continue;
        if (c.columns % quant_info(type)->block_elements != 0)
            c.columns = 768;
        for (size_t d = 0; d < device_count(); d++)
            expect_same_rows(DEVICES[d], c);
    }
}

static void a_row_is_the_same_in_a_batch_of_any_size(void **state)
{
    static const struct matmul_case CASES[] = {
        {.type = QUANT_Q8_0, .columns = 576, .width = 50, .weight_count = 3},
        {.type = QUANT_Q4_1, .columns = 576, .width = 50, .weight_count = 1},
        {.type = QUANT_Q4_K, .columns = 256, .width = 50, .weight_count = 3},
        /* No multiple of a block, and longer than a strip of the plain loops. */
        {.type = QUANT_F16, .columns = 600, .width = 50, .weight_count = 1},
        {.type = QUANT_F32, .columns = 519, .width = 50, .weight_count = 1},
        /* Rows so long that a panel is shorter than a chunk without one. */
        {.type = QUANT_Q8_0,
         .columns = 2048,
         .width = 900,
         .weight_count = 2,
         .epilogue = BACKEND_SILU_MUL},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES) * device_count(); i++) {
        const char *device = DEVICES[i % device_count()];

        /* There are no chunks on a GPU, and an emulated one is slow. */
        if (!device_is_emulated(device) || i / device_count() != ARRAY_COUNT(CASES) - 1)
            expect_same_rows(device, CASES[i / device_count()]);
    }
}

/* ---- planted faults: a block is changed to what a wrong reader would take it for ---- */

/* Neighbours 2i and 2i + 1 in one byte instead of i and i + 16. */
static void pair_neighbours(uint8_t *nibbles)
{
    uint8_t q[32];

    for (size_t i = 0; i < 16; i++) {
        q[i] = nibbles[i] & 15;
        q[i + 16] = nibbles[i] >> 4;
    }
    for (size_t i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)(q[2 * i] | q[2 * i + 1] << 4);
}

static void swap_nibbles(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(bytes[i] << 4 | bytes[i] >> 4);
}

static void swap_bytes(uint8_t *a, uint8_t *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = a[i];

        a[i] = b[i];
        b[i] = byte;
    }
}

static void scale_is_one(uint8_t *half)
{
    half[0] = 0x00;
    half[1] = 0x3c;
}

static void q4_0_neighbours(uint8_t *block)
{
    pair_neighbours(block + 2);
}

static void q4_1_neighbours(uint8_t *block)
{
    pair_neighbours(block + 4);
}

static void q4_1_no_minimum(uint8_t *block)
{
    memset(block + 2, 0, 2);
}

static void q5_0_neighbours(uint8_t *block)
{
    pair_neighbours(block + 6);
}

static void q5_0_no_fifth_bits(uint8_t *block)
{
    memset(block + 2, 0, 4);
}

static void q5_1_neighbours(uint8_t *block)
{
    pair_neighbours(block + 8);
}

/* The fifth bits of the first 16 elements for those of the last. */
static void q5_1_fifth_bits_swapped(uint8_t *block)
{
    swap_bytes(block + 4, block + 6, 2);
}

static void mxfp4_neighbours(uint8_t *block)
{
    pair_neighbours(block + 1);
}

static void mxfp4_exponent_not_halved(uint8_t *block)
{
    block[0]++;
}

static void q2_k_scale_for_minimum(uint8_t *block)
{
    swap_nibbles(block, 16);
}

/* The next 32 bytes hold the second half, not parts 2 and 3 of each quarter. */
static void q2_k_planes_swapped(uint8_t *block)
{
    swap_bytes(block + 16, block + 48, 32);
}

static void q3_k_third_bits_inverted(uint8_t *block)
{
    for (size_t i = 0; i < 32; i++)
        block[i] = (uint8_t)~block[i];
}

/* Scales 8 to 15 before 0 to 7. */
static void q3_k_scales_swapped(uint8_t *block)
{
    swap_nibbles(block + 96, 8);
}

static void q3_k_no_upper_bits_of_scales(uint8_t *block)
{
    memset(block + 104, 0, 4);
}

/* 32 bytes as one part with neighbours in a byte, or high nibbles first. */
static void q4_k_nibbles_swapped(uint8_t *block)
{
    swap_nibbles(block + 16, 128);
}

/* The upper bits of the last four scales and minima are left where they are. */
static void q4_k_no_upper_bits_of_scales(uint8_t *block)
{
    for (size_t i = 4; i < 12; i++)
        block[i] &= 0x3f;
}

static void q4_k_scale_for_minimum(uint8_t *block)
{
    swap_bytes(block + 4, block + 8, 4);
    swap_nibbles(block + 12, 4);
}

/* The last four unpacked as the first four are, from the next bytes on. */
static void q4_k_last_scales_like_the_first(uint8_t *block)
{
    swap_nibbles(block + 12, 4);
}

static void q5_k_no_fifth_bits(uint8_t *block)
{
    memset(block + 16, 0, 32);
}

static void q5_k_nibbles_swapped(uint8_t *block)
{
    swap_nibbles(block + 48, 128);
}

static void q6_k_nibbles_swapped(uint8_t *block)
{
    swap_nibbles(block, 128);
}

/* The upper bits of the second half of the block for those of the first. */
static void q6_k_upper_bits_swapped(uint8_t *block)
{
    swap_bytes(block + 128, block + 160, 32);
}

static void q6_k_scales_are_unsigned(uint8_t *block)
{
    for (size_t i = 192; i < 208; i++)
        block[i] &= 0x7f;
}

static void iq4_xs_no_upper_bits_of_scales(uint8_t *block)
{
    memset(block + 2, 0, 2);
}

static void iq4_xs_scales_swapped(uint8_t *block)
{
    swap_nibbles(block + 4, 4);
}

static void iq4_xs_neighbours(uint8_t *block)
{
    for (size_t part = 0; part < 8; part++)
        pair_neighbours(block + 8 + 16 * part);
}

static void q3_k_no_scale(uint8_t *block)
{
    scale_is_one(block + 108);
}

static void q2_k_no_scale(uint8_t *block)
{
    scale_is_one(block + 80);
}

static void q6_k_no_scale(uint8_t *block)
{
    scale_is_one(block + 208);
}

static const struct {
    uint32_t type;
    void (*plant)(uint8_t *block);
} FAULTS[] = {
    {QUANT_Q8_0, scale_is_one},
    {QUANT_Q4_0, q4_0_neighbours},
    {QUANT_Q4_0, scale_is_one},
    {QUANT_Q4_1, q4_1_neighbours},
    {QUANT_Q4_1, q4_1_no_minimum},
    {QUANT_Q4_1, scale_is_one},
    {QUANT_Q5_0, q5_0_neighbours},
    {QUANT_Q5_0, q5_0_no_fifth_bits},
    {QUANT_Q5_0, scale_is_one},
    {QUANT_Q5_1, q5_1_neighbours},
    {QUANT_Q5_1, q5_1_fifth_bits_swapped},
    {QUANT_Q5_1, q4_1_no_minimum},
    {QUANT_Q5_1, scale_is_one},
    {QUANT_IQ4_NL, q4_0_neighbours},
    {QUANT_IQ4_NL, scale_is_one},
    {QUANT_MXFP4, mxfp4_neighbours},
    {QUANT_MXFP4, mxfp4_exponent_not_halved},
    {QUANT_Q2_K, q2_k_scale_for_minimum},
    {QUANT_Q2_K, q2_k_planes_swapped},
    {QUANT_Q2_K, q2_k_no_scale},
    {QUANT_Q3_K, q3_k_third_bits_inverted},
    {QUANT_Q3_K, q3_k_scales_swapped},
    {QUANT_Q3_K, q3_k_no_upper_bits_of_scales},
    {QUANT_Q3_K, q3_k_no_scale},
    {QUANT_Q4_K, q4_k_nibbles_swapped},
    {QUANT_Q4_K, q4_k_no_upper_bits_of_scales},
    {QUANT_Q4_K, q4_k_scale_for_minimum},
    {QUANT_Q4_K, q4_k_last_scales_like_the_first},
    {QUANT_Q4_K, scale_is_one},
    {QUANT_Q5_K, q5_k_nibbles_swapped},
    {QUANT_Q5_K, q5_k_no_fifth_bits},
    {QUANT_Q5_K, q4_k_no_upper_bits_of_scales},
    {QUANT_Q5_K, scale_is_one},
    {QUANT_Q6_K, q6_k_nibbles_swapped},
    {QUANT_Q6_K, q6_k_upper_bits_swapped},
    {QUANT_Q6_K, q6_k_scales_are_unsigned},
    {QUANT_Q6_K, q6_k_no_scale},
    {QUANT_IQ4_XS, iq4_xs_neighbours},
    {QUANT_IQ4_XS, iq4_xs_no_upper_bits_of_scales},
    {QUANT_IQ4_XS, iq4_xs_scales_swapped},
    {QUANT_IQ4_XS, scale_is_one},
};

static void what_a_wrong_reader_computes_passes_the_bound(void **state)
{
    for (size_t f = 0; f < ARRAY_COUNT(FAULTS); f++) {
        const struct quant_info *info = quant_info(FAULTS[f].type);
        struct matmul_case c = {
            .type = FAULTS[f].type, .rows = 9, .columns = 768, .width = 50, .weight_count = 1};
        AUTO_FREE char *blocks = random_blocks(c.type, c.columns, c.width, 100);
        uint64_t len = quant_row_bytes(c.type, (uint64_t)c.columns * c.width);

        assert_true(matmul_distance("cpu", &c, blocks) <= INTEGER_BOUND);
        for (uint64_t at = 0; at < len; at += info->block_bytes)
            FAULTS[f].plant((uint8_t *)blocks + at);
        if (!(matmul_distance("cpu", &c, blocks) > QUANT_BOUND))
            fail_msg("fault %zu of %s is not seen", f, info->name);
    }
}

static void every_type_with_blocks_has_a_planted_fault(void **state)
{
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        size_t count = 0;

        for (size_t f = 0; f < ARRAY_COUNT(FAULTS); f++)
            count += FAULTS[f].type == type;
        if (is_read(type) && quant_info(type)->block_elements > 1)
            assert_true(count > 0);
    }
}

/* ---- embed: each element of a row, so that no large one covers for a small one ---- */

enum { EMBED_WIDTH = 512, EMBED_ROWS = 11 };

static void embed_on(const char *device, uint32_t type, const char *table, float *out)
{
    struct backend *backend = device_new(device);
    struct backend_weight *weight = weight_of(backend, type, EMBED_WIDTH, EMBED_ROWS, table);
    struct backend_buffer *buffer = filled(backend, EMBED_ROWS, EMBED_WIDTH, 14);
    struct backend_embed embed = {.table = weight, .out = buffer};
    struct err err = ERR_INIT;
    struct plain_step plain;

    plain_step_init(&plain, EMBED_ROWS);
    assert_int_equal(backend->ops->step_begin(backend, &plain.step, &err), 0);
    assert_int_equal(backend->ops->embed(backend, &embed, &err), 0);
    assert_int_equal(backend->ops->buffer_read(backend, buffer, out, EMBED_ROWS, &err), 0);
    backend->ops->step_end(backend);
    backend->ops->buffer_free(backend, buffer);
    backend->ops->weight_free(backend, weight);
    backend_free(backend);
}

/* Rounded once or twice: a few units in the last place of the larger of the two that are added. */
static void expect_same_elements(const char *device, uint32_t type, const char *table, double scale)
{
    AUTO_FREE float *exact = random_floats((size_t)EMBED_ROWS * EMBED_WIDTH, 1);
    AUTO_FREE float *got = random_floats((size_t)EMBED_ROWS * EMBED_WIDTH, 2);

    embed_on("ref", type, table, exact);
    embed_on(device, type, table, got);
    for (size_t i = 0; i < (size_t)EMBED_ROWS * EMBED_WIDTH; i++) {
        if (fabs((double)got[i] - (double)exact[i]) > 1e-6 * scale)
            fail_msg("%s %s element %zu: %g, not %g", device, quant_info(type)->name, i,
                     (double)got[i], (double)exact[i]);
    }
}

static void every_element_is_read_the_same_from_tiny_to_huge(void **state)
{
    /* Of values: the first makes scales of halves that are subnormal. */
    static const float SIZES[] = {0x1p-18f, 0x1p-8f, 1.0f, 0x1p10f};
    enum { COUNT = EMBED_ROWS * EMBED_WIDTH };

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        for (size_t s = 0; is_read(type) && s < ARRAY_COUNT(SIZES); s++) {
            AUTO_FREE float *values = random_floats(COUNT, 21);
            AUTO_BUF struct buf blocks = BUF_INIT(COUNT * sizeof(float) + 1);

            for (size_t i = 0; i < COUNT; i++)
                values[i] *= SIZES[s];
            writer_encode(&blocks, type, values, COUNT);
            for (size_t d = 0; d < device_count(); d++)
                expect_same_elements(DEVICES[d], type, blocks.data, (double)SIZES[s]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_agrees_at_every_type_and_size),
        cmocka_unit_test(a_row_is_the_same_in_a_batch_of_any_size_and_type),
        cmocka_unit_test(a_row_is_the_same_in_a_batch_of_any_size),
        cmocka_unit_test(what_a_wrong_reader_computes_passes_the_bound),
        cmocka_unit_test(every_type_with_blocks_has_a_planted_fault),
        cmocka_unit_test(every_element_is_read_the_same_from_tiny_to_huge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

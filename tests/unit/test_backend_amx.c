/* The CPU's products on tiles give the bits of those on vectors of 256 bits: every type, row counts
 * and widths around every boundary of the code, the largest sums, numbers that are none. Where the
 * processor has no AMX its instructions are done by a handler (amx_trap.h), beside vectors of 256
 * bits; where it has, the table that is used there is tested, too. */
#include "tests/backend_fixture.h"

#include "hip/backend/cpu.h"

#if defined(__x86_64__)

#include "hip/backend/cpu_many_tiles.h"
#include "tests/amx_trap.h"
#include "tests/extreme_blocks.h"

static WIDE_TARGET void trapped_to_group(const int16_t *rows, void *group)
{
    rows_to_pieces(rows, group);
}

static void trapped_many(const struct cpu_product *product)
{
    multiply_by_tiles(product);
}

static const struct cpu_kernels TRAPPED = {
    .to_integers = cpu_avx2_to_integers,
    .many = trapped_many,
    .many_width = CPU_TILE_WIDTH,
    .many_step = CPU_TILE_STEP,
    .to_group = trapped_to_group,
    .group_row_bytes = CPU_STRIP_PIECES,
};

/* ---- the same product by two tables ---- */

struct tile_case {
    uint32_t type;
    uint32_t rows;
    uint32_t columns;
    uint32_t width;
    const void *blocks;
    const float *x; /* [rows][columns] */
};

/* All of the case, as many weights at a time as the table takes; OUT is [rows][width]. */
static void multiply(const struct cpu_kernels *kernels, const struct tile_case *c, float *out)
{
    struct cpu_backend cpu = {.kernels = kernels, .pool = pool_new(1, NULL)};
    uint32_t groups = (c->rows + CPU_GROUP - 1) / CPU_GROUP;
    struct cpu_integers x;
    struct err err = ERR_INIT;

    assert_int_equal(cpu_activations_convert(&cpu, c->x, c->rows, c->columns, &x, &err), 0);
    for (uint32_t first = 0; first < c->width; first += kernels->many_width) {
        uint32_t left = c->width - first;
        uint32_t width = left < kernels->many_width ? left : kernels->many_width;
        AUTO_FREE float *part = random_floats((size_t)c->rows * width, 1);
        AUTO_FREE float *sums = random_floats((size_t)groups * width * CPU_GROUP, 2);
        struct cpu_product product = {
            .type = c->type,
            .row_bytes = quant_row_bytes(c->type, c->columns),
            .width = width,
            .x = &x,
            .out = part,
            .sums = sums,
        };

        product.weights = (const uint8_t *)c->blocks + first * product.row_bytes;
        kernels->many(&product);
        for (uint32_t r = 0; r < c->rows; r++)
            memcpy(out + (size_t)r * c->width + first, part + (size_t)r * width,
                   width * sizeof(*out));
    }
    cpu_activations_release(&cpu.activations);
    pool_free(cpu.pool);
}

/* All NaN are alike. */
static bool is_same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof(a)) == 0;
}

static void expect_same_bits(const struct cpu_kernels *kernels, const struct tile_case *c,
                             const char *what)
{
    size_t count = (size_t)c->rows * c->width;
    AUTO_FREE float *exact = random_floats(count, 3);
    AUTO_FREE float *got = random_floats(count, 4);

    multiply(&CPU_KERNELS_AVX2, c, exact);
    multiply(kernels, c, got);
    for (size_t i = 0; i < count; i++) {
        if (!is_same(exact[i], got[i]))
            fail_msg("%s %s: rows %u columns %u width %u: element %zu is %a, not %a",
                     quant_info(c->type)->name, what, c->rows, c->columns, c->width, i,
                     (double)got[i], (double)exact[i]);
    }
}

static bool has_rests(uint32_t type)
{
    return quant_info(type)->block_elements < CPU_STRIP;
}

/* ---- what is multiplied ---- */

static void multiply_every_type_and_shape(const struct cpu_kernels *kernels)
{
    static const uint32_t ROWS[] = {9, 15, 16, 17, 31, 33, 64, 130};
    static const uint32_t WIDTHS[] = {1, 5, 15, 16, 17, 31, 32, 33, 48, 50, 127, 128, 129};
    static const uint32_t SMALL[] = {32, 96, 256, 288, 896};
    static const uint32_t LARGE[] = {256, 768};

    for (size_t i = 0; i < ARRAY_COUNT(EXTREMES) * ARRAY_COUNT(ROWS); i++) {
        uint32_t type = EXTREMES[i / ARRAY_COUNT(ROWS)].type;
        size_t count = has_rests(type) ? ARRAY_COUNT(SMALL) : ARRAY_COUNT(LARGE);

        for (size_t s = 0; s < count; s++) {
            struct tile_case c = {.type = type,
                                  .rows = ROWS[i % ARRAY_COUNT(ROWS)],
                                  .columns = has_rests(type) ? SMALL[s] : LARGE[s],
                                  .width = WIDTHS[(i + 3 * s) % ARRAY_COUNT(WIDTHS)]};
            AUTO_FREE char *blocks = random_blocks(type, c.columns, c.width, 21);
            AUTO_FREE float *x = random_floats((size_t)c.rows * c.columns, 22);

            c.blocks = blocks;
            c.x = x;
            expect_same_bits(kernels, &c, "at random");
        }
    }
}

static void multiply_the_largest(const struct cpu_kernels *kernels)
{
    static const uint16_t HALVES[][2] = {
        {HALF_ONE, 0}, {HALF_MINUS_ONE, HALF_ONE},     {HALF_ONE, HALF_MINUS_ONE},
        {0, HALF_ONE}, {HALF_LARGEST, HALF_MINUS_ONE}, {HALF_SMALLEST, 0}};
    static const float SIGNS[][2] = {{1.0f, 1.0f}, {-1.0f, -1.0f}, {1.0f, -1.0f}, {0.0f, 1e-30f}};
    enum { ROWS = CPU_GROUP + 1, COLUMNS = 2 * CPU_STRIP, WIDTH = TILE_ROWS + 1 };

    for (size_t i = 0; i < ARRAY_COUNT(EXTREMES) * ARRAY_COUNT(HALVES); i++) {
        const struct extreme *e = &EXTREMES[i / ARRAY_COUNT(HALVES)];
        const uint16_t *halves = HALVES[i % ARRAY_COUNT(HALVES)];
        AUTO_FREE uint8_t *blocks = extreme_blocks(e, COLUMNS, WIDTH, halves[0], halves[1]);

        for (size_t s = 0; s < ARRAY_COUNT(SIGNS); s++) {
            AUTO_FREE float *x = random_floats((size_t)ROWS * COLUMNS, 1);
            struct tile_case c = {e->type, ROWS, COLUMNS, WIDTH, blocks, x};

            for (size_t at = 0; at < (size_t)ROWS * COLUMNS; at++)
                x[at] = 0.37f * SIGNS[s][at % 2];
            expect_same_bits(kernels, &c, "at its largest");
        }
    }
}

/* A scale, an offset and an activation each, in the first strip and in the last. */
static void multiply_what_is_no_number(const struct cpu_kernels *kernels)
{
    static const uint16_t HALVES[] = {HALF_NAN, HALF_INFINITY, HALF_MINUS_INFINITY};
    static const float FLOATS_OF[] = {NAN, INFINITY, -INFINITY};
    enum { ROWS = CPU_GROUP + 1, COLUMNS = 2 * CPU_STRIP, WIDTH = TILE_ROWS + 1 };

    for (size_t i = 0; i < 2 * ARRAY_COUNT(EXTREMES) * ARRAY_COUNT(HALVES); i++) {
        const struct extreme *e = &EXTREMES[i / 2 / ARRAY_COUNT(HALVES)];
        AUTO_FREE char *blocks = random_blocks(e->type, COLUMNS, WIDTH, 31);
        AUTO_FREE float *x = random_floats((size_t)ROWS * COLUMNS, 32);
        struct tile_case c = {e->type, ROWS, COLUMNS, WIDTH, blocks, x};
        uint64_t row_bytes = quant_row_bytes(e->type, COLUMNS);
        uint64_t block_at = i % 2 == 0 ? 0 : row_bytes - quant_info(e->type)->block_bytes;
        uint8_t *block = (uint8_t *)blocks + 3 * row_bytes + block_at;
        float *activation = x + 5 * COLUMNS + i % 2 * (COLUMNS - 1);

        activation[0] = FLOATS_OF[i / 2 % ARRAY_COUNT(HALVES)];
        expect_same_bits(kernels, &c, "with an activation that is no number");
        activation[0] = 0.5f;
        put_half(block + e->scale_at, HALVES[i / 2 % ARRAY_COUNT(HALVES)]);
        expect_same_bits(kernels, &c, "with a scale that is no number");
        if (e->has_offset)
            put_half(block + e->offset_at, HALVES[i / 2 % ARRAY_COUNT(HALVES)]);
        expect_same_bits(kernels, &c, "with an offset that is no number");
    }
}

/* ---- on what ---- */

/* Tiles by instructions of the processor, or by the handler. */
static void with_tiles(void (*multiply_all_of_them)(const struct cpu_kernels *kernels))
{
    bool is_trapped = false;

    if (!cpu_has_avx2()) {
        printf("# this processor has no AVX2\n");
        skip();
    }
    is_trapped = amx_trap_begin();
    if (is_trapped || cpu_has_amx())
        multiply_all_of_them(&TRAPPED);
    amx_trap_end();
    if (is_trapped) {
        assert_true(amx.products > 0);
    } else if (!cpu_has_amx()) {
        printf("# this processor has AMX, but the system keeps it from us\n");
        skip();
    }
}

static void tiles_give_the_bits_of_vectors(void **state)
{
    with_tiles(multiply_every_type_and_shape);
}

static void the_largest_sums_are_the_same(void **state)
{
    with_tiles(multiply_the_largest);
}

static void what_is_no_number_is_the_same(void **state)
{
    with_tiles(multiply_what_is_no_number);
}

static void the_table_of_amx_gives_the_bits_of_vectors(void **state)
{
    if (!cpu_has_amx()) {
        printf("# this processor has no AMX, or the system keeps it from us\n");
        skip();
    }
    multiply_every_type_and_shape(&CPU_KERNELS_AMX);
    multiply_the_largest(&CPU_KERNELS_AMX);
    multiply_what_is_no_number(&CPU_KERNELS_AMX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_give_the_bits_of_vectors),
        cmocka_unit_test(the_largest_sums_are_the_same),
        cmocka_unit_test(what_is_no_number_is_the_same),
        {.name = "the_table_of_amx_gives_the_bits_of_vectors (skipped where there is no AMX)",
         .test_func = the_table_of_amx_gives_the_bits_of_vectors},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0; /* not for this processor */
}

#endif

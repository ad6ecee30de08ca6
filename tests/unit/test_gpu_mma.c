/* Products on matrix units, through the emulator, whose two kinds of lanes hold other elements:
 * they are the sums in double of any shape and in any order of lanes, a row's bits do not depend on
 * its neighbours, and a scale that halves could not hold does no harm. */
#include "tests/gpu_weights_fixture.h"

/* Of what is rounded to halves on both sides. */
static const double HALF_BOUND = 1e-6;

/* Whole groups, less and more than a block takes in at once. */
static uint32_t mma_columns_of(const struct type_row *type, uint32_t index)
{
    static const uint32_t of_halves[] = {32, 96, 416};

    return is_float(type) ? of_halves[index] : columns_of(type, index);
}

/* The kernel whose blocks have so many rows of activations. */
static bool mma_name(const struct emulator *emulator, const struct type_row *type,
                     uint32_t block_rows, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "mma_%s_x%u", type->name, block_rows);
    return emulator->has_kernel(out) != 0;
}

static bool has_mma(const struct emulator *emulator, const struct type_row *type)
{
    char name[NAME_BYTES];

    return mma_name(emulator, type, GPU_MMA_X_ROWS, name);
}

static void multiply(const struct emulator *emulator, const struct product *p,
                     const struct activations *x, uint32_t block_rows,
                     float *outs[GPU_PRODUCT_WEIGHTS])
{
    char kernel[NAME_BYTES];

    assert_true(mma_name(emulator, p->weights[0]->type, block_rows, kernel));
    launch_product(emulator, p, x, kernel, GPU_MMA_WEIGHT_ROWS, block_rows, GPU_MMA_THREADS, outs);
}

/* By blocks of either shape, which give the same bits. */
static void expect_mma(const struct emulator *emulator, const struct product *p,
                       const struct activations *x)
{
    float *outs[GPU_PRODUCT_WEIGHTS];
    float *others[GPU_PRODUCT_WEIGHTS];

    outs_new(p, x, outs);
    outs_new(p, x, others);
    multiply(emulator, p, x, GPU_MMA_X_ROWS, outs);
    multiply(emulator, p, x, GPU_MMA_X_ROWS_MAX, others);
    expect_product(emulator, p, x, outs, "mma", HALF_BOUND);
    for (uint32_t i = 0; i < p->weight_count; i++)
        assert_memory_equal(others[i], outs[i], out_count(p, x, i) * sizeof(float));
    outs_free(others);
    outs_free(outs);
}

/* ---- what is shown ---- */

static void check_rows(const struct emulator *emulator, const struct type_row *type, uint32_t order)
{
    static const uint32_t widths[ORDER_COUNT] = {129, 65, 1};
    static const uint32_t parts[ORDER_COUNT] = {1, 9, 33};
    uint32_t columns = mma_columns_of(type, order);

    if (!has_mma(emulator, type))
        return; /* its numbers do not fit into halves */
    struct weight weight = weight_new(emulator, type, widths[order], columns, 11);
    struct activations x = activations_new(ROW_MAX + 1, columns);
    struct product p = {.weights = {&weight}, .weight_count = 1, .row_count = ROW_MAX + 1};
    float *whole[GPU_PRODUCT_WEIGHTS];
    float *part[GPU_PRODUCT_WEIGHTS];

    expect_mma(emulator, &p, &x);
    outs_new(&p, &x, whole);
    multiply(emulator, &p, &x, GPU_MMA_X_ROWS_MAX, whole);
    p.row_count = parts[order];
    outs_new(&p, &x, part);
    multiply(emulator, &p, &x, GPU_MMA_X_ROWS, part);
    assert_memory_equal(part[0], whole[0], (size_t)p.row_count * widths[order] * sizeof(float));
    outs_free(whole);
    outs_free(part);
    activations_free(&x);
    planes_free(&weight);
}

/* All but those whose numbers halves cannot hold: what has no kernel is passed over below. */
static void test_each_type_of_halves_has_a_kernel(void **state)
{
    (void)state;
    for (size_t wave = 0; wave < WAVE_COUNT; wave++) {
        for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++)
            assert_int_equal(has_mma(&emulators[wave], &TYPES[i]),
                             TYPES[i].quant != QUANT_F32 && TYPES[i].quant != QUANT_BF16);
    }
}

static void test_products_are_the_same_for_any_rows(void **state)
{
    (void)state;
    each_type(false, check_rows);
}

static const struct products PRODUCTS = {mma_columns_of, expect_mma};

static void check_epilogues(const struct emulator *emulator, const struct type_row *type,
                            uint32_t order)
{
    if (has_mma(emulator, type))
        check_epilogues_of(&PRODUCTS, emulator, type, order);
}

static void test_bias_sum_and_cap(void **state)
{
    (void)state;
    each_type(false, check_epilogues);
}

static void check_gates(const struct emulator *emulator, const struct type_row *type,
                        uint32_t order)
{
    if (has_mma(emulator, type))
        check_gates_of(&PRODUCTS, emulator, type, order);
}

static void test_gates(void **state)
{
    (void)state;
    each_type(false, check_gates);
}

/* More rows than a few blocks of either shape have, the last of them not full, of a launch that
 * does not begin at row 0: each is there once, also where an out is added to. */
static void test_rows_of_several_blocks(void **state)
{
    enum { ROWS = 2 * GPU_MMA_X_ROWS_MAX + 9, BEGIN = 3 };
    static const enum backend_epilogue epilogues[] = {BACKEND_STORE, BACKEND_ADD, BACKEND_SILU_MUL};

    (void)state;
    for (size_t wave = 0; wave < WAVE_COUNT; wave++) {
        const struct emulator *emulator = &emulators[wave];
        struct weight first = weight_new(emulator, &TYPES[GPU_WEIGHT_Q8_0], 33, 32, 5);
        struct weight second = weight_new(emulator, &TYPES[GPU_WEIGHT_Q8_0], 33, 32, 6);
        struct activations x = activations_new(BEGIN + ROWS, 32);
        struct product p = {.weights = {&first, &second}, .row_begin = BEGIN, .row_count = ROWS};

        for (size_t i = 0; i < ARRAY_COUNT(epilogues); i++) {
            p.epilogue = epilogues[i];
            p.weight_count = backend_is_gate(p.epilogue) ? 2 : 1;
            expect_mma(emulator, &p, &x);
        }
        activations_free(&x);
        planes_free(&second);
        planes_free(&first);
    }
}

/* A row whose numbers are all beyond what a half holds, and one whose are all below. */
static void test_rows_of_any_size_fit_into_halves(void **state)
{
    static const float SIZES[] = {1e12f, 1.0f, 1e-12f};

    (void)state;
    for (size_t wave = 0; wave < WAVE_COUNT; wave++) {
        for (size_t size = 0; size < ARRAY_COUNT(SIZES); size++) {
            struct weight weight = weight_new(&emulators[wave], &TYPES[GPU_WEIGHT_Q8_0], 33, 96, 3);
            struct activations x = activations_new(3, 96);
            struct product p = {.weights = {&weight}, .weight_count = 1, .row_count = 3};

            for (size_t i = 0; i < (size_t)3 * 96; i++)
                x.x[i] *= SIZES[size];
            for (size_t i = 0; i < (size_t)3 * 96 / GPU_GROUP_COLUMNS; i++)
                x.quantised.scales[i] *= SIZES[size];
            expect_mma(&emulators[wave], &p, &x);
            planes_free(&weight);
            activations_free(&x);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_type_of_halves_has_a_kernel),
        cmocka_unit_test(test_products_are_the_same_for_any_rows),
        cmocka_unit_test(test_bias_sum_and_cap),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_rows_of_several_blocks),
        cmocka_unit_test(test_rows_of_any_size_fit_into_halves),
    };

    emulators[0] = emulator_open("gpu-emulator", 32);
    emulators[1] = emulator_open("gpu-emulator", 64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

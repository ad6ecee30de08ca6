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

static bool mma_name(const struct emulator *emulator, const struct type_row *type,
                     char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "mma_%s", type->name);
    return emulator->has_kernel(out) != 0;
}

static void multiply(const struct emulator *emulator, const struct product *p,
                     const struct activations *x, float *outs[GPU_PRODUCT_WEIGHTS])
{
    char kernel[NAME_BYTES];

    assert_true(mma_name(emulator, p->weights[0]->type, kernel));
    launch_product(emulator, p, x, kernel, GPU_MMA_WEIGHT_ROWS, GPU_MMA_X_ROWS, GPU_MMA_THREADS,
                   outs);
}

static void expect_mma(const struct emulator *emulator, const struct product *p,
                       const struct activations *x)
{
    float *outs[GPU_PRODUCT_WEIGHTS];
    double found = 0.0;

    outs_new(p, x, outs);
    multiply(emulator, p, x, outs);
    found = product_distance(p, x, outs);
    if (!(found <= HALF_BOUND))
        fail_msg("mma_%s, wave %u: %u rows, [%u][%u]: NMSE %g", p->weights[0]->type->name,
                 emulator->wave, p->row_count, p->weights[0]->planes.rows, x->columns, found);
    outs_free(outs);
}

/* ---- what is shown ---- */

static void check_rows(const struct emulator *emulator, const struct type_row *type, uint32_t order)
{
    static const uint32_t widths[ORDER_COUNT] = {129, 65, 1};
    static const uint32_t parts[ORDER_COUNT] = {1, 9, 33};
    uint32_t columns = mma_columns_of(type, order);
    char name[NAME_BYTES];

    if (!mma_name(emulator, type, name))
        return; /* its numbers do not fit into halves */
    struct weight weight = weight_new(emulator, type, widths[order], columns, 11);
    struct activations x = activations_new(ROW_MAX + 1, columns);
    struct product p = {.weights = {&weight}, .weight_count = 1, .row_count = ROW_MAX + 1};
    float *whole[GPU_PRODUCT_WEIGHTS];
    float *part[GPU_PRODUCT_WEIGHTS];

    expect_mma(emulator, &p, &x);
    outs_new(&p, &x, whole);
    multiply(emulator, &p, &x, whole);
    p.row_count = parts[order];
    outs_new(&p, &x, part);
    multiply(emulator, &p, &x, part);
    assert_memory_equal(part[0], whole[0], (size_t)p.row_count * widths[order] * sizeof(float));
    outs_free(whole);
    outs_free(part);
    activations_free(&x);
    planes_free(&weight);
}

static void test_products_are_the_same_for_any_rows(void **state)
{
    (void)state;
    each_type(false, check_rows);
}

/* Three weights of their own widths, one without a bias; some of the rows. */
static void check_epilogues(const struct emulator *emulator, const struct type_row *type,
                            uint32_t order)
{
    static const uint32_t widths[GPU_PRODUCT_WEIGHTS] = {65, 33, 130};
    uint32_t columns = mma_columns_of(type, order);
    char name[NAME_BYTES];

    if (!mma_name(emulator, type, name))
        return;
    struct activations x = activations_new(9, columns);
    struct product p = {.weight_count = GPU_PRODUCT_WEIGHTS, .row_begin = 2, .row_count = 5};
    struct weight weights[GPU_PRODUCT_WEIGHTS];
    float *biases[GPU_PRODUCT_WEIGHTS];

    for (uint32_t i = 0; i < GPU_PRODUCT_WEIGHTS; i++) {
        weights[i] = weight_new(emulator, type, widths[i], columns, 20 + i);
        biases[i] = random_floats(widths[i], 30 + i);
        p.weights[i] = &weights[i];
        p.biases[i] = i == 1 ? NULL : biases[i];
    }
    expect_mma(emulator, &p, &x);
    p.epilogue = BACKEND_ADD;
    expect_mma(emulator, &p, &x);
    p.epilogue = BACKEND_STORE;
    p.softcap = 3.0f;
    p.weight_count = 1;
    expect_mma(emulator, &p, &x);
    for (uint32_t i = 0; i < GPU_PRODUCT_WEIGHTS; i++) {
        planes_free(&weights[i]);
        free(biases[i]);
    }
    activations_free(&x);
}

static void test_bias_sum_and_cap(void **state)
{
    (void)state;
    each_type(false, check_epilogues);
}

static void check_gates(const struct emulator *emulator, const struct type_row *type,
                        uint32_t order)
{
    static const enum backend_epilogue epilogues[] = {BACKEND_SILU_MUL, BACKEND_GELU_MUL};
    uint32_t columns = mma_columns_of(type, order);
    char name[NAME_BYTES];

    if (!mma_name(emulator, type, name))
        return;
    struct activations x = activations_new(9, columns);
    struct weight first = weight_new(emulator, type, 97, columns, 20);
    struct weight second = weight_new(emulator, type, 97, columns, 21);
    struct product p = {.weights = {&first, &second}, .weight_count = 2, .row_count = 9};

    for (size_t i = 0; i < ARRAY_COUNT(epilogues); i++) {
        p.epilogue = epilogues[i];
        expect_mma(emulator, &p, &x);
    }
    planes_free(&first);
    planes_free(&second);
    activations_free(&x);
}

static void test_gates(void **state)
{
    (void)state;
    each_type(false, check_gates);
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
        cmocka_unit_test(test_products_are_the_same_for_any_rows),
        cmocka_unit_test(test_bias_sum_and_cap),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_rows_of_any_size_fit_into_halves),
    };

    emulators[0] = emulator_open("gpu-emulator", 32);
    emulators[1] = emulator_open("gpu-emulator", 64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

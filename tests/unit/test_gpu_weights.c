/* Weights on the GPU, through the emulator: planes hold what the file's blocks say, products and
 * embeddings are those of quant_decode() and sums in double, whatever the shape, the width of a
 * wave and the order of its lanes; and a fault in a plane would show. */
#include "tests/gpu_weights_fixture.h"

/* ---- what is shown ---- */

/* Any bytes but for the halves, which are small numbers. */
static char *wild_blocks(const struct type_row *type, uint32_t columns, uint32_t rows)
{
    char *raw = random_blocks(type->quant, columns, rows, 7);
    const struct quant_info *info = quant_info(type->quant);
    uint64_t count = quant_row_bytes(type->quant, columns) * rows / info->block_bytes;
    uint64_t seed = 9;

    for (uint64_t b = 0; b < count && !is_float(type); b++) {
        uint8_t *block = (uint8_t *)raw + b * info->block_bytes;
        uint8_t before[256];

        memcpy(before, block, info->block_bytes);
        for (uint32_t i = 0; i < info->block_bytes; i++)
            block[i] = (uint8_t)(tiny_next(&seed) >> 40);
        /* Halves come first or last. */
        if (info->block_elements == 32 || type->quant == QUANT_Q4_K || type->quant == QUANT_Q5_K)
            memcpy(block, before, type->quant == QUANT_MXFP4 ? 1 : 4);
        else if (type->quant == QUANT_IQ4_XS)
            memcpy(block, before, 2);
        else
            memcpy(block + info->block_bytes - 4, before + info->block_bytes - 4, 4);
    }
    return raw;
}

static void check_embedding(const struct emulator *emulator, const struct type_row *type,
                            uint32_t order)
{
    static const uint32_t tokens[] = {64, 0, 31, 32, 33};
    enum { ROWS = 65, TOKENS = ARRAY_COUNT(tokens) };
    uint32_t columns = columns_of(type, order);
    struct weight weight =
        weight_of_raw(emulator, type, ROWS, columns, wild_blocks(type, columns, ROWS));
    AUTO_FREE float *out = random_floats((size_t)TOKENS * columns, 1);
    struct args_embed args = {.table = weight.planes, .tokens = tokens, .out = out, .scale = 0.5f};
    uint32_t blocks = (gpu_groups(columns) + GPU_EMBED_THREADS - 1) / GPU_EMBED_THREADS;
    char kernel[NAME_BYTES];

    (void)snprintf(kernel, sizeof(kernel), "embed_%s", type->name);
    emulate(emulator, kernel, (const uint32_t[]){blocks, TOKENS, 1}, GPU_EMBED_THREADS, &args,
            sizeof(args));
    for (uint32_t i = 0; i < TOKENS; i++) {
        float *row = weight.numbers + (size_t)tokens[i] * columns;

        for (uint32_t c = 0; c < columns; c++)
            out[(size_t)i * columns + c] *= 2.0f;
        if (!(distance(out + (size_t)i * columns, row, columns) <= DECODE_BOUND))
            fail_msg("embed_%s: row %u of %u columns", type->name, tokens[i], columns);
    }
    planes_free(&weight);
}

static void test_planes_hold_the_numbers_of_blocks(void **state)
{
    (void)state;
    each_type(true, check_embedding);
}

/* Also what no row of the weight fills: kernels read whole tiles. */
static void check_written(const struct emulator *emulator, const struct type_row *type,
                          uint32_t order)
{
    static const uint32_t rows[ORDER_COUNT] = {1, 31, 33};
    uint32_t columns = columns_of(type, order);
    struct weight weight = weight_new(emulator, type, rows[order], columns, 1);
    struct gpu_format format = gpu_format_of(type->type);
    struct gpu_tile_bytes tile = gpu_tile_bytes_of(&format, columns);
    const uint8_t *planes[] = {weight.planes.codes, weight.planes.high, weight.planes.scales,
                               weight.planes.supers};
    uint32_t tile_bytes[] = {tile.codes, tile.high, tile.scales, tile.supers};

    for (size_t i = 0; i < ARRAY_COUNT(planes); i++) {
        size_t bytes = (size_t)gpu_tiles(rows[order]) * tile_bytes[i];
        AUTO_FREE uint8_t *copy = malloc(bytes + 1);

        assert_non_null(copy);
        assert_int_equal(planes[i] == NULL, bytes == 0);
        if (bytes == 0)
            continue;
        memcpy(copy, planes[i], bytes);
        memset((uint8_t *)weight.memory + (planes[i] - (uint8_t *)weight.memory), ~UNWRITTEN,
               bytes);
        /* Once more over other bytes: what differs was not written. */
        repack(emulator, &weight, 0, rows[order]);
        assert_memory_equal(copy, planes[i], bytes);
    }
    planes_free(&weight);
}

static void test_whole_tiles_are_written(void **state)
{
    (void)state;
    each_type(true, check_written);
}

/* Every count of rows, each with another width of the weight and columns in turn. */
static void check_matvec(const struct emulator *emulator, const struct type_row *type,
                         uint32_t order)
{
    static const uint32_t widths[] = {33, 65, 1, 31, 65, 33, 31, 1, 33};

    for (size_t i = order; i < ARRAY_COUNT(ROW_COUNTS); i += ORDER_COUNT) {
        uint32_t columns = columns_of(type, (uint32_t)i / ORDER_COUNT);
        struct weight weight = weight_new(emulator, type, widths[i], columns, 11);
        struct activations x = activations_new(ROW_COUNTS[i], columns);
        struct product p = {.weights = {&weight}, .weight_count = 1, .row_count = ROW_COUNTS[i]};
        float *outs[MATVEC_KERNELS][GPU_PRODUCT_WEIGHTS];

        for (uint32_t k = 0; k < MATVEC_KERNELS; k++) {
            outs_new(&p, &x, outs[k]);
            launch_matvec(emulator, &p, &x, MATVEC_ROWS[k], BLOCK_THREADS, outs[k]);
            expect_product(emulator, &p, &x, outs[k], "matvec", dot_bound(type));
            assert_memory_equal(outs[k][0], outs[0][0], out_count(&p, &x, 0) * sizeof(float));
        }
        for (uint32_t k = 0; k < MATVEC_KERNELS; k++)
            outs_free(outs[k]);
        activations_free(&x);
        planes_free(&weight);
    }
}

static void test_matvec_is_the_product_and_the_same_for_any_rows(void **state)
{
    (void)state;
    each_type(true, check_matvec);
}

static void check_matmul(const struct emulator *emulator, const struct type_row *type,
                         uint32_t order)
{
    static const uint32_t widths[] = {129, 65, 33};
    uint32_t columns = columns_of(type, order);
    struct weight weight = weight_new(emulator, type, widths[order], columns, 11);
    struct activations x = activations_new(ROW_MAX, columns);
    struct product p = {.weights = {&weight}, .weight_count = 1, .row_count = ROW_MAX};
    float *whole[GPU_PRODUCT_WEIGHTS];

    outs_new(&p, &x, whole);
    launch_matmul(emulator, &p, &x, BLOCK_THREADS, whole);
    expect_product(emulator, &p, &x, whole, "matmul", dot_bound(type));
    for (size_t i = 0; i < ARRAY_COUNT(ROW_COUNTS); i++) {
        float *part[GPU_PRODUCT_WEIGHTS];

        p.row_count = ROW_COUNTS[i];
        outs_new(&p, &x, part);
        launch_matmul(emulator, &p, &x, emulator->wave, part);
        assert_memory_equal(part[0], whole[0],
                            (size_t)ROW_COUNTS[i] * widths[order] * sizeof(float));
        outs_free(part);
    }
    outs_free(whole);
    activations_free(&x);
    planes_free(&weight);
}

static void test_matmul_is_the_product_and_the_same_for_any_rows(void **state)
{
    (void)state;
    each_type(false, check_matmul);
}

/* ---- epilogues ---- */

static void expect_both(const struct emulator *emulator, const struct product *p,
                        const struct activations *x)
{
    double bound = dot_bound(p->weights[0]->type);
    float *outs[GPU_PRODUCT_WEIGHTS];

    outs_new(p, x, outs);
    launch_matvec(emulator, p, x, 4, BLOCK_THREADS, outs);
    expect_product(emulator, p, x, outs, "matvec", bound);
    outs_free(outs);
    outs_new(p, x, outs);
    launch_matmul(emulator, p, x, BLOCK_THREADS, outs);
    expect_product(emulator, p, x, outs, "matmul", bound);
    outs_free(outs);
}

static const struct products PRODUCTS = {columns_of, expect_both};

static void check_epilogues(const struct emulator *emulator, const struct type_row *type,
                            uint32_t order)
{
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
    check_gates_of(&PRODUCTS, emulator, type, order);
}

static void test_gates(void **state)
{
    (void)state;
    each_type(false, check_gates);
}

/* The integers of a gate's out, against those that the kernel for them makes of its floats. */
static void check_gated(const struct emulator *emulator, const struct type_row *type,
                        uint32_t order)
{
    enum { ROWS = 5, WIDTH = 96 };
    struct activations x = activations_new(ROWS, columns_of(type, order));
    struct activations gated = activations_new(ROWS, WIDTH);
    struct activations wanted = activations_new(ROWS, WIDTH);
    struct weight first = weight_new(emulator, type, WIDTH, x.columns, 20);
    struct weight second = weight_new(emulator, type, WIDTH, x.columns, 21);
    struct product p = {.weights = {&first, &second},
                        .weight_count = 2,
                        .epilogue = BACKEND_SILU_MUL,
                        .row_count = ROWS,
                        .gated = gated.quantised};
    float *outs[GPU_PRODUCT_WEIGHTS] = {gated.x, wanted.x};

    for (uint32_t k = 0; k < MATVEC_KERNELS; k++) {
        struct args_quantise args = {.x = gated.x, .out = wanted.quantised, .columns = WIDTH};

        activations_spoil(&gated);
        launch_matvec(emulator, &p, &x, MATVEC_ROWS[k], BLOCK_THREADS, outs);
        emulate(emulator, "quantise", (const uint32_t[]){1, ROWS, 1}, BLOCK_THREADS, &args,
                sizeof(args));
        expect_same_integers(&gated, &wanted);
    }
    activations_free(&x);
    activations_free(&gated);
    activations_free(&wanted);
    planes_free(&first);
    planes_free(&second);
}

static void test_gates_as_integers(void **state)
{
    (void)state;
    each_type(false, check_gated);
}

/* ---- planted faults ---- */

/* How far a product is off when the weight's first scales are 0 (IS_SCALE), or the halves of the
 * first bytes of its codes are swapped. */
static double spoilt_distance(const struct type_row *type, bool is_scale)
{
    struct weight weight = weight_new(&emulators[0], type, 33, columns_of(type, 1), 11);
    struct activations x = activations_new(3, columns_of(type, 1));
    struct product p = {.weights = {&weight}, .weight_count = 1, .row_count = 3};
    struct gpu_format format = gpu_format_of(type->type);
    const uint8_t *plane = is_scale ? weight.planes.scales : weight.planes.codes;
    uint8_t *bytes = (uint8_t *)weight.memory + (plane - (uint8_t *)weight.memory);
    uint32_t count = is_scale ? format.scale_bytes : GPU_PIECE_BYTES * GPU_TILE_ROWS;
    float *outs[GPU_PRODUCT_WEIGHTS];
    double found = 0.0;

    for (uint32_t i = 0; i < count; i++)
        bytes[i] = is_scale ? 0 : (uint8_t)(bytes[i] << 4 | bytes[i] >> 4);
    outs_new(&p, &x, outs);
    launch_matvec(&emulators[0], &p, &x, 4, BLOCK_THREADS, outs);
    found = product_distance(&p, &x, outs);
    outs_free(outs);
    activations_free(&x);
    planes_free(&weight);
    return found;
}

/* One row's scales of one chunk, and the halves of the bytes of one group. */
static void test_faults_show(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        assert_true(spoilt_distance(&TYPES[i], false) > QUANT_BOUND);
        if (!is_float(&TYPES[i]))
            assert_true(spoilt_distance(&TYPES[i], true) > QUANT_BOUND);
    }
}

/* The table of kernels and that of the files' types are two: what the CPU reads, a GPU does. */
static void test_formats_are_those_of_files(void **state)
{
    static const uint32_t ids[] = {
#define QUANT(id, ...) id,
#include "hip/model/quant_types.def"
#undef QUANT
    };
    size_t read_count = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        read_count += quant_info(ids[i])->decode != NULL;
    assert_int_equal(ARRAY_COUNT(TYPES), read_count);
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        struct gpu_format format = gpu_format_of(TYPES[i].type);
        const struct quant_info *info = quant_info(TYPES[i].quant);

        assert_string_equal(TYPES[i].name, info->name);
        assert_int_equal(format.block_elements, info->block_elements);
        assert_int_equal(format.block_bytes, info->block_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_are_those_of_files),
        cmocka_unit_test(test_planes_hold_the_numbers_of_blocks),
        cmocka_unit_test(test_whole_tiles_are_written),
        cmocka_unit_test(test_matvec_is_the_product_and_the_same_for_any_rows),
        cmocka_unit_test(test_matmul_is_the_product_and_the_same_for_any_rows),
        cmocka_unit_test(test_bias_sum_and_cap),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_gates_as_integers),
        cmocka_unit_test(test_faults_show),
    };

    emulators[0] = emulator_open("gpu-emulator", 32);
    emulators[1] = emulator_open("gpu-emulator", 64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

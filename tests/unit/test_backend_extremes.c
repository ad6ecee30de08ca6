/* What a product of integers must stand: blocks and activations at the ends of what they can be,
 * numbers that are none, every width and rest of a row, and types mixed in one op. Blocks are
 * written byte by byte: no encoder of floats makes such. */
#include "tests/backend_fixture.h"
#include "tests/extreme_blocks.h"

#include "hip/backend/cpu.h"

static bool has_rests(uint32_t type)
{
    return quant_info(type)->block_elements < CPU_STRIP;
}

/* ---- one weight by given activations ---- */

struct product {
    uint32_t type;
    uint32_t rows;
    uint32_t columns;
    uint32_t width;
    const void *blocks;
    const float *x; /* [rows][columns] */
};

/* OUT is [rows][width]. */
static void multiply(const char *device, const struct product *p, float *out)
{
    struct backend *backend = device_new(device);
    const struct backend_ops *ops = backend->ops;
    struct backend_buffer *x = filled(backend, p->rows, p->columns, 5);
    struct backend_buffer *y = filled(backend, p->rows, p->width, 6);
    struct backend_weight *weight = weight_of(backend, p->type, p->columns, p->width, p->blocks);
    struct backend_matmul op = {.x = x, .weight_count = 1, .weights = {weight}, .outs = {y}};
    struct err err = ERR_INIT;
    struct plain_step plain;

    plain_step_init(&plain, p->rows);
    assert_int_equal(ops->buffer_write(backend, x, p->x, p->rows, &err), 0);
    assert_int_equal(ops->step_begin(backend, &plain.step, &err), 0);
    assert_int_equal(ops->matmul(backend, &op, &err), 0);
    assert_int_equal(ops->buffer_read(backend, y, out, p->rows, &err), 0);
    ops->step_end(backend);
    ops->buffer_free(backend, x);
    ops->buffer_free(backend, y);
    ops->weight_free(backend, weight);
    backend_free(backend);
}

/* Within BOUND, or what the type of the weights has to keep on the device, if that is 0. */
static void expect_product(const struct product *p, double bound, const char *what)
{
    size_t count = (size_t)p->rows * p->width;
    AUTO_FREE float *exact = random_floats(count, 1);
    AUTO_FREE float *got = random_floats(count, 2);

    multiply("ref", p, exact);
    for (size_t d = 0; d < device_count(); d++) {
        double nmse = 0.0;

        /* Emulated GPUs are slow: each case is on one with the one or the other wave. */
        if (device_is_emulated(DEVICES[d]) && (p->columns / 32 + p->width + d) % 2 != 0)
            continue;
        multiply(DEVICES[d], p, got);
        nmse = distance(got, exact, count);
        if (!(nmse <= (bound != 0.0 ? bound : product_bound(DEVICES[d], p->type))))
            fail_msg("%s %s %s: rows %u columns %u width %u: %g", DEVICES[d],
                     quant_info(p->type)->name, what, p->rows, p->columns, p->width, nmse);
    }
}

static const uint32_t FEW_AND_MANY[] = {1, CPU_FEW_ROWS, CPU_FEW_ROWS + 1, CPU_GROUP + 1};
enum { ROWS_MOST = CPU_GROUP + 1, COLUMNS_MOST = 3 * CPU_STRIP, WIDTH = 5 };

static float *constant_floats(size_t count, float value)
{
    float *values = random_floats(count, 1);

    for (size_t i = 0; i < count; i++)
        values[i] = value;
    return values;
}

/* All products of a strip are the largest there can be, of one sign: their sum is the largest. */
static void the_largest_sum_of_a_strip_does_not_overflow(void **state)
{
    static const struct {
        uint16_t scale;
        uint16_t offset;
    } SCALES[] = {{HALF_ONE, 0},
                  {HALF_MINUS_ONE, 0},
                  {HALF_ONE, HALF_ONE},
                  {HALF_ONE, HALF_MINUS_ONE},
                  {0, HALF_ONE},
                  {HALF_SMALLEST, 0},
                  {HALF_LARGEST, HALF_MINUS_ONE}};

    for (size_t i = 0; i < ARRAY_COUNT(EXTREMES) * ARRAY_COUNT(SCALES); i++) {
        const struct extreme *e = &EXTREMES[i / ARRAY_COUNT(SCALES)];
        size_t s = i % ARRAY_COUNT(SCALES);
        uint32_t columns = has_rests(e->type) ? COLUMNS_MOST - 2 * 32 : COLUMNS_MOST;
        AUTO_FREE uint8_t *blocks =
            extreme_blocks(e, columns, WIDTH, SCALES[s].scale, SCALES[s].offset);

        if (SCALES[s].scale == 0 && !e->has_offset)
            continue; /* nothing but zeroes */
        for (size_t r = 0; r < 2 * ARRAY_COUNT(FEW_AND_MANY); r++) {
            uint32_t rows = FEW_AND_MANY[r / 2];
            AUTO_FREE float *x =
                constant_floats((size_t)rows * columns, r % 2 == 0 ? 0.37f : -1e6f);
            struct product p = {e->type, rows, columns, WIDTH, blocks, x};

            expect_product(&p, 0.0, "at its largest");
        }
    }
}

/* The smallest and largest activations that an integer can still stand for, beside zeroes. */
static void activations_of_any_size_keep_their_digits(void **state)
{
    static const float SIZES[] = {1e-30f, 1e-6f, 1e6f, 1e30f};

    for (size_t i = 0; i < ARRAY_COUNT(EXTREMES) * ARRAY_COUNT(SIZES); i++) {
        uint32_t type = EXTREMES[i / ARRAY_COUNT(SIZES)].type;
        AUTO_FREE char *blocks = random_blocks(type, COLUMNS_MOST, WIDTH, 31);

        for (size_t r = 0; r < ARRAY_COUNT(FEW_AND_MANY); r++) {
            size_t count = (size_t)FEW_AND_MANY[r] * COLUMNS_MOST;
            AUTO_FREE float *x = random_floats(count, 32);
            struct product p = {type, FEW_AND_MANY[r], COLUMNS_MOST, WIDTH, blocks, x};

            for (size_t c = 0; c < count; c++) /* a strip of zeroes is in the middle */
                x[c] = c / CPU_STRIP % 3 == 1 ? 0.0f : x[c] * SIZES[i % ARRAY_COUNT(SIZES)];
            expect_product(&p, 0.0, "of a size");
        }
    }
}

static void zeroes_give_zeroes(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(EXTREMES); i++) {
        const struct extreme *e = &EXTREMES[i];
        AUTO_FREE uint8_t *zeroes = extreme_blocks(e, COLUMNS_MOST, WIDTH, 0, 0);
        AUTO_FREE uint8_t *ones = extreme_blocks(e, COLUMNS_MOST, WIDTH, HALF_ONE, HALF_ONE);

        for (size_t r = 0; r < 2 * ARRAY_COUNT(FEW_AND_MANY); r++) {
            uint32_t rows = FEW_AND_MANY[r / 2];
            bool is_x = r % 2 == 0 || e->type == QUANT_MXFP4; /* which has no scale of 0 */
            AUTO_FREE float *x =
                constant_floats((size_t)rows * COLUMNS_MOST, is_x ? 0.0f : 1000.0f);
            struct product p = {e->type, rows, COLUMNS_MOST, WIDTH, is_x ? ones : zeroes, x};

            for (size_t d = 0; d < device_count(); d++) {
                float out[ROWS_MOST * WIDTH];

                multiply(DEVICES[d], &p, out);
                for (size_t at = 0; at < (size_t)rows * WIDTH; at++)
                    assert_true(out[at] == 0.0f);
            }
        }
    }
}

/* ---- what is no number ---- */

/* Weight SPOILED of WIDTH, or row SPOILED of the activations: what it makes is no number, the rest
 * is what it was, bit for bit. */
static void expect_spoiled(const char *device, const struct product *p, const float *clean,
                           bool is_weight, uint32_t spoiled)
{
    float out[ROWS_MOST * WIDTH];

    multiply(device, p, out);
    for (uint32_t at = 0; at < p->rows * p->width; at++) {
        bool is_hit = (is_weight ? at % p->width : at / p->width) == spoiled;

        if (is_hit ? isfinite(out[at]) : memcmp(&out[at], &clean[at], sizeof(*clean)) != 0)
            fail_msg("%s %s: %u rows, %s %u: element %u is %g", device, quant_info(p->type)->name,
                     p->rows, is_weight ? "weight" : "row", spoiled, at, (double)out[at]);
    }
}

static void spoil_scales(const struct extreme *e, const struct product *p, const float *clean,
                         const char *device, uint8_t *blocks)
{
    static const uint16_t HALVES[] = {HALF_NAN, HALF_INFINITY, HALF_MINUS_INFINITY};
    uint32_t block_bytes = quant_info(e->type)->block_bytes;
    uint64_t row_bytes = quant_row_bytes(e->type, p->columns);
    uint64_t places[] = {0, row_bytes - block_bytes};

    if (e->type == QUANT_MXFP4)
        return; /* every byte is a finite scale */
    for (size_t i = 0; i < 2 * ARRAY_COUNT(HALVES) * (e->has_offset ? 2 : 1); i++) {
        uint32_t spoiled = (uint32_t)i % WIDTH;
        uint32_t half_at = i / (2 * ARRAY_COUNT(HALVES)) == 1 ? e->offset_at : e->scale_at;
        uint8_t *half = blocks + spoiled * row_bytes + places[i % 2] + half_at;
        uint16_t before;

        memcpy(&before, half, sizeof(before));
        put_half(half, HALVES[i / 2 % ARRAY_COUNT(HALVES)]);
        expect_spoiled(device, p, clean, true, spoiled);
        put_half(half, before);
    }
}

static void spoil_activations(const struct product *p, const float *clean, const char *device,
                              float *x)
{
    static const float VALUES[] = {NAN, INFINITY, -INFINITY};
    uint32_t places[] = {0, p->columns - 1};

    for (size_t i = 0; i < 2 * ARRAY_COUNT(VALUES); i++) {
        uint32_t spoiled = (uint32_t)i * 3 % p->rows;
        float *value = x + (size_t)spoiled * p->columns + places[i % 2];
        float before = *value;

        *value = VALUES[i / 2];
        expect_spoiled(device, p, clean, false, spoiled);
        *value = before;
    }
}

static void what_is_no_number_never_becomes_one(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(EXTREMES) * ARRAY_COUNT(FEW_AND_MANY); i++) {
        const struct extreme *e = &EXTREMES[i / ARRAY_COUNT(FEW_AND_MANY)];
        uint32_t rows = FEW_AND_MANY[i % ARRAY_COUNT(FEW_AND_MANY)];
        uint32_t columns = has_rests(e->type) ? CPU_STRIP + 32 : 2 * CPU_STRIP;
        AUTO_FREE char *blocks = random_blocks(e->type, columns, WIDTH, 41);
        AUTO_FREE float *x = random_floats((size_t)rows * columns, 42);
        struct product p = {e->type, rows, columns, WIDTH, blocks, x};

        for (size_t d = 0; d < device_count(); d++) {
            float clean[ROWS_MOST * WIDTH];

            multiply(DEVICES[d], &p, clean);
            spoil_scales(e, &p, clean, DEVICES[d], (uint8_t *)blocks);
            spoil_activations(&p, clean, DEVICES[d], x);
        }
    }
}

/* ---- shapes ---- */

/* A row of any length, by any number of weights: around what is multiplied at once. */
static void every_width_and_rest_of_a_row_agrees(void **state)
{
    static const uint32_t TYPES[] = {QUANT_Q8_0, QUANT_Q4_1, QUANT_MXFP4};
    static const uint32_t WIDTHS[] = {1, 2, 3, 4, 5, 11, 12, 13, 23, 24, 25, 47, 48, 49};

    for (uint32_t columns = 32; columns <= CPU_STRIP + 64; columns += 32) {
        for (size_t i = 0; i < ARRAY_COUNT(WIDTHS) * ARRAY_COUNT(FEW_AND_MANY); i++) {
            uint32_t rows = FEW_AND_MANY[i % ARRAY_COUNT(FEW_AND_MANY)];
            uint32_t width = WIDTHS[i / ARRAY_COUNT(FEW_AND_MANY)];
            uint32_t type = TYPES[(columns / 32 + i) % ARRAY_COUNT(TYPES)];
            AUTO_FREE char *blocks = random_blocks(type, columns, width, columns);
            AUTO_FREE float *x = random_floats((size_t)rows * columns, 52);
            struct product p = {type, rows, columns, width, blocks, x};

            expect_product(&p, QUANT_BOUND, "of a shape"); /* a lone sum may be small */
        }
    }
}

/* Weights of one op: integers beside floats, of types with and without offsets. */
static void mixed_on(const char *device, uint32_t rows, enum backend_epilogue epilogue,
                     const struct product weights[BACKEND_MATMUL_MAX_COUNT], float *out)
{
    struct backend *backend = device_new(device);
    const struct backend_ops *ops = backend->ops;
    uint32_t count = backend_is_gate(epilogue) ? 2 : BACKEND_MATMUL_MAX_COUNT;
    struct backend_matmul op = {
        .x = filled(backend, rows, CPU_STRIP, 5), .weight_count = count, .epilogue = epilogue};
    struct err err = ERR_INIT;
    struct plain_step plain;

    for (uint32_t i = 0; i < count; i++) {
        op.weights[i] =
            weight_of(backend, weights[i].type, CPU_STRIP, weights[i].width, weights[i].blocks);
        op.outs[i] = filled(backend, rows, weights[i].width, 200 + i);
    }
    plain_step_init(&plain, rows);
    assert_int_equal(ops->step_begin(backend, &plain.step, &err), 0);
    assert_int_equal(ops->matmul(backend, &op, &err), 0);
    for (uint32_t i = 0; i < count; out += rows * weights[i].width, i++)
        assert_int_equal(ops->buffer_read(backend, op.outs[i], out, rows, &err), 0);
    ops->step_end(backend);
    for (uint32_t i = 0; i < count; i++) {
        free_weight(backend, op.weights[i]);
        ops->buffer_free(backend, op.outs[i]);
    }
    ops->buffer_free(backend, (struct backend_buffer *)(uintptr_t)op.x);
    backend_free(backend);
}

static void weights_of_one_op_may_be_of_any_types(void **state)
{
    static const uint32_t TYPES[][BACKEND_MATMUL_MAX_COUNT] = {
        {QUANT_F16, QUANT_Q4_K, QUANT_Q8_0},
        {QUANT_Q6_K, QUANT_F32, QUANT_Q5_1},
        {QUANT_BF16, QUANT_F32, QUANT_Q5_K},
    };
    enum { MIXED_WIDTH = 50, ALL = BACKEND_MATMUL_MAX_COUNT * ROW_MAX * MIXED_WIDTH };

    for (size_t i = 0; i < ARRAY_COUNT(TYPES) * ARRAY_COUNT(ROW_COUNTS) * 2; i++) {
        const uint32_t *types = TYPES[i % ARRAY_COUNT(TYPES)];
        uint32_t rows = ROW_COUNTS[i / ARRAY_COUNT(TYPES) % ARRAY_COUNT(ROW_COUNTS)];
        bool is_gate = i / ARRAY_COUNT(TYPES) / ARRAY_COUNT(ROW_COUNTS) == 1;
        enum backend_epilogue epilogue = is_gate ? BACKEND_SILU_MUL : BACKEND_STORE;
        AUTO_FREE float *exact = random_floats(ALL, 1);
        AUTO_FREE float *got = random_floats(ALL, 1);
        struct product weights[BACKEND_MATMUL_MAX_COUNT];
        char *blocks[BACKEND_MATMUL_MAX_COUNT];

        for (uint32_t w = 0; w < BACKEND_MATMUL_MAX_COUNT; w++) {
            blocks[w] = random_blocks(types[w], CPU_STRIP, MIXED_WIDTH, 61 + w);
            weights[w] =
                (struct product){.type = types[w], .width = MIXED_WIDTH, .blocks = blocks[w]};
        }
        mixed_on("ref", rows, epilogue, weights, exact);
        for (size_t d = 0; d < device_count(); d++) {
            mixed_on(DEVICES[d], rows, epilogue, weights, got);
            assert_true(distance(got, exact, ALL) <= INTEGER_BOUND);
        }
        for (uint32_t w = 0; w < BACKEND_MATMUL_MAX_COUNT; w++)
            free(blocks[w]);
    }
}

/* ---- memory ---- */

static uint64_t taken_bytes(const struct cpu_backend *cpu)
{
    uint64_t strip =
        cpu->kernels->group_row_bytes + 2 * CPU_STRIP_SUMS * sizeof(int16_t) + sizeof(float);

    return cpu->scratch_floats * sizeof(float) * pool_thread_count(cpu->pool) +
           cpu->activations.strip_capacity * strip;
}

/* A gate whose second weight is multiplied as integers. */
static void run_gate(struct backend *backend, const struct matmul_case *c)
{
    const struct backend_ops *ops = backend->ops;
    AUTO_FREE char *gate = random_blocks(c->type, c->columns, c->width, 71);
    AUTO_FREE char *up = random_blocks(QUANT_Q5_0, c->columns, c->width, 72);
    struct backend_buffer *x = filled(backend, c->rows, c->columns, 73);
    struct backend_buffer *out = filled(backend, c->rows, c->width, 74);
    struct backend_matmul op = {
        .x = x,
        .weight_count = 2,
        .weights = {weight_of(backend, c->type, c->columns, c->width, gate),
                    weight_of(backend, QUANT_Q5_0, c->columns, c->width, up)},
        .outs = {out},
        .epilogue = BACKEND_SILU_MUL};
    struct err err = ERR_INIT;
    struct plain_step plain;

    plain_step_init(&plain, c->rows);
    assert_int_equal(ops->step_begin(backend, &plain.step, &err), 0);
    assert_int_equal(ops->matmul(backend, &op, &err), 0);
    ops->step_end(backend);
    ops->buffer_free(backend, x);
    ops->buffer_free(backend, out);
    free_weight(backend, op.weights[0]);
    free_weight(backend, op.weights[1]);
}

/* What a session keeps free for the backend is at least what the backend takes, whatever ops come
 * in whatever order. */
static void no_op_takes_more_than_was_said(void **state)
{
    static const uint32_t TYPES[] = {QUANT_F32, QUANT_Q8_0, QUANT_Q4_1};
    static const uint32_t COLUMNS[] = {32, 288, 6144};
    static const uint32_t WIDTHS[] = {900, 900, 13}; /* long chunks, and long rows */

    for (size_t i = 0; i < device_count() * ARRAY_COUNT(COLUMNS); i++) {
        if (device_is_emulated(DEVICES[i % device_count()]))
            continue; /* test_gpu.c asks for its memory's mark */

        struct backend *backend = device_new(DEVICES[i % device_count()]);
        const struct backend_ops *ops = backend->ops;
        uint32_t columns = COLUMNS[i / device_count()];
        struct backend_scratch_shape shape = {
            .row_max = ROW_MAX, .logit_row_max = 1, .width_max = columns, .position_max = ROW_MAX};
        uint64_t said = ops->scratch_bytes(backend, &shape);

        for (size_t j = 0; j < ARRAY_COUNT(TYPES) * ARRAY_COUNT(ROW_COUNTS); j++) {
            struct matmul_case c = {
                .type = TYPES[j % ARRAY_COUNT(TYPES)],
                .rows = ROW_COUNTS[j / ARRAY_COUNT(TYPES)],
                .columns = columns,
                .width = WIDTHS[i / device_count()],
            };

            run_gate(backend, &c);
            assert_true(taken_bytes((struct cpu_backend *)backend) <= said);
        }
        backend_free(backend);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_sum_of_a_strip_does_not_overflow),
        cmocka_unit_test(activations_of_any_size_keep_their_digits),
        cmocka_unit_test(zeroes_give_zeroes),
        cmocka_unit_test(what_is_no_number_never_becomes_one),
        cmocka_unit_test(every_width_and_rest_of_a_row_agrees),
        cmocka_unit_test(weights_of_one_op_may_be_of_any_types),
        cmocka_unit_test(no_op_takes_more_than_was_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

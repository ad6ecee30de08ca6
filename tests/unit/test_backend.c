/* Every device against ref, op by op: at row counts around every boundary of the code, widths that
 * are no multiple of 256 or even of 8; attention is test_attention.c, the types of weights are
 * test_backend_types.c. And the other way round: with a fault planted the distance must pass the
 * bound, or the test sees nothing. */
#include "tests/backend_fixture.h"

/* ---- matmul ---- */

static void matmul_of_several_weights_and_each_epilogue_agrees(void **state)
{
    for (int e = BACKEND_STORE; e <= BACKEND_GELU_MUL; e++) {
        for (size_t i = 0; i < ARRAY_COUNT(ROW_COUNTS); i++) {
            bool is_gate = backend_is_gate((enum backend_epilogue)e);
            struct matmul_case c = {
                .type = QUANT_Q8_0,
                .rows = ROW_COUNTS[i],
                .columns = 96,
                .width = 101,
                .weight_count = is_gate              ? 2
                                : e == BACKEND_STORE ? 3
                                                     : 1,
                .epilogue = (enum backend_epilogue)e,
                .bias_type = i % 2 == 0 ? QUANT_F32 : QUANT_F16,
                .has_biases = !is_gate && i > 0,
                .is_decode = (i + (size_t)e) % 2 == 0,
            };

            for (size_t d = 0; d < device_count(); d++)
                assert_true(matmul_distance(DEVICES[d], &c, NULL) <=
                            product_bound(DEVICES[d], c.type));
        }
    }
}

/* Gates of ref against the formulas, written out: what all else is compared with. */
static void gates_of_ref_are_their_formulas(void **state)
{
    static const double GATES[] = {-20.0, -3.0, -0.7, -1e-3, 0.0, 0.4, 1.0, 2.5, 20.0};
    struct backend *backend = device_new("ref");
    float one_by_one[ARRAY_COUNT(GATES)];
    const float up = 3.0f;
    const float in = 1.0f;
    struct err err = ERR_INIT;
    struct plain_step plain;

    for (size_t i = 0; i < ARRAY_COUNT(GATES); i++)
        one_by_one[i] = (float)GATES[i];
    plain_step_init(&plain, 1);
    for (size_t i = 0; i < ARRAY_COUNT(GATES); i++) {
        struct backend_weight *gate = weight_of(backend, QUANT_F32, 1, 1, &one_by_one[i]);
        struct backend_weight *other = weight_of(backend, QUANT_F32, 1, 1, &up);
        struct backend_buffer *x = filled(backend, 1, 1, 1);
        struct backend_buffer *out = filled(backend, 1, 1, 2);
        double g = (double)one_by_one[i];
        double exact[] = {g / (1.0 + exp(-g)) * 3.0,
                          0.5 * g * (1.0 + tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))) *
                              3.0};

        assert_int_equal(backend->ops->buffer_write(backend, x, &in, 1, &err), 0);
        for (int e = 0; e < 2; e++) {
            struct backend_matmul op = {.x = x,
                                        .weight_count = 2,
                                        .weights = {gate, other},
                                        .outs = {out},
                                        .epilogue = e == 0 ? BACKEND_SILU_MUL : BACKEND_GELU_MUL};
            float got = NAN;

            assert_int_equal(backend->ops->step_begin(backend, &plain.step, &err), 0);
            assert_int_equal(backend->ops->matmul(backend, &op, &err), 0);
            assert_int_equal(backend->ops->buffer_read(backend, out, &got, 1, &err), 0);
            backend->ops->step_end(backend);
            assert_true(fabs((double)got - exact[e]) <= 1e-6 * (1.0 + fabs(exact[e])));
        }
        backend->ops->buffer_free(backend, x);
        backend->ops->buffer_free(backend, out);
        backend->ops->weight_free(backend, gate);
        backend->ops->weight_free(backend, other);
    }
    backend_free(backend);
}

/* A bias left out, and the one gate taken for the other. */
static void a_planted_fault_of_an_epilogue_passes_the_bound(void **state)
{
    struct matmul_case c = {.type = QUANT_Q8_0,
                            .rows = 3,
                            .columns = 96,
                            .width = 50,
                            .weight_count = 2,
                            .has_biases = true,
                            .lacks_biases = true};
    float silu[2 * 3 * 50];
    float gelu[2 * 3 * 50];

    assert_true(matmul_distance("cpu", &c, NULL) > 1000 * FLOAT_BOUND);
    c.has_biases = false;
    c.epilogue = BACKEND_SILU_MUL;
    run_matmul("cpu", &c, NULL, silu);
    c.epilogue = BACKEND_GELU_MUL;
    run_matmul("cpu", &c, NULL, gelu);
    assert_true(distance(gelu, silu, 3 * 50) > 1000 * FLOAT_BOUND);
}

static void gates_and_biases_are_the_same_in_a_batch_of_any_size(void **state)
{
    static const struct matmul_case CASES[] = {
        {.type = QUANT_Q8_0,
         .columns = 576,
         .width = 101,
         .weight_count = 2,
         .epilogue = BACKEND_GELU_MUL},
        {.type = QUANT_Q8_0,
         .columns = 576,
         .width = 101,
         .weight_count = 3,
         .bias_type = QUANT_F32,
         .has_biases = true},
        {.type = QUANT_Q4_K, .columns = 512, .width = 70, .weight_count = 1, .is_decode = true},
        {.type = QUANT_F16, .columns = 130, .width = 70, .weight_count = 1, .is_decode = true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES) * device_count(); i++)
        expect_same_rows(DEVICES[i % device_count()], CASES[i / device_count()]);
}

/* ---- embed, norm, head ---- */

struct row_case {
    uint32_t rows;
    uint32_t width;
    uint32_t type;
    float epsilon;
    float embed_scale; /* 0 for 1 */
    float softcap;
    bool is_added;
};

enum {
    VOCAB = 37,
    WIDE = 2080, /* kernels of GPUs have several blocks for a row of it */
};

/* embed, then norm of something else, then head: OUT is [rows][width] twice, then the logits. */
static void run_rows(const char *device, const struct row_case *c, float *out)
{
    struct backend *backend = device_new(device);
    const struct backend_ops *ops = backend->ops;
    AUTO_FREE char *table = random_blocks(c->type, c->width, VOCAB, 11);
    AUTO_FREE float *scale = random_floats(c->width, 12);
    struct backend_weight *table_weight = weight_of(backend, c->type, c->width, VOCAB, table);
    struct backend_weight *scale_weight = weight_of(backend, QUANT_F32, c->width, 1, scale);
    struct backend_buffer *x = filled(backend, c->rows, c->width, 13);
    struct backend_buffer *embedded = filled(backend, c->rows, c->width, 14);
    struct backend_buffer *normed = filled(backend, c->rows, c->width, 15);
    struct backend_embed embed = {.table = table_weight,
                                  .scale = c->embed_scale != 0.0f ? c->embed_scale : 1.0f,
                                  .out = embedded};
    struct backend_norm norm = {.x = x,
                                .scale = scale_weight,
                                .epsilon = c->epsilon,
                                .is_added = c->is_added,
                                .out = normed};
    struct backend_head head = {
        .x = x,
        .scale = scale_weight,
        .epsilon = c->epsilon,
        .weight = table_weight,
        .softcap = c->softcap,
        .logits = out + 2 * (size_t)c->rows * c->width,
    };
    struct err err = ERR_INIT;
    struct plain_step plain;

    plain_step_init(&plain, c->rows);
    assert_int_equal(ops->step_begin(backend, &plain.step, &err), 0);
    assert_int_equal(ops->embed(backend, &embed, &err), 0);
    assert_int_equal(ops->norm(backend, &norm, &err), 0);
    assert_int_equal(ops->head(backend, &head, &err), 0);
    assert_int_equal(ops->buffer_read(backend, embedded, out, c->rows, &err), 0);
    assert_int_equal(
        ops->buffer_read(backend, normed, out + (size_t)c->rows * c->width, c->rows, &err), 0);
    ops->step_end(backend);
    ops->buffer_free(backend, x);
    ops->buffer_free(backend, embedded);
    ops->buffer_free(backend, normed);
    ops->weight_free(backend, table_weight);
    ops->weight_free(backend, scale_weight);
    backend_free(backend);
}

static void embed_norm_and_head_agree(void **state)
{
    static const uint32_t WIDTHS[] = {32, 96, 40, 13, WIDE};

    for (size_t i = 0; i < 2 * ARRAY_COUNT(ROW_COUNTS) * ARRAY_COUNT(WIDTHS); i++) {
        bool is_other = i >= ARRAY_COUNT(ROW_COUNTS) * ARRAY_COUNT(WIDTHS);
        struct row_case c = {
            .rows = ROW_COUNTS[i / ARRAY_COUNT(WIDTHS) % ARRAY_COUNT(ROW_COUNTS)],
            .width = WIDTHS[i % ARRAY_COUNT(WIDTHS)],
            .epsilon = 1e-5f,
            .embed_scale = is_other ? 7.5f : 0.0f,
            .softcap = is_other ? 2.0f : 0.0f,
            .is_added = is_other,
        };
        size_t rows_floats = (size_t)c.rows * c.width;
        size_t logit_floats = (size_t)((c.rows + 2) / 3) * VOCAB;

        if (c.width == WIDE && c.rows != 3)
            continue; /* slow */
        AUTO_FREE float *exact = random_floats(2 * rows_floats + logit_floats, 1);
        AUTO_FREE float *got = random_floats(2 * rows_floats + logit_floats, 2);

        c.type = c.width % 32 == 0 ? QUANT_Q8_0 : QUANT_F16;
        run_rows("ref", &c, exact);
        for (size_t d = 0; d < device_count(); d++) {
            run_rows(DEVICES[d], &c, got);
            assert_true(distance(got, exact, rows_floats) <= FLOAT_BOUND);
            assert_true(distance(got + rows_floats, exact + rows_floats, rows_floats) <=
                        FLOAT_BOUND);
            assert_true(distance(got + 2 * rows_floats, exact + 2 * rows_floats, logit_floats) <=
                        product_bound(DEVICES[d], c.type));
        }
    }
}

/* Scale, addition and cap against the same without: by their formulas. */
static void scaled_added_and_capped_rows_are_their_formulas(void **state)
{
    struct row_case c = {.rows = 2, .width = 32, .type = QUANT_Q8_0, .epsilon = 1e-5f};
    size_t floats = 2 * 32;
    AUTO_FREE float *before = random_floats(floats, 15); /* as run_rows() fills the norm's out */
    float plain[2 * 32 * 2 + VOCAB];
    float other[2 * 32 * 2 + VOCAB];

    run_rows("ref", &c, plain);
    c.embed_scale = 7.5f;
    c.softcap = 2.0f;
    c.is_added = true;
    run_rows("ref", &c, other);
    for (size_t i = 0; i < floats; i++) {
        assert_true(fabs(other[i] - 7.5 * plain[i]) <= 1e-5);
        assert_true(fabs(other[floats + i] - (before[i] + plain[floats + i])) <= 1e-6);
    }
    for (size_t i = 2 * floats; i < 2 * floats + VOCAB; i++)
        assert_true(fabs(other[i] - 2.0 * tanh(plain[i] / 2.0)) <= 1e-6);
}

static void a_missing_epsilon_passes_the_bound(void **state)
{
    struct row_case c = {.rows = 3, .width = 32, .type = QUANT_Q8_0, .epsilon = 1e-1f};
    size_t floats = 3 * 32;
    float exact[3 * 32 * 2 + VOCAB];
    float got[3 * 32 * 2 + VOCAB];

    run_rows("ref", &c, exact);
    c.epsilon = 0.0f;
    run_rows("cpu", &c, got);
    assert_true(distance(got + floats, exact + floats, floats) > 100 * FLOAT_BOUND);
}

/* ---- what is not finite ---- */

static void nan_travels_to_the_logits(void **state)
{
    struct row_case c = {.rows = 9, .width = 32, .type = QUANT_F32, .epsilon = NAN};
    float out[9 * 32 * 2 + 3 * VOCAB];

    for (size_t d = 0; d < device_count(); d++) {
        run_rows(DEVICES[d], &c, out);
        for (size_t i = 0; i < 3 * VOCAB; i++)
            assert_true(isnan(out[9 * 32 * 2 + i]));
    }
}

static void an_unknown_device_is_refused_by_name(void **state)
{
    struct err err = ERR_INIT;

    assert_null(backend_new("npu:0", 1, &err));
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "npu:0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_of_several_weights_and_each_epilogue_agrees),
        cmocka_unit_test(gates_of_ref_are_their_formulas),
        cmocka_unit_test(a_planted_fault_of_an_epilogue_passes_the_bound),
        cmocka_unit_test(gates_and_biases_are_the_same_in_a_batch_of_any_size),
        cmocka_unit_test(embed_norm_and_head_agree),
        cmocka_unit_test(scaled_added_and_capped_rows_are_their_formulas),
        cmocka_unit_test(a_missing_epsilon_passes_the_bound),
        cmocka_unit_test(nan_travels_to_the_logits),
        cmocka_unit_test(an_unknown_device_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

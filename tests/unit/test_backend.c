/* Every device against ref, op by op: at row counts around every boundary of the code, widths that
 * are no multiple of 256 or even of 8, one key head for all, contexts over many blocks. And the
 * other way round: with a fault planted the distance must pass the bound, or the test sees nothing.
 * The types of weights are test_backend_types.c. */
#include "hip/backend/backend.h"

#include "common/attr.h"
#include "hip/backend/host.h"
#include "hip/model/model.h"
#include "tests/backend_fixture.h"
#include "tests/temp_folder.h"

static const double HALF_KV_BOUND = 1e-5;

/* ---- matmul ---- */

static void matmul_of_several_weights_and_each_epilogue_agrees(void **state)
{
    for (int e = BACKEND_STORE; e <= BACKEND_SILU_MUL; e++) {
        for (size_t i = 0; i < ARRAY_COUNT(ROW_COUNTS); i++) {
            struct matmul_case c = {
                .type = QUANT_Q8_0,
                .rows = ROW_COUNTS[i],
                .columns = 96,
                .width = 101,
                .weight_count = e == BACKEND_SILU_MUL ? 2
                                : e == BACKEND_STORE  ? 3
                                                      : 1,
                .epilogue = (enum backend_epilogue)e,
            };

            for (size_t d = 0; d < ARRAY_COUNT(DEVICES); d++)
                assert_true(matmul_distance(DEVICES[d], &c, NULL) <= FLOAT_BOUND);
        }
    }
}

/* ---- embed, norm, head ---- */

struct row_case {
    uint32_t rows;
    uint32_t width;
    uint32_t type;
    float epsilon;
};

enum { VOCAB = 37 };

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
    struct backend_embed embed = {.table = table_weight, .out = embedded};
    struct backend_norm norm = {
        .x = x, .scale = scale_weight, .epsilon = c->epsilon, .out = normed};
    struct backend_head head = {
        .x = x,
        .scale = scale_weight,
        .epsilon = c->epsilon,
        .weight = table_weight,
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
    static const uint32_t WIDTHS[] = {32, 96, 40, 13};

    for (size_t i = 0; i < ARRAY_COUNT(ROW_COUNTS) * ARRAY_COUNT(WIDTHS); i++) {
        struct row_case c = {
            .rows = ROW_COUNTS[i / ARRAY_COUNT(WIDTHS)],
            .width = WIDTHS[i % ARRAY_COUNT(WIDTHS)],
            .epsilon = 1e-5f,
        };
        size_t rows_floats = (size_t)c.rows * c.width;
        size_t logit_floats = (size_t)((c.rows + 2) / 3) * VOCAB;
        AUTO_FREE float *exact = random_floats(2 * rows_floats + logit_floats, 1);
        AUTO_FREE float *got = random_floats(2 * rows_floats + logit_floats, 2);

        c.type = c.width % 32 == 0 ? QUANT_Q8_0 : QUANT_F16;
        run_rows("ref", &c, exact);
        for (size_t d = 0; d < ARRAY_COUNT(DEVICES); d++) {
            run_rows(DEVICES[d], &c, got);
            assert_true(distance(got, exact, rows_floats) <= FLOAT_BOUND);
            assert_true(distance(got + rows_floats, exact + rows_floats, rows_floats) <=
                        FLOAT_BOUND);
            assert_true(distance(got + 2 * rows_floats, exact + 2 * rows_floats, logit_floats) <=
                        FLOAT_BOUND);
        }
    }
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

/* ---- rope, KV and attention ---- */

enum fault { FAULT_NONE, FAULT_SCALE, FAULT_ROPE_KIND, FAULT_POSITION };

struct attention_case {
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t rope_dims;
    uint32_t past; /* positions that are in the KV store already, in each of two sequences */
    uint32_t rows; /* of the last step, alternately of the two */
    enum fault fault;
};

enum { CONTEXT = 448, SEQUENCES = 2, BLOCKS = CONTEXT / BACKEND_KV_BLOCK_TOKENS };

struct attention_run {
    struct backend *backend;
    const struct attention_case *c;
    struct backend_buffer *frequencies;
    struct backend_buffer *table;
    struct backend_kv *kv;
    struct backend_step step;
    uint32_t tokens[ROW_MAX];
    uint32_t positions[ROW_MAX];
    uint32_t sequences[ROW_MAX];
    uint32_t blocks[SEQUENCES * BLOCKS];
};

/* To halves of a head what NEOX rope would pair: elements i and i + half, moved to 2i and 2i + 1.
 */
static void plant_rope_kind(float *values, size_t count, uint32_t head_dim)
{
    for (size_t head = 0; head + head_dim <= count; head += head_dim) {
        float moved[256];

        for (uint32_t i = 0; i < head_dim / 2; i++) {
            moved[2 * i] = values[head + i];
            moved[2 * i + 1] = values[head + i + head_dim / 2];
        }
        memcpy(values + head, moved, head_dim * sizeof(float));
    }
}

static struct backend_buffer *heads_of(struct attention_run *run, uint32_t heads, uint64_t seed,
                                       bool is_turned)
{
    const struct attention_case *c = run->c;
    uint32_t width = heads * c->head_dim;
    AUTO_FREE float *values = random_floats((size_t)ROW_MAX * width, seed);
    struct err err = ERR_INIT;
    struct backend_buffer *buffer =
        run->backend->ops->buffer_new(run->backend, ROW_MAX, width, &err);

    assert_non_null(buffer);
    for (size_t i = 0; i < (size_t)ROW_MAX * width; i++)
        values[i] *= 2.0f; /* so that softmax is not flat */
    if (c->fault == FAULT_ROPE_KIND && is_turned)
        plant_rope_kind(values, (size_t)ROW_MAX * width, c->head_dim);
    assert_int_equal(run->backend->ops->buffer_write(run->backend, buffer, values, ROW_MAX, &err),
                     0);
    return buffer;
}

static void attention_run_init(struct attention_run *run, const char *device,
                               const struct attention_case *c)
{
    struct backend_kv_shape shape = {.layer_count = 2,
                                     .block_count = SEQUENCES * BLOCKS,
                                     .kv_head_count = c->kv_heads,
                                     .head_dim = c->head_dim};
    struct err err = ERR_INIT;
    float frequencies[256];

    *run = (struct attention_run){.backend = device_new(device), .c = c};
    run->frequencies = run->backend->ops->buffer_new(run->backend, 1, c->rope_dims / 2, &err);
    for (uint32_t i = 0; i < c->rope_dims / 2; i++)
        frequencies[i] = powf(10000.0f, -2.0f * (float)i / (float)c->rope_dims);
    assert_int_equal(
        run->backend->ops->buffer_write(run->backend, run->frequencies, frequencies, 1, &err), 0);
    run->table = run->backend->ops->buffer_new(run->backend, ROW_MAX, c->rope_dims, &err);
    run->kv = run->backend->ops->kv_new(run->backend, &shape, &err);
    assert_non_null(run->kv);
    /* Blocks in an order that is neither rising nor that of one sequence. */
    for (uint32_t i = 0; i < SEQUENCES * BLOCKS; i++)
        run->blocks[i] = (i * 5 + 3) % (SEQUENCES * BLOCKS);
    run->step = (struct backend_step){.blocks_per_sequence = BLOCKS,
                                      .tokens = run->tokens,
                                      .positions = run->positions,
                                      .sequences = run->sequences,
                                      .block_tables = run->blocks};
}

static void attention_run_release(struct attention_run *run)
{
    const struct backend_ops *ops = run->backend->ops;

    ops->buffer_free(run->backend, run->frequencies);
    ops->buffer_free(run->backend, run->table);
    ops->kv_free(run->backend, run->kv);
    backend_free(run->backend);
}

/* One step of ROWS rows, alternately of the two sequences, from FIRST on; what comes out is read to
 * OUT [rows][head][head_dim] unless that is NULL. */
static void attention_step(struct attention_run *run, uint32_t first, uint32_t rows, float *out)
{
    const struct attention_case *c = run->c;
    const struct backend_ops *ops = run->backend->ops;
    struct backend_buffer *q = heads_of(run, c->heads, 1000 + first, true);
    struct backend_buffer *k = heads_of(run, c->kv_heads, 2000 + first, true);
    struct backend_buffer *v = heads_of(run, c->kv_heads, 3000 + first, false);
    struct backend_buffer *attended = heads_of(run, c->heads, 4000, false);
    struct backend_rope_table table = {.frequencies = run->frequencies, .table = run->table};
    struct backend_rope_kv rope = {
        .table = run->table, .q = q, .k = k, .v = v, .kv = run->kv, .layer = 1};
    struct backend_attention attention = {
        .q = q,
        .kv = run->kv,
        .layer = 1,
        .scale = c->fault == FAULT_SCALE ? 1.0f : 1.0f / sqrtf((float)c->head_dim),
        .out = attended,
    };
    struct err err = ERR_INIT;

    run->step.row_count = rows;
    for (uint32_t i = 0; i < rows; i++) {
        run->sequences[i] = i % SEQUENCES;
        run->positions[i] = first + i / SEQUENCES;
    }
    if (c->fault == FAULT_POSITION && out != NULL)
        run->positions[0]++;
    assert_int_equal(ops->step_begin(run->backend, &run->step, &err), 0);
    assert_int_equal(ops->rope_table(run->backend, &table, &err), 0);
    assert_int_equal(ops->rope_kv(run->backend, &rope, &err), 0);
    assert_int_equal(ops->attention(run->backend, &attention, &err), 0);
    if (out != NULL)
        assert_int_equal(ops->buffer_read(run->backend, attended, out, rows, &err), 0);
    ops->step_end(run->backend);
    ops->buffer_free(run->backend, q);
    ops->buffer_free(run->backend, k);
    ops->buffer_free(run->backend, v);
    ops->buffer_free(run->backend, attended);
}

static void run_attention(const char *device, const struct attention_case *c, float *out)
{
    const uint32_t step_positions = ROW_MAX / SEQUENCES;
    struct attention_run run;

    attention_run_init(&run, device, c);
    for (uint32_t first = 0; first < c->past; first += step_positions) {
        uint32_t left = c->past - first;

        attention_step(&run, first, SEQUENCES * (left < step_positions ? left : step_positions),
                       NULL);
    }
    attention_step(&run, c->past, c->rows, out);
    attention_run_release(&run);
}

static double attention_distance(const char *device, const struct attention_case *c)
{
    struct attention_case right = *c;
    size_t count = (size_t)c->rows * c->heads * c->head_dim;
    AUTO_FREE float *exact = random_floats(count, 1);
    AUTO_FREE float *got = random_floats(count, 2);

    right.fault = FAULT_NONE;
    run_attention("ref", &right, exact);
    run_attention(device, c, got);
    return distance(got, exact, count);
}

static void attention_agrees_over_blocks_heads_and_sequences(void **state)
{
    static const struct attention_case CASES[] = {
        {.heads = 4, .kv_heads = 4, .head_dim = 16, .rope_dims = 16, .past = 0, .rows = 1},
        {.heads = 4, .kv_heads = 1, .head_dim = 64, .rope_dims = 64, .past = 0, .rows = 64},
        {.heads = 9, .kv_heads = 3, .head_dim = 64, .rope_dims = 64, .past = 31, .rows = 3},
        {.heads = 9, .kv_heads = 3, .head_dim = 64, .rope_dims = 32, .past = 32, .rows = 1},
        {.heads = 2, .kv_heads = 1, .head_dim = 128, .rope_dims = 128, .past = 95, .rows = 33},
        {.heads = 6, .kv_heads = 2, .head_dim = 20, .rope_dims = 12, .past = 70, .rows = 9},
        {.heads = 3, .kv_heads = 3, .head_dim = 8, .rope_dims = 2, .past = 400, .rows = 64},
        {.heads = 8, .kv_heads = 2, .head_dim = 80, .rope_dims = 80, .past = 300, .rows = 7},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        for (size_t d = 0; d < ARRAY_COUNT(DEVICES); d++) {
            double nmse = attention_distance(DEVICES[d], &CASES[i]);

            if (!(nmse <= HALF_KV_BOUND))
                fail_msg("%s case %zu: %g", DEVICES[d], i, nmse);
        }
    }
}

static void a_planted_fault_of_attention_passes_the_bound(void **state)
{
    static const enum fault FAULTS[] = {FAULT_SCALE, FAULT_ROPE_KIND, FAULT_POSITION};

    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++) {
        struct attention_case c = {.heads = 4,
                                   .kv_heads = 2,
                                   .head_dim = 32,
                                   .rope_dims = 32,
                                   .past = 40,
                                   .rows = 2,
                                   .fault = FAULTS[i]};

        assert_true(attention_distance("cpu", &c) > 100 * HALF_KV_BOUND);
    }
}

/* ---- what is not finite ---- */

static void nan_travels_to_the_logits(void **state)
{
    struct row_case c = {.rows = 9, .width = 32, .type = QUANT_F32, .epsilon = NAN};
    float out[9 * 32 * 2 + 3 * VOCAB];

    for (size_t d = 0; d < ARRAY_COUNT(DEVICES); d++) {
        run_rows(DEVICES[d], &c, out);
        for (size_t i = 0; i < 3 * VOCAB; i++)
            assert_true(isnan(out[9 * 32 * 2 + i]));
    }
}

static void an_unknown_device_is_refused_by_name(void **state)
{
    struct err err = ERR_INIT;

    assert_null(backend_new("gpu:0", 1, &err));
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "gpu:0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_of_several_weights_and_each_epilogue_agrees),
        cmocka_unit_test(embed_norm_and_head_agree),
        cmocka_unit_test(a_missing_epsilon_passes_the_bound),
        cmocka_unit_test(attention_agrees_over_blocks_heads_and_sequences),
        cmocka_unit_test(a_planted_fault_of_attention_passes_the_bound),
        cmocka_unit_test(nan_travels_to_the_logits),
        cmocka_unit_test(an_unknown_device_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

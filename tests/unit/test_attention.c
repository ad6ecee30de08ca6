/* Every device against ref in rope, KV store and attention: one key head for all, contexts over
 * many blocks, windows that begin anywhere in one. And ref against its formula, and the other way
 * round: with a fault planted the distance must pass the bound, or the test sees nothing. */
#include "hip/kernels/args.h"
#include "tests/backend_fixture.h"

/* Of one type of KV store; ref rounds to KV_TYPE_Q8_0 as the others do. */
static const double KV_BOUND = 1e-5;

enum fault {
    FAULT_NONE,
    FAULT_SCALE,
    FAULT_ROPE_KIND,
    FAULT_POSITION,
    FAULT_WINDOW,         /* there is none */
    FAULT_WINDOW_BY_ONE,  /* it is one position longer */
    FAULT_SOFTCAP,        /* there is none */
    FAULT_MAGNITUDE,      /* it is 1 */
    FAULT_NO_NORM,        /* heads have none */
    FAULT_SWAPPED_NORMS,  /* q has that of k */
    FAULT_KIND_OF_DEVICE, /* neighbours turn together */
    FAULT_KV_TYPE,        /* keys and values are kept finer */
};

struct attention_case {
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t rope_dims;
    uint32_t past;    /* positions that are in the KV store already, in each of two sequences */
    uint32_t rows;    /* of the last step */
    uint32_t decodes; /* the first so many of them; the others are of prompts */
    uint32_t run;     /* so many in a row are of one sequence; 0 for 1: alternately of the two */
    enum backend_rope_kind kind;
    uint32_t window;
    float softcap;
    float magnitude; /* 0 for 1 */
    enum kv_type kv_type;
    bool has_norms;
    bool has_stale; /* what was never written for this sequence, or was, is NaN */
    enum fault fault;
};

enum { CONTEXT = 448, SEQUENCES = 2, BLOCKS = CONTEXT / BACKEND_KV_BLOCK_TOKENS };

struct attention_run {
    struct backend *backend;
    uint32_t
        few_at_once; /* rows that are also computed by themselves: 1, or more where that is slow */
    const struct attention_case *c;
    struct backend_buffer *frequencies;
    struct backend_buffer *table;
    struct backend_kv *kv;
    float *norms; /* [2][head_dim], of q and of k */
    struct backend_weight *q_norm;
    struct backend_weight *k_norm;
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
                                     .head_dim = c->head_dim,
                                     .kv_type =
                                         c->fault == FAULT_KV_TYPE ? KV_TYPE_F16 : c->kv_type};
    struct err err = ERR_INIT;
    float frequencies[256];

    *run = (struct attention_run){.backend = device_new(device), .few_at_once = 1, .c = c};
    if (device_is_emulated(device)) /* slow: two parts, or of seven rows */
        run->few_at_once = c->rows < 2 * 7 ? (c->rows + 1) / 2 : 7;
    run->frequencies = run->backend->ops->buffer_new(run->backend, 1, c->rope_dims / 2, &err);
    for (uint32_t i = 0; i < c->rope_dims / 2; i++)
        frequencies[i] = powf(10000.0f, -2.0f * (float)i / (float)c->rope_dims);
    assert_int_equal(
        run->backend->ops->buffer_write(run->backend, run->frequencies, frequencies, 1, &err), 0);
    run->table = run->backend->ops->buffer_new(run->backend, ROW_MAX, c->rope_dims, &err);
    run->kv = run->backend->ops->kv_new(run->backend, &shape, &err);
    assert_non_null(run->kv);
    run->norms = random_floats(2 * (size_t)c->head_dim, 71);
    if (c->has_norms && c->fault != FAULT_NO_NORM) {
        bool is_swapped = c->fault == FAULT_SWAPPED_NORMS;

        run->q_norm = weight_of(run->backend, QUANT_F32, c->head_dim, 1,
                                run->norms + (is_swapped ? c->head_dim : 0));
        run->k_norm = weight_of(run->backend, QUANT_F32, c->head_dim, 1,
                                run->norms + (is_swapped ? 0 : c->head_dim));
    }
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
    ops->weight_free(run->backend, run->q_norm);
    ops->weight_free(run->backend, run->k_norm);
    ops->kv_free(run->backend, run->kv);
    free(run->norms);
    backend_free(run->backend);
}

static uint32_t window_of(const struct attention_case *c)
{
    if (c->fault == FAULT_WINDOW)
        return 0;
    return c->window + (c->fault == FAULT_WINDOW_BY_ONE ? 1 : 0);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* IN_A_RUN rows of one sequence, then as many of the next, until there are ROWS. */
static void place_rows(struct attention_run *run, uint32_t first, uint32_t rows, uint32_t in_a_run)
{
    run->step.row_count = rows;
    run->step.decode_row_count = least(run->c->decodes, rows);
    for (uint32_t i = 0; i < rows; i++) {
        run->sequences[i] = i / in_a_run % SEQUENCES;
        run->positions[i] = first + i / (in_a_run * SEQUENCES) * in_a_run + i % in_a_run;
    }
}

/* Each row of the step that has just run again, with as many of those behind it as AT_ONCE says:
 * bit for bit the same, whatever else is in the batch. Q is turned. */
static void expect_same_in_parts(struct attention_run *run, const struct backend_attention *whole,
                                 const float *turned, const float *out, uint32_t at_once)
{
    const struct backend_ops *ops = run->backend->ops;
    struct backend_step step = run->step;
    struct backend_attention part = *whole;
    uint32_t width = run->c->heads * run->c->head_dim;
    AUTO_FREE float *got = random_floats((size_t)ROW_MAX * width, 1);
    struct err err = ERR_INIT;

    for (uint32_t row = 0; row < run->step.row_count; row += at_once) {
        uint32_t left = run->step.row_count - row;
        struct backend_buffer *q = ops->buffer_new(run->backend, ROW_MAX, width, &err);

        assert_non_null(q);
        part.q = q;
        step.row_count = least(left, at_once);
        step.decode_row_count =
            run->c->decodes > row ? least(run->c->decodes - row, step.row_count) : 0;
        step.positions = run->positions + row;
        step.sequences = run->sequences + row;
        assert_int_equal(
            ops->buffer_write(run->backend, q, turned + (size_t)row * width, step.row_count, &err),
            0);
        assert_int_equal(ops->step_begin(run->backend, &step, &err), 0);
        assert_int_equal(ops->attention(run->backend, &part, &err), 0);
        assert_int_equal(ops->buffer_read(run->backend, part.out, got, step.row_count, &err), 0);
        ops->step_end(run->backend);
        assert_memory_equal(got, out + (size_t)row * width,
                            (size_t)step.row_count * width * sizeof(*got));
        ops->buffer_free(run->backend, q);
    }
}

/* One step of ROWS rows, IN_A_RUN of each sequence in turn, from FIRST on; what comes out is read
 * to OUT [rows][head][head_dim] unless that is NULL. */
static void attention_step(struct attention_run *run, uint32_t first, uint32_t rows,
                           uint32_t in_a_run, float *out)
{
    const struct attention_case *c = run->c;
    const struct backend_ops *ops = run->backend->ops;
    struct backend_buffer *q = heads_of(run, c->heads, 1000 + first, true);
    struct backend_buffer *k = heads_of(run, c->kv_heads, 2000 + first, true);
    struct backend_buffer *v = heads_of(run, c->kv_heads, 3000 + first, false);
    struct backend_buffer *attended = heads_of(run, c->heads, 4000, false);
    struct backend_rope_table table = {
        .frequencies = run->frequencies,
        .magnitude = c->magnitude == 0.0f || c->fault == FAULT_MAGNITUDE ? 1.0f : c->magnitude,
        .table = run->table,
    };
    struct backend_rope_kv rope = {
        .table = run->table,
        .kind = c->fault == FAULT_KIND_OF_DEVICE ? BACKEND_ROPE_NORM : c->kind,
        .q_norm = run->q_norm,
        .k_norm = run->k_norm,
        .epsilon = 1e-5f,
        .q = q,
        .k = k,
        .v = v,
        .kv = run->kv,
        .layer = 1,
    };
    struct backend_attention attention = {
        .q = q,
        .kv = run->kv,
        .layer = 1,
        .scale = c->fault == FAULT_SCALE ? 1.0f : 1.0f / sqrtf((float)c->head_dim),
        .window = window_of(c),
        .softcap = c->fault == FAULT_SOFTCAP ? 0.0f : c->softcap,
        .out = attended,
    };
    struct err err = ERR_INIT;

    place_rows(run, first, rows, in_a_run);
    if (c->fault == FAULT_POSITION && out != NULL)
        run->positions[0]++;
    assert_int_equal(ops->step_begin(run->backend, &run->step, &err), 0);
    assert_int_equal(ops->rope_table(run->backend, &table, &err), 0);
    assert_int_equal(ops->rope_kv(run->backend, &rope, &err), 0);
    /* Of the past only keys and values matter. */
    if (out != NULL) {
        assert_int_equal(ops->attention(run->backend, &attention, &err), 0);
        assert_int_equal(ops->buffer_read(run->backend, attended, out, rows, &err), 0);
    }
    ops->step_end(run->backend);
    if (out != NULL && c->fault == FAULT_NONE) {
        AUTO_FREE float *turned = random_floats((size_t)ROW_MAX * c->heads * c->head_dim, 1);

        assert_int_equal(ops->buffer_read(run->backend, q, turned, rows, &err), 0);
        expect_same_in_parts(run, &attention, turned, out, run->few_at_once);
        if (5 * run->few_at_once < c->rows)
            expect_same_in_parts(run, &attention, turned, out, 5 * run->few_at_once);
    }
    ops->buffer_free(run->backend, q);
    ops->buffer_free(run->backend, k);
    ops->buffer_free(run->backend, v);
    ops->buffer_free(run->backend, attended);
}

/* NaN for every position of the context. */
static void write_stale(struct attention_run *run)
{
    const struct backend_ops *ops = run->backend->ops;
    uint32_t width = run->c->kv_heads * run->c->head_dim;
    AUTO_FREE float *values = random_floats((size_t)ROW_MAX * width, 1);
    struct backend_buffer *q = heads_of(run, run->c->heads, 1, false);
    struct backend_buffer *stale = heads_of(run, run->c->kv_heads, 1, false);
    struct backend_rope_kv rope = {
        .table = run->table, .q = q, .k = stale, .v = stale, .kv = run->kv, .layer = 1};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < (size_t)ROW_MAX * width; i++)
        values[i] = NAN;
    assert_int_equal(ops->buffer_write(run->backend, stale, values, ROW_MAX, &err), 0);
    for (uint32_t first = 0; first < CONTEXT; first += ROW_MAX / SEQUENCES) {
        place_rows(run, first, ROW_MAX, 1);
        assert_int_equal(ops->step_begin(run->backend, &run->step, &err), 0);
        assert_int_equal(ops->rope_kv(run->backend, &rope, &err), 0);
        ops->step_end(run->backend);
    }
    ops->buffer_free(run->backend, q);
    ops->buffer_free(run->backend, stale);
}

static void run_attention(const char *device, const struct attention_case *c, float *out)
{
    const uint32_t step_positions = ROW_MAX / SEQUENCES;
    struct attention_run run;

    attention_run_init(&run, device, c);
    if (c->has_stale)
        write_stale(&run);
    for (uint32_t first = 0; first < c->past; first += step_positions) {
        uint32_t left = c->past - first;

        attention_step(&run, first, SEQUENCES * (left < step_positions ? left : step_positions), 1,
                       NULL);
    }
    attention_step(&run, c->past, c->rows, c->run == 0 ? 1 : c->run, out);
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

/* Emulated GPUs are slow: each has the case ONLY_EMULATED alone, or, if that is none, every second
 * one. */
static void expect_attention(const struct attention_case *cases, size_t count, size_t only_emulated)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < device_count(); d++) {
            struct attention_case c = cases[i];
            double nmse = 0.0;

            if (c.kv_type != KV_TYPE_F16 && !device_is_emulated(DEVICES[d]))
                continue;
            if (device_is_emulated(DEVICES[d]) &&
                (only_emulated < count ? i != only_emulated : (i + d) % 2 != 0))
                continue;
            /* GPUs have another way for them; of several splits none is left out. */
            if (i / 2 % 2 == 0 || c.past + c.rows > GPU_SPLIT_TOKENS)
                c.decodes = (c.rows + 1) / 2;
            nmse = attention_distance(DEVICES[d], &c);

            if (!(nmse <= KV_BOUND))
                fail_msg("%s case %zu: %g", DEVICES[d], i, nmse);
        }
    }
}

/* One head's vector of position POSITION of sequence 0, as attention_step() makes it: SEED is 1000
 * for q, 2000 for k, 3000 for v. The steps of C are one of its past and one of its last rows. */
static void head_by_formula(const struct attention_case *c, uint32_t position, uint64_t seed,
                            double out[8])
{
    uint32_t first = position < c->past ? 0 : c->past;
    AUTO_FREE float *values = random_floats((size_t)ROW_MAX * 8, seed + first);

    for (int d = 0; d < 8; d++)
        out[d] = 2.0 * (double)values[(position - first) * SEQUENCES * 8 + (uint32_t)d];
}

/* Norm, then NEOX rope over the first 4 of 8: elements 0 and 2, 1 and 3 turn together. */
static void turn_by_formula(const struct attention_case *c, uint32_t position, bool is_k,
                            double head[8])
{
    AUTO_FREE float *norms = random_floats(16, 71);
    double squares = 0.0;

    for (int d = 0; d < 8; d++)
        squares += head[d] * head[d];
    for (int d = 0; d < 8; d++)
        head[d] *= (double)norms[d + (is_k ? 8 : 0)] / sqrt(squares / 8.0 + 1e-5);
    for (int i = 0; i < 2; i++) {
        double angle = position * pow(10000.0, -2.0 * i / 4.0);
        double x = head[i];
        double y = head[i + 2];

        head[i] = (double)c->magnitude * (x * cos(angle) - y * sin(angle));
        head[i + 2] = (double)c->magnitude * (x * sin(angle) + y * cos(angle));
    }
}

/* The row of position 4, which sees 2, 3 and 4. */
static void attention_by_formula(const struct attention_case *c, double out[8])
{
    double q[8];
    double total = 0.0;

    head_by_formula(c, 4, 1000, q);
    turn_by_formula(c, 4, false, q);
    memset(out, 0, 8 * sizeof(*out));
    for (uint32_t position = 2; position <= 4; position++) {
        double k[8];
        double v[8];
        double score = 0.0;

        head_by_formula(c, position, 2000, k);
        turn_by_formula(c, position, true, k);
        head_by_formula(c, position, 3000, v);
        for (int d = 0; d < 8; d++)
            score += q[d] * k[d] / sqrt(8.0);
        score = exp(2.0 * tanh(score / 2.0));
        total += score;
        for (int d = 0; d < 8; d++)
            out[d] += score * v[d];
    }
    for (int d = 0; d < 8; d++)
        out[d] /= total;
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
        {.heads = 8, .kv_heads = 1, .head_dim = 288, .rope_dims = 64, .past = 40, .rows = 5},
        {.heads = 5, .kv_heads = 1, .head_dim = 320, .rope_dims = 320, .past = 3, .rows = 3},
    };

    expect_attention(CASES, ARRAY_COUNT(CASES), SIZE_MAX);
}

/* Windows that begin at the border of a block, before and behind it, within the first block, and
 * before there is anything; each kind of rope, whole and partial; norms of heads of any width. */
static const struct attention_case VARIANTS[] = {
    {.heads = 4,
     .kv_heads = 1,
     .head_dim = 64,
     .rope_dims = 64,
     .rows = 64,
     .kind = BACKEND_ROPE_NEOX},
    {.heads = 6,
     .kv_heads = 2,
     .head_dim = 20,
     .rope_dims = 12,
     .past = 70,
     .rows = 9,
     .kind = BACKEND_ROPE_NEOX,
     .has_norms = true},
    {.heads = 2,
     .kv_heads = 1,
     .head_dim = 256,
     .rope_dims = 256,
     .past = 95,
     .rows = 33,
     .kind = BACKEND_ROPE_NEOX,
     .has_norms = true,
     .window = 64},
    {.heads = 4,
     .kv_heads = 2,
     .head_dim = 32,
     .rope_dims = 32,
     .past = 127,
     .rows = 9,
     .window = 32},
    {.heads = 4,
     .kv_heads = 2,
     .head_dim = 32,
     .rope_dims = 32,
     .past = 128,
     .rows = 64,
     .window = 33,
     .softcap = 1.5f},
    {.heads = 4,
     .kv_heads = 2,
     .head_dim = 32,
     .rope_dims = 32,
     .past = 130,
     .rows = 7,
     .window = 1},
    {.heads = 4,
     .kv_heads = 2,
     .head_dim = 32,
     .rope_dims = 16,
     .past = 20,
     .rows = 64,
     .window = 31,
     .magnitude = 1.4f},
    {.heads = 4,
     .kv_heads = 2,
     .head_dim = 12,
     .rope_dims = 12,
     .past = 390,
     .rows = 64,
     .window = 200,
     .softcap = 3.0f,
     .has_norms = true,
     .magnitude = 1.1f,
     .kind = BACKEND_ROPE_NEOX},
    {.heads = 4,
     .kv_heads = 2,
     .head_dim = 32,
     .rope_dims = 32,
     .past = 31,
     .rows = 3,
     .window = 1000000},
};

static void attention_agrees_with_windows_caps_norms_and_neox_rope(void **state)
{
    expect_attention(VARIANTS, ARRAY_COUNT(VARIANTS), SIZE_MAX);
}

/* Rows that follow each other are a tile with the heads that share a key head: groups that fill it
 * evenly and not, heads of any width, runs that end inside a block and inside a tile, windows that
 * begin there; and what other sequences have left in a block is NaN. */
static void attention_agrees_over_tiles_and_beside_what_is_stale(void **state)
{
    static const uint32_t GROUPS[] = {1, 3, 5, 7, 16};
    static const uint32_t HEAD_DIMS[] = {16, 24, 12, 64};
    static const struct attention_case SHAPES[] = {
        {.past = 0, .rows = 64, .run = 64},
        {.past = 0, .rows = 1, .run = 1},
        {.past = 27, .rows = 60, .run = 20},
        {.past = 61, .rows = 64, .run = 32, .window = 40},
        {.past = 33, .rows = 17, .run = 9, .window = 7, .softcap = 2.0f},
        {.past = 100, .rows = 2, .run = 1, .window = 5},
        {.past = 64, .rows = 3, .run = 3},
    };

    for (size_t i = 0; i < ARRAY_COUNT(GROUPS) * ARRAY_COUNT(HEAD_DIMS); i++) {
        struct attention_case cases[ARRAY_COUNT(SHAPES)];

        memcpy(cases, SHAPES, sizeof(cases));
        for (size_t s = 0; s < ARRAY_COUNT(SHAPES); s++) {
            cases[s].kv_heads = 2;
            cases[s].heads = 2 * GROUPS[i / ARRAY_COUNT(HEAD_DIMS)];
            cases[s].head_dim = HEAD_DIMS[i % ARRAY_COUNT(HEAD_DIMS)];
            cases[s].rope_dims = cases[s].head_dim;
            cases[s].has_stale = true;
        }
        /* An emulated GPU is slow: it has one shape of each, all of them in turn. */
        expect_attention(cases, ARRAY_COUNT(cases), i % ARRAY_COUNT(cases));
    }
}

/* Keys and values as bytes: heads of whole groups and not, of several heads a block and of one,
 * over several blocks and splits, beside what is stale, in every way that rows are computed. */
static void attention_agrees_where_keys_and_values_are_q8_0(void **state)
{
    struct attention_case cases[] = {
        {.heads = 4, .kv_heads = 4, .head_dim = 16, .rope_dims = 16, .rows = 1},
        {.heads = 9, .kv_heads = 3, .head_dim = 64, .rope_dims = 64, .past = 31, .rows = 3},
        {.heads = 9, .kv_heads = 3, .head_dim = 64, .rope_dims = 32, .past = 32, .rows = 33},
        {.heads = 8, .kv_heads = 1, .head_dim = 128, .rope_dims = 128, .past = 95, .rows = 9},
        {.heads = 6, .kv_heads = 2, .head_dim = 20, .rope_dims = 12, .past = 70, .rows = 9},
        {.heads = 3, .kv_heads = 3, .head_dim = 8, .rope_dims = 2, .past = 400, .rows = 24},
        {.heads = 8, .kv_heads = 2, .head_dim = 80, .rope_dims = 80, .past = 300, .rows = 7},
        {.heads = 5, .kv_heads = 1, .head_dim = 320, .rope_dims = 320, .past = 3, .rows = 3},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cases[i].kv_type = KV_TYPE_Q8_0;
        cases[i].has_stale = i % 2 == 0;
        cases[i].run = i % 3 == 0 ? cases[i].rows : 1;
        if (i >= ARRAY_COUNT(cases) / 2) {
            cases[i].kind = BACKEND_ROPE_NEOX;
            cases[i].has_norms = true;
            cases[i].window = 40;
        }
    }
    expect_attention(cases, ARRAY_COUNT(cases), SIZE_MAX);
}

/* A row that sees itself alone gets its value as it is kept: each dimension within half a scale of
 * what it was, and a whole number of scales, which is a half. */
static void expect_rounded(const float *kept, const float *value, uint32_t count)
{
    float largest = 0.0f;
    float scale = 0.0f;

    for (uint32_t d = 0; d < count; d++)
        largest = fmaxf(largest, fabsf(value[d]));
    scale = quant_f16_to_f32(quant_f32_to_f16(largest / 127.0f));
    for (uint32_t d = 0; d < count; d++) {
        float number = kept[d] / scale;

        assert_true(fabsf(kept[d] - value[d]) <= 0.5001f * scale);
        assert_true(number == roundf(number) && fabsf(number) <= 127.0f);
    }
}

static void what_is_kept_as_q8_0_is_the_nearest_number_of_its_group(void **state)
{
    static const char *const KEEPERS[] = {"ref", EMULATOR_32, EMULATOR_64};
    const struct attention_case c = {.heads = 1,
                                     .kv_heads = 1,
                                     .head_dim = 80,
                                     .rope_dims = 80,
                                     .rows = 1,
                                     .decodes = 1,
                                     .kv_type = KV_TYPE_Q8_0};
    AUTO_FREE float *value = random_floats(80, 3000);
    float got[80];

    for (uint32_t d = 0; d < 80; d++)
        value[d] *= 2.0f; /* as heads_of() */
    for (size_t i = 0; i < ARRAY_COUNT(KEEPERS); i++) {
        run_attention(KEEPERS[i], &c, got);
        expect_rounded(got, value, 32);
        expect_rounded(got + 32, value + 32, 32);
        expect_rounded(got + 64, value + 64, 16);
    }
}

/* How much of it is lost: an error of 1 / 127 / sqrt(12) of a group's largest in each dimension. */
static void q8_0_is_close_to_what_is_not_rounded(void **state)
{
    struct attention_case c = {.heads = 8,
                               .kv_heads = 2,
                               .head_dim = 64,
                               .rope_dims = 64,
                               .past = 200,
                               .rows = 64,
                               .kv_type = KV_TYPE_Q8_0,
                               .fault = FAULT_KV_TYPE};
    double nmse = attention_distance("ref", &c);

    if (!(nmse > KV_BOUND && nmse < 2e-4))
        fail_msg("%g", nmse);
}

/* ref by itself against sums written out, for one head: a window of 3 of 5 positions. */
static void ref_attends_to_the_window_by_its_formula(void **state)
{
    struct attention_case c = {.heads = 1,
                               .kv_heads = 1,
                               .head_dim = 8,
                               .rope_dims = 4,
                               .past = 4,
                               .rows = 2,
                               .kind = BACKEND_ROPE_NEOX,
                               .window = 3,
                               .softcap = 2.0f,
                               .magnitude = 1.5f,
                               .has_norms = true};
    float got[2 * 8];
    double exact[8];

    run_attention("ref", &c, got);
    attention_by_formula(&c, exact);
    for (int d = 0; d < 8; d++)
        assert_true(fabs((double)got[d] - exact[d]) <= 1e-5);
}

static void a_planted_fault_of_attention_passes_the_bound(void **state)
{
    static const enum fault FAULTS[] = {
        FAULT_SCALE,   FAULT_ROPE_KIND, FAULT_POSITION, FAULT_WINDOW,        FAULT_WINDOW_BY_ONE,
        FAULT_SOFTCAP, FAULT_MAGNITUDE, FAULT_NO_NORM,  FAULT_SWAPPED_NORMS, FAULT_KIND_OF_DEVICE,
    };

    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++) {
        struct attention_case c = {.heads = 4,
                                   .kv_heads = 2,
                                   .head_dim = 32,
                                   .rope_dims = 32,
                                   .past = 40,
                                   .rows = 2,
                                   .fault = FAULTS[i]};

        if (FAULTS[i] >= FAULT_WINDOW) {
            c.kind = BACKEND_ROPE_NEOX;
            c.window = 8;
            c.softcap = 0.7f;
            c.magnitude = 1.4f;
            c.has_norms = true;
        }
        if (!(attention_distance("cpu", &c) > 100 * KV_BOUND))
            fail_msg("fault %d: %g", FAULTS[i], attention_distance("cpu", &c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_agrees_over_blocks_heads_and_sequences),
        cmocka_unit_test(attention_agrees_with_windows_caps_norms_and_neox_rope),
        cmocka_unit_test(attention_agrees_over_tiles_and_beside_what_is_stale),
        cmocka_unit_test(attention_agrees_where_keys_and_values_are_q8_0),
        cmocka_unit_test(what_is_kept_as_q8_0_is_the_nearest_number_of_its_group),
        cmocka_unit_test(q8_0_is_close_to_what_is_not_rounded),
        cmocka_unit_test(ref_attends_to_the_window_by_its_formula),
        cmocka_unit_test(a_planted_fault_of_attention_passes_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What tests of the op table share: devices, random weights and activations, a plain step, and
 * matmul on a device beside ref. */
#ifndef RBEE_TESTS_BACKEND_FIXTURE_H
#define RBEE_TESTS_BACKEND_FIXTURE_H

#include "hip/backend/backend.h"

#include "common/attr.h"
#include "hip/model/quant.h"
#include "tests/devices.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const DEVICES[] = {"cpu",       "cpu-plain", EMULATOR_32,
                                      EMULATOR_64, "cpu-avx2",  "cpu-avx512"};
static const uint32_t ROW_COUNTS[] = {1, 2, 3, 7, 8, 9, 31, 33, 64};

/* backend.h's bounds: of ops in floats, and of products with quantised weights, which a planted
 * fault has to pass. As integers of 12 and 13 bits these come much closer: the third. */
static const double FLOAT_BOUND = 1e-6;
static const double QUANT_BOUND = 5e-4;
static const double INTEGER_BOUND = 5e-6;
enum { ROW_MAX = 64, THREADS = 3 };

/* ---- helpers ---- */

static inline struct backend *device_new(const char *name)
{
    struct err err = ERR_INIT;
    struct backend *backend = device_open(name, THREADS, &err);

    if (backend == NULL)
        fail_msg("%s: %s", name, err.message);
    return backend;
}

/* All but the last two are on every machine; who has the last one has both. */
static inline size_t device_count(void)
{
    enum { EVERYWHERE = ARRAY_COUNT(DEVICES) - 2 };
    size_t count = ARRAY_COUNT(DEVICES);

    for (; count > EVERYWHERE; count--) {
        struct err err = ERR_INIT;
        struct backend *last = backend_new(DEVICES[count - 1], 1, &err);
        bool is_there = last != NULL;

        backend_free(last);
        if (is_there)
            break;
    }
    return count;
}

/* What a product with weights of TYPE has to keep on a device. */
static inline double product_bound(const char *device, uint32_t type)
{
    bool is_float = quant_info(type)->block_elements == 1 || strcmp(device, "cpu-plain") == 0;

    return is_float ? FLOAT_BOUND : INTEGER_BOUND;
}

/* Normalised mean square error. */
static inline double distance(const float *a, const float *exact, size_t count)
{
    double wrong = 0.0;
    double size = 0.0;

    for (size_t i = 0; i < count; i++) {
        double difference = (double)a[i] - (double)exact[i];

        wrong += difference * difference;
        size += (double)exact[i] * (double)exact[i];
    }
    return wrong / size;
}

static inline float *random_floats(size_t count, uint64_t seed)
{
    float *values = malloc(count * sizeof(*values));

    assert_non_null(values);
    for (size_t i = 0; i < count; i++)
        values[i] = tiny_uniform(&seed);
    return values;
}

static inline struct backend_buffer *filled(struct backend *backend, uint32_t rows, uint32_t width,
                                            uint64_t seed)
{
    AUTO_FREE float *values = random_floats((size_t)rows * width, seed);
    struct err err = ERR_INIT;
    struct backend_buffer *buffer = backend->ops->buffer_new(backend, rows, width, &err);

    assert_non_null(buffer);
    assert_int_equal(backend->ops->buffer_write(backend, buffer, values, rows, &err), 0);
    return buffer;
}

/* Random blocks of TYPE; the same SEED gives the same. The caller frees. Not a byte longer than
 * they are, so that a sanitizer sees a load beyond the last block. */
static inline char *random_blocks(uint32_t type, uint32_t columns, uint32_t rows, uint64_t seed)
{
    AUTO_FREE float *values = random_floats((size_t)columns * rows, seed);
    AUTO_BUF struct buf blocks = BUF_INIT((size_t)columns * rows * sizeof(float) + 1);
    char *exact = NULL;

    writer_encode(&blocks, type, values, (size_t)columns * rows);
    exact = malloc(blocks.len);
    assert_non_null(exact);
    memcpy(exact, blocks.data, blocks.len);
    return exact;
}

static inline struct backend_weight *weight_of(struct backend *backend, uint32_t type,
                                               uint32_t columns, uint32_t rows, const void *data)
{
    struct backend_matrix matrix = {.type = type, .columns = columns, .rows = rows, .data = data};
    struct err err = ERR_INIT;
    struct backend_weight *weight = backend->ops->weight_new(backend, &matrix, &err);

    assert_non_null(weight);
    return weight;
}

/* A step of ROWS rows of sequence 0 from position 0, every third of which wants logits. */
struct plain_step {
    struct backend_step step;
    uint32_t tokens[ROW_MAX];
    uint32_t positions[ROW_MAX];
    uint32_t sequences[ROW_MAX];
    uint32_t logit_rows[ROW_MAX];
    uint32_t blocks[ROW_MAX];
};

static inline void plain_step_init(struct plain_step *plain, uint32_t rows)
{
    *plain = (struct plain_step){0};
    plain->step = (struct backend_step){
        .row_count = rows,
        .blocks_per_sequence = ROW_MAX / BACKEND_KV_BLOCK_TOKENS,
        .tokens = plain->tokens,
        .positions = plain->positions,
        .sequences = plain->sequences,
        .block_tables = plain->blocks,
        .logit_rows = plain->logit_rows,
    };
    for (uint32_t i = 0; i < rows; i++) {
        plain->tokens[i] = i * 7 % 11;
        plain->positions[i] = i;
        if (i % 3 == 0)
            plain->logit_rows[plain->step.logit_row_count++] = i;
    }
}

/* ---- matmul ---- */

struct matmul_case {
    uint32_t type;
    uint32_t rows;
    uint32_t columns;
    uint32_t width;
    uint32_t weight_count;
    enum backend_epilogue epilogue;
    uint32_t bias_type; /* of biases, if: */
    bool has_biases;
    bool lacks_biases; /* a fault: they are not given */
    bool is_decode;    /* all rows are */
};

/* A bias for each weight, its numbers as large as a product's. */
static inline void add_biases(struct backend *backend, const struct matmul_case *c,
                              struct backend_matmul *op, char *blocks[BACKEND_MATMUL_MAX_COUNT])
{
    for (uint32_t i = 0; i < c->weight_count; i++) {
        blocks[i] = random_blocks(c->bias_type, c->width, 1, 300 + i);
        op->biases[i] = weight_of(backend, c->bias_type, c->width, 1, blocks[i]);
    }
}

static inline void free_weight(struct backend *backend, const struct backend_weight *weight)
{
    backend->ops->weight_free(backend, (struct backend_weight *)(uintptr_t)weight);
}

/* Runs the case on DEVICE; OUT is [weight_count][rows][width]. DATA replaces the first weight. */
static inline void run_matmul(const char *device, const struct matmul_case *c, const char *data,
                              float *out)
{
    struct backend *backend = device_new(device);
    struct backend_matmul op = {.weight_count = c->weight_count, .epilogue = c->epilogue};
    struct backend_buffer *x = filled(backend, c->rows, c->columns, 5);
    struct err err = ERR_INIT;
    struct plain_step plain;
    char *blocks[BACKEND_MATMUL_MAX_COUNT];
    char *bias_blocks[BACKEND_MATMUL_MAX_COUNT] = {NULL};
    struct backend_buffer *outs[BACKEND_MATMUL_MAX_COUNT];

    op.x = x;
    if (c->has_biases && !c->lacks_biases)
        add_biases(backend, c, &op, bias_blocks);
    for (uint32_t i = 0; i < c->weight_count; i++) {
        blocks[i] = random_blocks(c->type, c->columns, c->width, 100 + i);
        op.weights[i] = weight_of(backend, c->type, c->columns, c->width,
                                  i == 0 && data != NULL ? data : blocks[i]);
        outs[i] = op.outs[i] = filled(backend, c->rows, c->width, 200 + i);
    }
    plain_step_init(&plain, c->rows);
    plain.step.decode_row_count = c->is_decode ? c->rows : 0;
    assert_int_equal(backend->ops->step_begin(backend, &plain.step, &err), 0);
    assert_int_equal(backend->ops->matmul(backend, &op, &err), 0);
    for (uint32_t i = 0; i < c->weight_count; i++)
        assert_int_equal(backend->ops->buffer_read(
                             backend, outs[i], out + (size_t)i * c->rows * c->width, c->rows, &err),
                         0);
    backend->ops->step_end(backend);
    backend->ops->buffer_free(backend, x);
    for (uint32_t i = 0; i < c->weight_count; i++) {
        backend->ops->buffer_free(backend, outs[i]);
        free_weight(backend, op.weights[i]);
        free_weight(backend, op.biases[i]);
        free(blocks[i]);
        free(bias_blocks[i]);
    }
    backend_free(backend);
}

static inline double matmul_distance(const char *device, const struct matmul_case *c,
                                     const char *data)
{
    size_t count = (size_t)c->weight_count * c->rows * c->width;
    AUTO_FREE float *exact = random_floats(count, 1);
    AUTO_FREE float *got = random_floats(count, 2);
    struct matmul_case right = *c;

    right.lacks_biases = false;
    run_matmul("ref", &right, NULL, exact);
    run_matmul(device, c, data, got);
    return distance(got, exact, count);
}

/* The rows of a small batch are bit for bit those of a large one: a prompt is cut where time says,
 * and the same seed must still give the same answer. */
static inline void expect_same_rows(const char *device, struct matmul_case c)
{
    size_t matrix = (size_t)ROW_MAX * c.width;
    AUTO_FREE float *whole = random_floats(c.weight_count * matrix, 1);
    AUTO_FREE float *part = random_floats(c.weight_count * matrix, 2);

    c.rows = ROW_MAX;
    run_matmul(device, &c, NULL, whole);
    for (size_t i = 0; i < ARRAY_COUNT(ROW_COUNTS); i++) {
        c.rows = ROW_COUNTS[i];
        run_matmul(device, &c, NULL, part);
        for (uint32_t w = 0; w < c.weight_count; w++) {
            /* A gate has one output; the other buffers keep what filled() put there. */
            size_t size = (size_t)c.rows * c.width * sizeof(float);

            if (memcmp(part + w * (size_t)c.rows * c.width, whole + w * matrix, size) != 0)
                fail_msg("%s %s: %u rows of %u columns differ from a batch of %d", device,
                         quant_info(c.type)->name, c.rows, c.columns, ROW_MAX);
        }
    }
}

#endif

/* What tests of the kernels of weights share: planes made of a file's blocks, activations as
 * integers, launches of products through the emulator, and the same products by quant_decode() and
 * sums in double. */
#ifndef RBEE_TESTS_GPU_WEIGHTS_FIXTURE_H
#define RBEE_TESTS_GPU_WEIGHTS_FIXTURE_H

#include "tests/backend_fixture.h"

#include "hip/kernels/layout.h"
#include "tests/emulator/emulate.h"

#include <math.h>

/* Activations have 15 bits, so products with quantised weights are far better than QUANT_BOUND,
 * which a planted fault has to pass. */
static const double PRODUCT_BOUND = 1e-5;
/* Of numbers that are only brought into another form. */
static const double DECODE_BOUND = 1e-12;

enum {
    ORDER_COUNT = 3,
    WAVE_COUNT = 2,
    BLOCK_THREADS = 128,
    INTEGER_MAX = 16383, /* of activations */
    UNWRITTEN = 0xab,
    MATVEC_KERNELS = 4,
    NAME_BYTES = 64,
};

static const uint32_t MATVEC_ROWS[MATVEC_KERNELS] = {1, 2, 4, 8};

static struct emulator emulators[WAVE_COUNT];

static const struct type_row {
    const char *name;
    uint32_t quant;
    enum gpu_weight_type type;
} TYPES[] = {
#define WEIGHT_TYPE(name, ...) {#name, QUANT_##name, GPU_WEIGHT_##name},
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
};

static inline bool is_float(const struct type_row *type)
{
    struct gpu_format format = gpu_format_of(type->type);

    return gpu_format_is_float(&format);
}

/* Few columns, many, and many and a rest, as far as blocks allow. */
static inline uint32_t columns_of(const struct type_row *type, uint32_t index)
{
    static const uint32_t of_floats[] = {33, 100, 258};
    static const uint32_t of_blocks[] = {32, 288, 416};
    static const uint32_t of_k_blocks[] = {256, 512, 768};
    uint32_t elements = quant_info(type->quant)->block_elements;

    return elements == 1    ? of_floats[index]
           : elements == 32 ? of_blocks[index]
                            : of_k_blocks[index];
}

/* ---- weights ---- */

struct weight {
    const struct type_row *type;
    struct gpu_planes planes;
    void *memory;
    char *raw;
    float *numbers; /* [rows][columns] */
};

static inline void planes_free(struct weight *weight)
{
    free(weight->memory);
    free(weight->raw);
    free(weight->numbers);
}

static inline void repack(const struct emulator *emulator, const struct weight *weight,
                          uint32_t row_begin, uint32_t row_count)
{
    struct gpu_format format = gpu_format_of(weight->type->type);
    uint32_t row_bytes = (uint32_t)quant_row_bytes(weight->type->quant, weight->planes.columns);
    struct args_repack args = {.raw = (const uint8_t *)weight->raw + (size_t)row_begin * row_bytes,
                               .to = weight->planes,
                               .row_begin = row_begin,
                               .row_count = row_count,
                               .raw_row_bytes = row_bytes};
    uint32_t chunks_of_block = GPU_EMBED_THREADS / GPU_TILE_ROWS;
    uint32_t blocks =
        (gpu_chunks(&format, weight->planes.columns) + chunks_of_block - 1) / chunks_of_block;
    char kernel[NAME_BYTES];

    (void)snprintf(kernel, sizeof(kernel), "repack_%s", weight->type->name);
    emulate(emulator, kernel, (const uint32_t[]){blocks, gpu_tiles(row_count), 1},
            GPU_EMBED_THREADS, &args, sizeof(args));
}

/* Takes RAW. */
static inline struct weight weight_of_raw(const struct emulator *emulator,
                                          const struct type_row *type, uint32_t rows,
                                          uint32_t columns, char *raw)
{
    uint64_t bytes = gpu_weight_bytes(type->type, rows, columns);
    struct weight weight = {.type = type, .raw = raw};

    assert_int_equal(posix_memalign(&weight.memory, GPU_PLANE_ALIGN, bytes), 0);
    memset(weight.memory, UNWRITTEN, bytes);
    weight.planes = gpu_planes_at(type->type, weight.memory, rows, columns);
    weight.numbers = malloc((size_t)rows * columns * sizeof(float));
    assert_non_null(weight.numbers);
    quant_decode(type->quant, raw, weight.numbers, (size_t)rows * columns);
    /* Whole tiles come in one launch, what is left in another, as from two staging buffers. */
    if (rows > GPU_TILE_ROWS) {
        uint32_t first = rows / GPU_TILE_ROWS * GPU_TILE_ROWS;

        repack(emulator, &weight, 0, first);
        if (rows > first)
            repack(emulator, &weight, first, rows - first);
    } else {
        repack(emulator, &weight, 0, rows);
    }
    return weight;
}

static inline struct weight weight_new(const struct emulator *emulator, const struct type_row *type,
                                       uint32_t rows, uint32_t columns, uint64_t seed)
{
    return weight_of_raw(emulator, type, rows, columns,
                         random_blocks(type->quant, columns, rows, seed));
}

/* ---- activations ---- */

struct activations {
    uint32_t rows;
    uint32_t columns;
    float *x;
    struct gpu_quantised quantised;
};

static inline void *exact_alloc(size_t bytes)
{
    void *memory = NULL;

    assert_int_equal(posix_memalign(&memory, GPU_PIECE_BYTES, bytes), 0);
    return memory;
}

static inline void quantise_group(struct activations *x, size_t at)
{
    float largest = 0.0f;
    float scale = 0.0f;

    for (size_t i = at; i < at + GPU_GROUP_COLUMNS; i++)
        largest = fmaxf(largest, fabsf(x->x[i]));
    scale = largest / (float)INTEGER_MAX;
    x->quantised.scales[at / GPU_GROUP_COLUMNS] = scale;
    for (size_t i = at; i < at + GPU_GROUP_COLUMNS; i++) {
        int32_t q = (int32_t)lroundf(x->x[i] / scale);
        int32_t upper = (q + 128) >> 8;

        x->quantised.upper[i] = (int8_t)upper;
        x->quantised.lower[i] = (int8_t)(q - 256 * upper);
        x->quantised.sums[i / GPU_SUM_COLUMNS] += q;
    }
}

/* Without integers where columns are no whole groups: floats alone have such. */
static inline struct activations activations_new(uint32_t rows, uint32_t columns)
{
    size_t count = (size_t)rows * columns;
    struct activations x = {.rows = rows, .columns = columns, .x = random_floats(count, 5)};

    if (columns % GPU_GROUP_COLUMNS != 0)
        return x;
    x.quantised.upper = exact_alloc(count);
    x.quantised.lower = exact_alloc(count);
    x.quantised.scales = exact_alloc(count / GPU_GROUP_COLUMNS * sizeof(float));
    x.quantised.sums = exact_alloc(count / GPU_SUM_COLUMNS * sizeof(int32_t));
    memset(x.quantised.sums, 0, count / GPU_SUM_COLUMNS * sizeof(int32_t));
    for (size_t at = 0; at < count; at += GPU_GROUP_COLUMNS)
        quantise_group(&x, at);
    return x;
}

/* None of its integers is what it was. */
static inline void activations_spoil(struct activations *x)
{
    size_t count = (size_t)x->rows * x->columns;

    memset(x->quantised.upper, UNWRITTEN, count);
    memset(x->quantised.lower, UNWRITTEN, count);
    memset(x->quantised.scales, UNWRITTEN, count / GPU_GROUP_COLUMNS * sizeof(float));
    memset(x->quantised.sums, UNWRITTEN, count / GPU_SUM_COLUMNS * sizeof(int32_t));
}

static inline void expect_same_integers(const struct activations *x, const struct activations *y)
{
    size_t count = (size_t)x->rows * x->columns;

    assert_memory_equal(x->quantised.upper, y->quantised.upper, count);
    assert_memory_equal(x->quantised.lower, y->quantised.lower, count);
    assert_memory_equal(x->quantised.scales, y->quantised.scales,
                        count / GPU_GROUP_COLUMNS * sizeof(float));
    assert_memory_equal(x->quantised.sums, y->quantised.sums,
                        count / GPU_SUM_COLUMNS * sizeof(int32_t));
}

static inline void activations_free(struct activations *x)
{
    free(x->x);
    free(x->quantised.upper);
    free(x->quantised.lower);
    free(x->quantised.scales);
    free(x->quantised.sums);
}

/* ---- products ---- */

struct product {
    const struct weight *weights[GPU_PRODUCT_WEIGHTS];
    const float *biases[GPU_PRODUCT_WEIGHTS];
    uint32_t weight_count;
    enum backend_epilogue epilogue;
    uint32_t row_begin;
    uint32_t row_count;
    float softcap;
    struct gpu_quantised gated;
};

static inline double exact_dot(const struct weight *weight, const struct activations *x,
                               uint32_t row, uint32_t column)
{
    const float *a = weight->numbers + (size_t)column * x->columns;
    const float *b = x->x + (size_t)row * x->columns;
    double sum = 0.0;

    for (uint32_t i = 0; i < x->columns; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static inline double exact_gate(enum backend_epilogue epilogue, double y)
{
    if (epilogue == BACKEND_SILU_MUL)
        return y / (1.0 + exp(-y));
    return 0.5 * y * (1.0 + tanh(sqrt(2.0 / M_PI) * (y + 0.044715 * y * y * y)));
}

/* What becomes of BEFORE. */
static inline double exact_product(const struct product *p, const struct activations *x,
                                   uint32_t index, uint32_t row, uint32_t column, float before)
{
    double y = exact_dot(p->weights[index], x, row, column);

    if (p->biases[index] != NULL)
        y += (double)p->biases[index][column];
    if (p->softcap != 0.0f)
        y = (double)p->softcap * tanh(y / (double)p->softcap);
    if (p->epilogue == BACKEND_ADD)
        return (double)before + y;
    if (backend_is_gate(p->epilogue))
        return exact_gate(p->epilogue, y) * exact_dot(p->weights[1], x, row, column);
    return y;
}

/* OUTS[i] are random before, [rows of x][rows of weight i]. */
static inline void launch_product(const struct emulator *emulator, const struct product *p,
                                  const struct activations *x, const char *kernel,
                                  uint32_t rows_of_weight, uint32_t rows_of_block, uint32_t threads,
                                  float *outs[GPU_PRODUCT_WEIGHTS])
{
    struct args_product args = {.x = x->x,
                                .quantised = x->quantised,
                                .weight_count = p->weight_count,
                                .epilogue = p->epilogue,
                                .row_begin = p->row_begin,
                                .row_count = p->row_count,
                                .softcap = p->softcap,
                                .gated = p->gated};
    uint32_t blocks[3] = {0, (p->row_count + rows_of_block - 1) / rows_of_block, 1};

    for (uint32_t i = 0; i < p->weight_count; i++) {
        args.weights[i] = p->weights[i]->planes;
        args.biases[i] = p->biases[i];
        args.outs[i] = outs[i];
    }
    blocks[0] = gpu_product_blocks(&args, backend_is_gate(p->epilogue), rows_of_weight);
    emulate(emulator, kernel, blocks, threads, &args, sizeof(args));
}

static inline void launch_matvec(const struct emulator *emulator, const struct product *p,
                                 const struct activations *x, uint32_t row_max, uint32_t threads,
                                 float *outs[GPU_PRODUCT_WEIGHTS])
{
    char kernel[NAME_BYTES];

    (void)snprintf(kernel, sizeof(kernel), "matvec_%s_r%u", p->weights[0]->type->name, row_max);
    launch_product(emulator, p, x, kernel, emulator->wave, row_max, threads, outs);
}

static inline void launch_matmul(const struct emulator *emulator, const struct product *p,
                                 const struct activations *x, uint32_t threads,
                                 float *outs[GPU_PRODUCT_WEIGHTS])
{
    char kernel[NAME_BYTES];

    (void)snprintf(kernel, sizeof(kernel), "matmul_%s", p->weights[0]->type->name);
    launch_product(emulator, p, x, kernel, emulator->wave * GPU_MATMUL_TILES,
                   threads / emulator->wave * GPU_MATMUL_ROWS, threads, outs);
}

static inline size_t out_count(const struct product *p, const struct activations *x, uint32_t index)
{
    return (size_t)x->rows * p->weights[index]->planes.rows;
}

static inline void outs_new(const struct product *p, const struct activations *x,
                            float *outs[GPU_PRODUCT_WEIGHTS])
{
    for (uint32_t i = 0; i < GPU_PRODUCT_WEIGHTS; i++)
        outs[i] = i < p->weight_count ? random_floats(out_count(p, x, i), 200 + i) : NULL;
}

static inline void outs_free(float *outs[GPU_PRODUCT_WEIGHTS])
{
    for (uint32_t i = 0; i < GPU_PRODUCT_WEIGHTS; i++)
        free(outs[i]);
}

/* Of outs, in the rows of the launch; other rows, and the second out of a gate, are as before. */
static inline double product_distance(const struct product *p, const struct activations *x,
                                      float *outs[GPU_PRODUCT_WEIGHTS])
{
    double wrong = 0.0;
    double size = 0.0;

    for (uint32_t w = 0; w < p->weight_count; w++) {
        size_t width = p->weights[w]->planes.rows;
        AUTO_FREE float *before = random_floats(out_count(p, x, w), 200 + w);

        for (size_t i = 0; i < out_count(p, x, w); i++) {
            uint32_t row = (uint32_t)(i / width);
            double exact = 0.0;

            if (row < p->row_begin || row >= p->row_begin + p->row_count ||
                (w > 0 && backend_is_gate(p->epilogue))) {
                assert_true(outs[w][i] == before[i]);
                continue;
            }
            exact = exact_product(p, x, w, row, (uint32_t)(i % width), before[i]);
            wrong += ((double)outs[w][i] - exact) * ((double)outs[w][i] - exact);
            size += exact * exact;
        }
    }
    return wrong / size;
}

/* Of products in integers and floats. */
static inline double dot_bound(const struct type_row *type)
{
    return is_float(type) ? FLOAT_BOUND : PRODUCT_BOUND;
}

static inline void expect_product(const struct emulator *emulator, const struct product *p,
                                  const struct activations *x, float *outs[GPU_PRODUCT_WEIGHTS],
                                  const char *kernel, double bound)
{
    double found = product_distance(p, x, outs);

    if (!(found <= bound))
        fail_msg("%s %s, wave %u: %u rows, [%u][%u]: NMSE %g", kernel, p->weights[0]->type->name,
                 emulator->wave, p->row_count, p->weights[0]->planes.rows, x->columns, found);
}

/* For each type, wave and order, or, where lanes do not meet, in one order for each type. */
static inline void each_type(bool in_all_orders,
                             void (*check)(const struct emulator *emulator,
                                           const struct type_row *type, uint32_t order))
{
    for (size_t wave = 0; wave < WAVE_COUNT; wave++) {
        for (uint32_t order = 0; order < ORDER_COUNT; order++) {
            emulators[wave].set_order((enum emulator_order)order, 1);
            for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
                if (in_all_orders || (i + wave) % ORDER_COUNT == order)
                    check(&emulators[wave], &TYPES[i], order);
            }
        }
        emulators[wave].set_order(EMULATOR_FORWARD, 0);
    }
}

/* One kind of products: which columns it is tried with, and what launches it and looks at what
 * comes out. */
struct products {
    uint32_t (*columns_of)(const struct type_row *type, uint32_t index);
    void (*expect)(const struct emulator *emulator, const struct product *p,
                   const struct activations *x);
};

/* Three weights of their own widths with biases; some of the rows. */
static inline void check_epilogues_of(const struct products *products,
                                      const struct emulator *emulator, const struct type_row *type,
                                      uint32_t order)
{
    static const uint32_t widths[GPU_PRODUCT_WEIGHTS] = {65, 33, 130};
    static const enum backend_epilogue epilogues[] = {BACKEND_STORE, BACKEND_ADD};
    uint32_t columns = products->columns_of(type, order);
    struct activations x = activations_new(9, columns);
    struct product p = {.weight_count = GPU_PRODUCT_WEIGHTS, .row_begin = 2, .row_count = 5};
    struct weight weights[GPU_PRODUCT_WEIGHTS];
    float *biases[GPU_PRODUCT_WEIGHTS];

    for (uint32_t i = 0; i < GPU_PRODUCT_WEIGHTS; i++) {
        weights[i] = weight_new(emulator, type, widths[i], columns, 20 + i);
        biases[i] = random_floats(widths[i], 30 + i);
        p.weights[i] = &weights[i];
        p.biases[i] = biases[i];
    }
    p.biases[1] = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(epilogues); i++) {
        p.epilogue = epilogues[i];
        products->expect(emulator, &p, &x);
    }
    p.softcap = 3.0f;
    p.epilogue = BACKEND_STORE;
    p.weight_count = 1;
    products->expect(emulator, &p, &x);
    for (uint32_t i = 0; i < GPU_PRODUCT_WEIGHTS; i++) {
        planes_free(&weights[i]);
        free(biases[i]);
    }
    activations_free(&x);
}

static inline void check_gates_of(const struct products *products, const struct emulator *emulator,
                                  const struct type_row *type, uint32_t order)
{
    static const enum backend_epilogue epilogues[] = {BACKEND_SILU_MUL, BACKEND_GELU_MUL};
    uint32_t columns = products->columns_of(type, order);
    struct activations x = activations_new(9, columns);
    struct weight first = weight_new(emulator, type, 161, columns, 20);
    struct weight second = weight_new(emulator, type, 161, columns, 21);
    struct product p = {.weights = {&first, &second}, .weight_count = 2, .row_count = 9};

    for (size_t i = 0; i < ARRAY_COUNT(epilogues); i++) {
        p.epilogue = epilogues[i];
        products->expect(emulator, &p, &x);
    }
    planes_free(&first);
    planes_free(&second);
    activations_free(&x);
}

#endif

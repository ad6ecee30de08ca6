/* bench_types: how long the inner loops of the CPU take for a weight of each tensor type: one row
 * of activations, four, eight, and 256 (there a product). Processor time of one thread over a
 * matrix that fits the second-level cache, so that neither memory nor other processes count; the
 * least of several rounds, taken in turns. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/mem.h"
#include "hip/backend/cpu_kernels.h"
#include "hip/model/quant.h"
#include "tests/tiny_model.h"

#include <time.h>

enum {
    COLUMNS = 2048,
    WIDTH = 4 * CPU_MANY_WIDTH,
    STRIPS = COLUMNS / CPU_STRIP,
    ROUNDS = 7,
    WEIGHTS = COLUMNS * WIDTH,
};

static const uint32_t ROW_COUNTS[] = {1, 4, 8, 256};
enum { CASES = ARRAY_COUNT(ROW_COUNTS), ROW_MAX = 256 };

struct matrix {
    uint32_t type;
    char *blocks;
    double least_ps[CASES]; /* a weight */
};

struct scratch {
    float *x; /* [ROW_MAX][COLUMNS] */
    int16_t *values;
    int16_t *strip_sums;
    float *units;
    float *out;
    float *sums;
};

static double thread_ps(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* cannot fail for our own thread */
    return (double)now.tv_sec * 1e12 + (double)now.tv_nsec * 1e3;
}

/* Values as `few` wants them; `many` multiplies the same numbers in another order, tiles their
 * bytes and zeroes. */
static struct cpu_integers integers_of(const struct cpu_kernels *kernels,
                                       const struct scratch *scratch, uint32_t rows)
{
    for (uint32_t i = 0; i < rows * STRIPS; i++) {
        const float *x = scratch->x + (uint64_t)(i % rows) * COLUMNS + i / rows * CPU_STRIP;

        scratch->units[i] =
            kernels->to_integers(x, CPU_STRIP, scratch->values + (uint64_t)i * CPU_STRIP,
                                 scratch->strip_sums + (uint64_t)i * 2 * CPU_STRIP_SUMS);
    }
    return (struct cpu_integers){
        .row_count = rows,
        .columns = COLUMNS,
        .values = scratch->values,
        .sums = scratch->strip_sums,
        .units = scratch->units,
    };
}

static void multiply(const struct cpu_kernels *kernels, const struct matrix *matrix,
                     const struct cpu_integers *x, const struct scratch *scratch)
{
    for (uint32_t first = 0; first < WIDTH; first += kernels->many_width) {
        uint32_t left = WIDTH - first;
        struct cpu_product product = {
            .type = matrix->type,
            .row_bytes = quant_row_bytes(matrix->type, COLUMNS),
            .width = left < kernels->many_width ? left : kernels->many_width,
            .x = x,
            .out = scratch->out,
            .sums = scratch->sums,
        };

        product.weights = (const uint8_t *)matrix->blocks + first * product.row_bytes;
        if (x->row_count <= CPU_FEW_ROWS)
            kernels->few(&product);
        else
            kernels->many(&product);
    }
}

static void measure(const struct cpu_kernels *kernels, struct matrix *matrix,
                    const struct scratch *scratch)
{
    for (size_t c = 0; c < CASES; c++) {
        struct cpu_integers x = integers_of(kernels, scratch, ROW_COUNTS[c]);
        int repeats = ROW_COUNTS[c] <= CPU_FEW_ROWS ? 10 : 1;
        double start_ps = thread_ps();
        double ps = 0.0;

        for (int i = 0; i < repeats; i++)
            multiply(kernels, matrix, &x, scratch);
        ps = (thread_ps() - start_ps) / repeats / WEIGHTS;
        if (matrix->least_ps[c] == 0.0 || ps < matrix->least_ps[c])
            matrix->least_ps[c] = ps;
    }
}

static void run(const char *name, const struct cpu_kernels *kernels, const float *values,
                const struct scratch *scratch)
{
    struct matrix matrices[QUANT_TYPE_MAX + 1] = {0};

    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        const struct quant_info *info = quant_info(type);
        AUTO_BUF struct buf blocks = BUF_INIT(WEIGHTS * sizeof(float) + 1);

        if (info == NULL || info->decode == NULL || info->block_elements == 1)
            continue;
        writer_encode(&blocks, type, values, WEIGHTS);
        matrices[type] = (struct matrix){.type = type, .blocks = buf_take(&blocks)};
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
            if (matrices[type].blocks != NULL)
                measure(kernels, &matrices[type], scratch);
        }
    }
    printf("%-8s %8s %8s %8s   picoseconds a weight; 256 rows, GMAC/s\n", name, "one row", "4 rows",
           "8 rows");
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        const double *ps = matrices[type].least_ps;

        if (matrices[type].blocks != NULL)
            printf("%-8s %8.0f %8.0f %8.0f   %8.1f\n", quant_info(type)->name, ps[0], ps[1], ps[2],
                   1e3 * ROW_MAX / ps[3]);
        free(matrices[type].blocks);
    }
}

int main(void)
{
    AUTO_FREE float *values = xcalloc(WEIGHTS, sizeof(*values));
    AUTO_FREE float *x = xcalloc((size_t)ROW_MAX * COLUMNS, sizeof(*x));
    AUTO_FREE int16_t *integers = xcalloc((size_t)ROW_MAX * STRIPS, CPU_STRIP_PIECES);
    AUTO_FREE int16_t *strip_sums =
        xcalloc((size_t)ROW_MAX * STRIPS * 2 * CPU_STRIP_SUMS, sizeof(*strip_sums));
    AUTO_FREE float *units = xcalloc((size_t)ROW_MAX * STRIPS, sizeof(*units));
    AUTO_FREE float *out = xcalloc((size_t)ROW_MAX * WIDTH, sizeof(*out));
    AUTO_FREE float *sums = xcalloc((size_t)ROW_MAX * WIDTH, sizeof(*sums));
    struct scratch scratch = {x, integers, strip_sums, units, out, sums};
    uint64_t seed = 1;

    for (size_t i = 0; i < WEIGHTS; i++)
        values[i] = tiny_uniform(&seed);
    for (size_t i = 0; i < (size_t)ROW_MAX * COLUMNS; i++)
        x[i] = tiny_uniform(&seed);
#if defined(__x86_64__)
    if (cpu_has_amx())
        run("AMX", &CPU_KERNELS_AMX, values, &scratch);
    if (cpu_has_avx512())
        run("AVX-512", &CPU_KERNELS_AVX512, values, &scratch);
    if (cpu_has_avx2())
        run("AVX2", &CPU_KERNELS_AVX2, values, &scratch);
#endif
    return 0;
}

/* bench_types: how long the inner loops of the CPU take for a weight of each tensor type, beside
 * F32, whose weights need no unpacking. Processor time of one thread over a matrix that fits the
 * second-level cache, so that neither memory nor neighbours count; the least of several rounds,
 * taken in turns. Prints picoseconds a weight. */
#include "common/attr.h"
#include "common/buf.h"
#include "hip/backend/cpu_kernels.h"
#include "hip/model/quant.h"
#include "tests/tiny_model.h"

#include <time.h>

enum {
    COLUMNS = 2048,
    ROWS = 64,
    ROUNDS = 9,
    REPEATS = 20,
    WEIGHTS = COLUMNS * ROWS,
};

enum loop { LOOP_DOT_1, LOOP_DOT_4, LOOP_DECODE, LOOP_COUNT };

struct matrix {
    uint32_t type;
    char *blocks;
    double least_ps[LOOP_COUNT]; /* a weight */
};

static double thread_ps(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* cannot fail for our own thread */
    return (double)now.tv_sec * 1e12 + (double)now.tv_nsec * 1e3;
}

static void run_loop(const struct cpu_kernels *kernels, const struct matrix *matrix, enum loop loop,
                     const float *x, float *out)
{
    for (uint64_t row = 0; row < ROWS; row++) {
        const char *blocks = matrix->blocks + row * quant_row_bytes(matrix->type, COLUMNS);

        if (loop == LOOP_DECODE)
            kernels->decode(matrix->type, blocks, out, COLUMNS);
        else
            kernels->dot(matrix->type, blocks, x, loop == LOOP_DOT_1 ? 1 : CPU_TILE_ROWS, COLUMNS,
                         out);
    }
}

static void measure(const struct cpu_kernels *kernels, struct matrix *matrix, const float *x,
                    float *out)
{
    for (int loop = 0; loop < LOOP_COUNT; loop++) {
        double start_ps = thread_ps();
        double ps = 0.0;

        for (int i = 0; i < REPEATS; i++)
            run_loop(kernels, matrix, (enum loop)loop, x, out);
        ps = (thread_ps() - start_ps) / REPEATS / WEIGHTS;
        if (matrix->least_ps[loop] == 0.0 || ps < matrix->least_ps[loop])
            matrix->least_ps[loop] = ps;
    }
}

static void make_matrix(struct matrix *matrix, uint32_t type, const float *values)
{
    struct buf blocks;

    buf_init(&blocks, WEIGHTS * sizeof(float) + 1);
    writer_encode(&blocks, type, values, WEIGHTS);
    matrix->type = type;
    matrix->blocks = buf_take(&blocks);
}

static const struct cpu_kernels *fastest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &CPU_KERNELS_AVX2;
#endif
    return &CPU_KERNELS_PLAIN;
}

int main(void)
{
    struct matrix matrices[QUANT_TYPE_MAX + 1] = {0};
    AUTO_FREE float *values = calloc(WEIGHTS, sizeof(*values));
    float x[CPU_TILE_ROWS * COLUMNS];
    float out[COLUMNS];
    uint64_t seed = 1;

    if (values == NULL)
        return 1;
    for (size_t i = 0; i < WEIGHTS; i++)
        values[i] = tiny_uniform(&seed);
    for (size_t i = 0; i < CPU_TILE_ROWS * COLUMNS; i++)
        x[i] = tiny_uniform(&seed);
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        if (quant_info(type) != NULL && quant_info(type)->decode != NULL)
            make_matrix(&matrices[type], type, values);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
            if (matrices[type].blocks != NULL)
                measure(fastest(), &matrices[type], x, out);
        }
    }
    printf("%-8s %8s %8s %8s   picoseconds a weight\n", "type", "one row", "4 rows", "decode");
    for (uint32_t type = 0; type <= QUANT_TYPE_MAX; type++) {
        const double *least_ps = matrices[type].least_ps;

        if (matrices[type].blocks != NULL)
            printf("%-8s %8.0f %8.0f %8.0f\n", quant_info(type)->name, least_ps[LOOP_DOT_1],
                   least_ps[LOOP_DOT_4], least_ps[LOOP_DECODE]);
        free(matrices[type].blocks);
    }
    return 0;
}

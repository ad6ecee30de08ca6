/* Owns the CPU backend's matmul: a task is a chunk of a weight's rows, for all rows of activations.
 * Weights with blocks are multiplied as integers (cpu_products.h); those that are floats are
 * decoded as they are multiplied, or, for many rows, once to a panel of floats that stays in the
 * cache. */
#include "hip/backend/cpu.h"

#include "common/attr.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Rows of activations from which a panel pays: below, decoding on the fly reads less memory. */
    PANEL_MIN_ROWS = 8,
    PANEL_MAX_BYTES = 128 * 1024, /* stays in the second-level cache beside the activations */
    CHUNK_MAX_ROWS = 48,          /* of a weight, a task, where activations are few or floats */
    CHUNK_STEP = 12,              /* a multiple of what is taken at once there */
    CHUNKS_A_THREAD = 6,          /* so that a slow thread leaves its share to others */
    SCRATCH_ALIGNMENT = 16,       /* floats: a cache line */
};

struct matmul_job {
    struct cpu_backend *cpu;
    const float *x; /* [row_count][columns] */
    uint32_t row_count;
    uint32_t columns;
    uint32_t out_count; /* weights that have an out of their own */
    enum backend_epilogue epilogue;
    float softcap; /* of what is stored, or 0 */
    const struct backend_weight *weights[BACKEND_MATMUL_MAX_COUNT];
    const float *biases[BACKEND_MATMUL_MAX_COUNT]; /* [weight's rows] or NULL */
    float *outs[BACKEND_MATMUL_MAX_COUNT];         /* [row_count][weight's rows] */
    struct cpu_integers integers;                  /* x, where a weight wants it so */
    uint32_t chunk_rows;
    uint32_t chunk_counts[BACKEND_MATMUL_MAX_COUNT];
    uint64_t product_floats; /* of a chunk: row_count * chunk_rows */
};

static bool is_integer(const struct cpu_backend *cpu, const struct backend_weight *weight)
{
    /* Every job has its weights. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    return cpu->kernels->few != NULL && quant_info(weight->matrix.type)->block_elements > 1;
}

static uint32_t weight_count(const struct matmul_job *job)
{
    return backend_is_gate(job->epilogue) ? 2 : job->out_count;
}

/* Whether any weight of the job is multiplied as integers, or as floats. */
static bool has_weight(const struct matmul_job *job, bool as_integer)
{
    for (uint32_t i = 0; i < weight_count(job); i++) {
        if (is_integer(job->cpu, job->weights[i]) == as_integer)
            return true;
    }
    return false;
}

static uint64_t aligned_floats(uint64_t count)
{
    return (count + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

/* ---- products: rows FIRST to FIRST + COUNT of a weight by all activations, to OUT[row][count]
 * ----
 */

static void multiply_integers(const struct matmul_job *job, const struct backend_weight *weight,
                              uint32_t first, uint32_t count, float *sums, float *out)
{
    struct cpu_product product = {
        .type = weight->matrix.type,
        .weights = host_weight_row(weight, first),
        .row_bytes = weight->row_bytes,
        .width = count,
        .x = &job->integers,
        .out = out,
        .sums = sums,
    };

    if (job->row_count <= CPU_FEW_ROWS)
        job->cpu->kernels->few(&product);
    else
        job->cpu->kernels->many(&product);
}

/* A few rows of activations, each weight decoded as it is multiplied. */
static void multiply_floats(const struct matmul_job *job, const struct backend_weight *weight,
                            uint32_t first, uint32_t count, float *out)
{
    float products[CPU_TILE_ROWS];

    for (uint32_t row = 0; row < job->row_count; row += CPU_TILE_ROWS) {
        uint32_t left = job->row_count - row;
        uint32_t rows = left < CPU_TILE_ROWS ? left : CPU_TILE_ROWS;

        for (uint32_t i = 0; i < count; i++) {
            job->cpu->kernels->dot(weight->matrix.type, host_weight_row(weight, first + i),
                                   job->x + (uint64_t)row * job->columns, rows, job->columns,
                                   products);
            for (uint32_t r = 0; r < rows; r++)
                out[(uint64_t)(row + r) * count + i] = products[r];
        }
    }
}

/* The weights decoded once to PANEL. */
static void multiply_panel(const struct matmul_job *job, const struct backend_weight *weight,
                           uint32_t first, uint32_t count, float *panel, float *out)
{
    for (uint32_t i = 0; i < count; i++)
        job->cpu->kernels->decode(weight->matrix.type, host_weight_row(weight, first + i),
                                  panel + (uint64_t)i * job->columns, job->columns);
    for (uint32_t row = 0; row < job->row_count; row += CPU_TILE_ROWS) {
        uint32_t left = job->row_count - row;

        job->cpu->kernels->tile(panel, count, job->x + (uint64_t)row * job->columns,
                                left < CPU_TILE_ROWS ? left : CPU_TILE_ROWS, job->columns,
                                out + (uint64_t)row * count);
    }
}

/* SCRATCH is what is left of the thread's behind the products. */
static void multiply(const struct matmul_job *job, const struct backend_weight *weight,
                     uint32_t first, uint32_t count, float *scratch, float *out)
{
    if (is_integer(job->cpu, weight))
        multiply_integers(job, weight, first, count, scratch, out);
    else if (job->row_count >= PANEL_MIN_ROWS)
        multiply_panel(job, weight, first, count, scratch, out);
    else
        multiply_floats(job, weight, first, count, out);
}

/* ---- what becomes of them ---- */

/* Y, which may be changed, and SECOND to OUT, as the epilogue says. BIAS may be NULL. */
static void finish_row(const struct matmul_job *job, float *out, float *y, const float *second,
                       const float *bias, uint32_t count)
{
    for (uint32_t i = 0; bias != NULL && i < count; i++)
        y[i] += bias[i];
    switch (job->epilogue) {
    case BACKEND_STORE:
        for (uint32_t i = 0; i < count; i++)
            out[i] = cpu_capped(y[i], job->softcap);
        break;
    case BACKEND_ADD:
        for (uint32_t i = 0; i < count; i++)
            out[i] += y[i];
        break;
    case BACKEND_SILU_MUL:
        job->cpu->kernels->silu_mul(y, second, out, count);
        break;
    case BACKEND_GELU_MUL:
        job->cpu->kernels->gelu_mul(y, second, out, count);
        break;
    }
}

static void matmul_task(void *context, uint32_t task, uint32_t thread)
{
    const struct matmul_job *job = context;
    bool is_pair = backend_is_gate(job->epilogue);
    float *y = job->cpu->scratch + thread * job->cpu->scratch_floats;
    float *second = y + job->product_floats;
    float *scratch = is_pair ? second + job->product_floats : second;
    const float *bias = NULL;
    uint32_t which = 0;
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t width = 0;

    for (; task >= job->chunk_counts[which]; which++)
        task -= job->chunk_counts[which];
    width = job->weights[which]->matrix.rows;
    first = task * job->chunk_rows;
    bias = job->biases[which] != NULL ? job->biases[which] + first : NULL;
    count = width - first < job->chunk_rows ? width - first : job->chunk_rows;
    multiply(job, job->weights[which], first, count, scratch, y);
    if (is_pair)
        multiply(job, job->weights[1], first, count, scratch, second);
    for (uint32_t row = 0; row < job->row_count; row++)
        finish_row(job, job->outs[which] + (uint64_t)row * width + first, y + (uint64_t)row * count,
                   second + (uint64_t)row * count, bias, count);
}

/* How many of a weight's rows one task takes: enough chunks for all threads, and what it computes
 * with fits the caches. */
static uint32_t chunk_rows_for(const struct matmul_job *job)
{
    uint64_t panel_row_bytes = (uint64_t)job->columns * sizeof(float);
    uint32_t thread_count = pool_thread_count(job->cpu->pool);
    uint64_t most = CHUNK_MAX_ROWS;
    uint64_t step = CHUNK_STEP;
    uint64_t total = 0;
    uint64_t rows = 0;

    for (uint32_t i = 0; i < job->out_count; i++)
        total += job->weights[i]->matrix.rows;
    rows = total / ((uint64_t)thread_count * CHUNKS_A_THREAD);
    if (has_weight(job, true) && job->row_count > CPU_FEW_ROWS) {
        most = job->cpu->kernels->many_width;
        step = job->cpu->kernels->many_step;
    }
    if (has_weight(job, false) && job->row_count >= PANEL_MIN_ROWS &&
        most > PANEL_MAX_BYTES / panel_row_bytes)
        most = PANEL_MAX_BYTES / panel_row_bytes;
    rows = (rows < most ? rows : most) / step * step;
    return (uint32_t)(rows < step ? step : rows);
}

static uint64_t scratch_floats_for(const struct matmul_job *job)
{
    uint64_t products = job->product_floats * (backend_is_gate(job->epilogue) ? 2 : 1);
    uint64_t panel = 0;
    uint64_t sums = 0;

    if (has_weight(job, false) && job->row_count >= PANEL_MIN_ROWS)
        panel = aligned_floats((uint64_t)job->chunk_rows * job->columns);
    if (has_weight(job, true) && job->row_count > CPU_FEW_ROWS)
        sums = (uint64_t)(job->row_count + CPU_GROUP - 1) / CPU_GROUP * CPU_GROUP * job->chunk_rows;
    return products + (panel > sums ? panel : sums);
}

uint64_t cpu_scratch_bytes(const struct backend *backend, const struct backend_scratch_shape *shape)
{
    const struct cpu_backend *cpu = (const struct cpu_backend *)backend;
    uint32_t many_width = cpu->kernels->many_width;
    uint32_t most = many_width > CHUNK_MAX_ROWS ? many_width : CHUNK_MAX_ROWS;
    uint32_t step = cpu->kernels->many_step > CHUNK_STEP ? cpu->kernels->many_step : CHUNK_STEP;
    uint64_t products = 2 * aligned_floats((uint64_t)shape->row_max * most);
    uint64_t panel = aligned_floats((uint64_t)shape->width_max * step);
    uint64_t sums = (uint64_t)(shape->row_max + CPU_GROUP) * many_width;
    uint64_t normed = (uint64_t)shape->logit_row_max * shape->width_max;

    if (panel < PANEL_MAX_BYTES / sizeof(float))
        panel = PANEL_MAX_BYTES / sizeof(float);
    return (pool_thread_count(cpu->pool) * (products + (panel > sums ? panel : sums)) + normed) *
               sizeof(float) +
           cpu_activations_bytes(cpu, shape->row_max, shape->width_max);
}

static int reserve_scratch(struct cpu_backend *cpu, uint64_t floats, struct err *err)
{
    uint32_t thread_count = pool_thread_count(cpu->pool);

    if (floats <= cpu->scratch_floats)
        return 0;
    free(cpu->scratch);
    cpu->scratch_floats = 0;
    cpu->scratch = host_alloc(thread_count, floats * sizeof(float));
    if (cpu->scratch == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the scratch of %u threads", thread_count);
    cpu->scratch_floats = floats;
    return 0;
}

static int run_matmul(struct matmul_job *job, struct err *err)
{
    struct pool_job pool_job = {.task = matmul_task, .context = job};

    job->chunk_rows = chunk_rows_for(job);
    job->product_floats = aligned_floats((uint64_t)job->row_count * job->chunk_rows);
    if (reserve_scratch(job->cpu, scratch_floats_for(job), err) != 0)
        return -1;
    if (has_weight(job, true) && cpu_activations_convert(job->cpu, job->x, job->row_count,
                                                         job->columns, &job->integers, err) != 0)
        return -1;
    for (uint32_t i = 0; i < job->out_count; i++) {
        uint32_t rows = job->weights[i]->matrix.rows;

        job->chunk_counts[i] = (rows + job->chunk_rows - 1) / job->chunk_rows;
        pool_job.task_count += job->chunk_counts[i];
    }
    pool_run(job->cpu->pool, &pool_job);
    return 0;
}

int cpu_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err)
{
    struct matmul_job job = {
        .cpu = cpu_of(backend),
        .x = op->x->data,
        .row_count = cpu_of(backend)->step->row_count,
        .columns = op->x->width,
        .out_count = backend_is_gate(op->epilogue) ? 1 : op->weight_count,
        .epilogue = op->epilogue,
    };

    assert(!backend_is_gate(op->epilogue) || op->weight_count == 2);
    for (uint32_t i = 0; i < op->weight_count; i++) {
        job.weights[i] = op->weights[i];
        assert(op->weights[i]->matrix.columns == op->x->width);
    }
    for (uint32_t i = 0; i < job.out_count; i++) {
        job.outs[i] = op->outs[i]->data;
        assert(op->outs[i]->width == op->weights[i]->matrix.rows);
        if (op->biases[i] == NULL)
            continue;
        assert(!backend_is_gate(op->epilogue));
        assert(op->biases[i]->matrix.columns == op->outs[i]->width);
        job.biases[i] = cpu_vector_floats(op->biases[i]);
    }
    return run_matmul(&job, err);
}

int cpu_head(struct backend *backend, const struct backend_head *op, struct err *err)
{
    struct cpu_backend *cpu = cpu_of(backend);
    uint32_t width = op->x->width;
    uint32_t row_count = cpu->step->logit_row_count;
    AUTO_FREE float *normed = host_alloc((uint64_t)row_count * width, sizeof(*normed));
    struct matmul_job job = {
        .cpu = cpu,
        .x = normed,
        .row_count = row_count,
        .columns = width,
        .out_count = 1,
        .epilogue = BACKEND_STORE,
        .softcap = op->softcap,
        .weights = {op->weight},
        .outs = {op->logits},
    };

    if (normed == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for scratch");
    assert(op->weight->matrix.columns == width);
    for (uint32_t i = 0; i < row_count; i++)
        cpu->kernels->norm(op->x->data + (uint64_t)cpu->step->logit_rows[i] * width,
                           cpu_vector_floats(op->scale), op->epsilon, width, false,
                           normed + (uint64_t)i * width);
    return run_matmul(&job, err);
}

/* Owns the CPU backend's matmul: a task is a chunk of a weight's rows, for all rows of activations.
 * For a few rows, weights are decoded as they are multiplied; for many, once to a panel of floats
 * that stays in the cache. The inner loops are cpu_plain.c and cpu_avx2.c. */
#include "hip/backend/cpu.h"

#include "common/attr.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Rows of activations from which a panel pays: below, decoding on the fly reads less memory. */
    PANEL_MIN_ROWS = 8,
    PANEL_MAX_BYTES = 128 * 1024, /* stays in the second-level cache beside the activations */
    CHUNK_MAX_ROWS = 48,          /* of a weight, a task; a multiple of what a tile takes at once */
    CHUNK_MIN_ROWS = 12,
    CHUNKS_A_THREAD = 6, /* so that a slow thread leaves its share to others */
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
    uint32_t chunk_rows;
    uint32_t chunk_counts[BACKEND_MATMUL_MAX_COUNT];
};

/* Rows FIRST to FIRST + COUNT of a weight by ROWS <= CPU_TILE_ROWS activations to OUT[rows][count].
 * PANEL holds the weight's rows as floats, or is NULL. */
static void multiply_chunk(const struct matmul_job *job, const struct backend_weight *weight,
                           const float *panel, uint32_t first, uint32_t count, const float *x,
                           uint32_t rows, float *out)
{
    if (panel != NULL) {
        job->cpu->kernels->tile(panel, count, x, rows, job->columns, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        float products[CPU_TILE_ROWS];

        job->cpu->kernels->dot(weight->matrix.type, host_weight_row(weight, first + i), x, rows,
                               job->columns, products);
        for (uint32_t r = 0; r < rows; r++)
            out[r * count + i] = products[r];
    }
}

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

static void decode_panel(const struct matmul_job *job, const struct backend_weight *weight,
                         uint32_t first, uint32_t count, float *panel)
{
    for (uint32_t i = 0; i < count; i++)
        job->cpu->kernels->decode(weight->matrix.type, host_weight_row(weight, first + i),
                                  panel + (uint64_t)i * job->columns, job->columns);
}

static void matmul_task(void *context, uint32_t task, uint32_t thread)
{
    const struct matmul_job *job = context;
    bool is_pair = backend_is_gate(job->epilogue);
    float *panels[2] = {NULL, NULL};
    float y[2][CPU_TILE_ROWS * CHUNK_MAX_ROWS];
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
    if (job->row_count >= PANEL_MIN_ROWS) {
        for (uint32_t i = 0; i < (is_pair ? 2u : 1u); i++) {
            panels[i] = job->cpu->panels + thread * job->cpu->panel_floats +
                        (uint64_t)i * job->chunk_rows * job->columns;
            decode_panel(job, job->weights[which + i], first, count, panels[i]);
        }
    }
    for (uint32_t row = 0; row < job->row_count; row += CPU_TILE_ROWS) {
        uint32_t left = job->row_count - row;
        uint32_t rows = left < CPU_TILE_ROWS ? left : CPU_TILE_ROWS;
        const float *x = job->x + (uint64_t)row * job->columns;

        multiply_chunk(job, job->weights[which], panels[0], first, count, x, rows, y[0]);
        if (is_pair)
            multiply_chunk(job, job->weights[1], panels[1], first, count, x, rows, y[1]);
        for (uint32_t r = 0; r < rows; r++)
            finish_row(job, job->outs[which] + (uint64_t)(row + r) * width + first,
                       y[0] + r * count, y[1] + r * count, bias, count);
    }
}

/* How many of a weight's rows one task takes: enough chunks for all threads, and panels that fit.
 */
static uint32_t chunk_rows_for(const struct matmul_job *job)
{
    uint64_t panel_row_bytes = (uint64_t)job->columns * sizeof(float);
    uint32_t thread_count = pool_thread_count(job->cpu->pool);
    uint64_t total = 0;
    uint64_t rows = 0;

    for (uint32_t i = 0; i < job->out_count; i++)
        total += job->weights[i]->matrix.rows;
    rows = total / ((uint64_t)thread_count * CHUNKS_A_THREAD);
    if (job->row_count >= PANEL_MIN_ROWS && rows > PANEL_MAX_BYTES / panel_row_bytes)
        rows = PANEL_MAX_BYTES / panel_row_bytes;
    rows = rows / CHUNK_MIN_ROWS * CHUNK_MIN_ROWS;
    if (rows < CHUNK_MIN_ROWS)
        return CHUNK_MIN_ROWS;
    return rows < CHUNK_MAX_ROWS ? (uint32_t)rows : CHUNK_MAX_ROWS;
}

static int reserve_panels(struct cpu_backend *cpu, uint64_t floats, struct err *err)
{
    uint32_t thread_count = pool_thread_count(cpu->pool);

    if (floats <= cpu->panel_floats)
        return 0;
    free(cpu->panels);
    cpu->panel_floats = 0;
    cpu->panels = host_alloc(thread_count, floats * sizeof(float));
    if (cpu->panels == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the panels of %u threads", thread_count);
    cpu->panel_floats = floats;
    return 0;
}

static int run_matmul(struct matmul_job *job, struct err *err)
{
    struct pool_job pool_job = {.task = matmul_task, .context = job};

    job->chunk_rows = chunk_rows_for(job);
    if (job->row_count >= PANEL_MIN_ROWS &&
        reserve_panels(job->cpu, 2 * (uint64_t)job->chunk_rows * job->columns, err) != 0)
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

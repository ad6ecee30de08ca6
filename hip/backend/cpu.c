/* Owns the CPU backend: which thread does what. The inner loops are cpu_plain.c and cpu_avx2.c.
 * Weights are read where they lie in the map of the file; keys and values are kept as halves. */
#include "hip/backend/cpu_kernels.h"
#include "hip/backend/host.h"
#include "hip/backend/pool.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/model/model.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum {
    /* Rows of activations from which a weight is decoded to a panel once and used for all: below,
     * decoding on the fly reads less memory. Measured: hip/SPEED.md. */
    PANEL_MIN_ROWS = 8,
    PANEL_MAX_BYTES = 128 * 1024, /* stays in the second-level cache beside the activations */
    CHUNK_MAX_ROWS = 48,          /* of a weight, a task; a multiple of what a tile takes at once */
    CHUNK_MIN_ROWS = 12,
    CHUNKS_A_THREAD = 6, /* so that a slow thread leaves its share to others */
    ROWS_A_TASK = 8,     /* for ops that work row by row */
    PAGE_TOUCH_BYTES = 4096,
};

struct cpu_backend {
    struct backend backend;
    const struct cpu_kernels *kernels;
    struct pool *pool;
    const struct backend_step *step; /* NULL between steps */
    uint32_t saved_float_mode;
    float *panels; /* [thread][panel_floats] */
    uint64_t panel_floats;
};

static struct cpu_backend *cpu_of(struct backend *backend)
{
    return (struct cpu_backend *)backend;
}

/* ---- floats ---- */

/* Subnormal numbers take a hundred times as long and change no answer: they are zero here. */
static uint32_t float_mode_fast(void)
{
#if defined(__x86_64__)
    uint32_t before = _mm_getcsr();

    _mm_setcsr(before | _MM_FLUSH_ZERO_ON | 0x0040 /* denormals are zero */);
    return before;
#else
    return 0;
#endif
}

static void float_mode_restore(uint32_t mode)
{
#if defined(__x86_64__)
    _mm_setcsr(mode);
#endif
}

static void thread_started(void)
{
    (void)float_mode_fast(); /* for the thread's whole life */
}

/* ---- weights ---- */

/* Reads a byte of each page, so that the first token does not wait for the disk. */
static void touch_pages(const void *data, uint64_t bytes)
{
    const volatile char *byte = data;

    for (uint64_t at = 0; at < bytes; at += PAGE_TOUCH_BYTES)
        (void)byte[at];
}

static struct backend_weight *cpu_weight_new(struct backend *backend,
                                             const struct backend_matrix *matrix, struct err *err)
{
    struct backend_weight *weight = host_weight_new(backend, matrix, err);

    touch_pages(matrix->data, weight->row_bytes * matrix->rows);
    return weight;
}

/* ---- rows ---- */

/* Runs JOB's task for every ROWS_A_TASK rows, here when there are no more than that. */
static void run_rows(struct cpu_backend *cpu, void (*task)(void *, uint32_t, uint32_t),
                     void *context)
{
    struct pool_job job = {
        .task = task,
        .context = context,
        .task_count = (cpu->step->row_count + ROWS_A_TASK - 1) / ROWS_A_TASK,
    };

    pool_run(cpu->pool, &job);
}

static uint32_t end_row(const struct cpu_backend *cpu, uint32_t task)
{
    uint32_t end = (task + 1) * ROWS_A_TASK;

    return end < cpu->step->row_count ? end : cpu->step->row_count;
}

struct embed_job {
    struct cpu_backend *cpu;
    const struct backend_embed *op;
};

static void embed_task(void *context, uint32_t task, uint32_t thread)
{
    const struct embed_job *job = context;
    const struct backend_embed *op = job->op;
    uint32_t width = op->out->width;

    for (uint32_t row = task * ROWS_A_TASK; row < end_row(job->cpu, task); row++)
        job->cpu->kernels->decode(op->table->matrix.type,
                                  host_weight_row(op->table, job->cpu->step->tokens[row]),
                                  op->out->data + (uint64_t)row * width, width);
}

static int cpu_embed(struct backend *backend, const struct backend_embed *op, struct err *err)
{
    struct embed_job job = {.cpu = cpu_of(backend), .op = op};

    assert(op->out->width == op->table->matrix.columns);
    run_rows(job.cpu, embed_task, &job);
    return 0;
}

struct rope_table_job {
    struct cpu_backend *cpu;
    const struct backend_rope_table *op;
};

static void rope_table_task(void *context, uint32_t task, uint32_t thread)
{
    const struct rope_table_job *job = context;
    uint32_t pairs = job->op->frequencies->width;

    for (uint32_t row = task * ROWS_A_TASK; row < end_row(job->cpu, task); row++) {
        for (uint32_t i = 0; i < pairs; i++) {
            /* In double: at position 100,000 a float's last place is already a visible turn. */
            double angle =
                (double)job->cpu->step->positions[row] * (double)job->op->frequencies->data[i];
            float *pair = job->op->table->data + ((uint64_t)row * pairs + i) * 2;

            pair[0] = (float)cos(angle);
            pair[1] = (float)sin(angle);
        }
    }
}

static int cpu_rope_table(struct backend *backend, const struct backend_rope_table *op,
                          struct err *err)
{
    struct rope_table_job job = {.cpu = cpu_of(backend), .op = op};

    assert(op->table->width == 2 * op->frequencies->width);
    run_rows(job.cpu, rope_table_task, &job);
    return 0;
}

struct norm_job {
    struct cpu_backend *cpu;
    const struct backend_norm *op;
    const float *scale; /* [width] */
};

static void norm_task(void *context, uint32_t task, uint32_t thread)
{
    const struct norm_job *job = context;
    uint32_t width = job->op->x->width;

    for (uint32_t row = task * ROWS_A_TASK; row < end_row(job->cpu, task); row++)
        job->cpu->kernels->norm(job->op->x->data + (uint64_t)row * width, job->scale,
                                job->op->epsilon, width,
                                job->op->out->data + (uint64_t)row * width);
}

/* Norm weights are nearly always floats already; others are decoded to SCRATCH. */
static const float *scale_floats(const struct cpu_backend *cpu, const struct backend_weight *weight,
                                 float *scratch)
{
    if (weight->matrix.type == QUANT_F32)
        return weight->matrix.data;
    cpu->kernels->decode(weight->matrix.type, weight->matrix.data, scratch, weight->matrix.columns);
    return scratch;
}

static int cpu_norm(struct backend *backend, const struct backend_norm *op, struct err *err)
{
    struct norm_job job = {.cpu = cpu_of(backend), .op = op};
    AUTO_FREE float *scratch = malloc(op->x->width * sizeof(*scratch));

    if (scratch == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for scratch");
    assert(op->scale->matrix.columns == op->x->width && op->out->width == op->x->width);
    assert(op->out != op->x);
    job.scale = scale_floats(job.cpu, op->scale, scratch);
    run_rows(job.cpu, norm_task, &job);
    return 0;
}

struct rope_kv_job {
    struct cpu_backend *cpu;
    const struct backend_rope_kv *op;
};

static void rope_head(float *head, const float *table, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++) {
        float x = head[2 * i];
        float y = head[2 * i + 1];

        head[2 * i] = x * table[2 * i] - y * table[2 * i + 1];
        head[2 * i + 1] = x * table[2 * i + 1] + y * table[2 * i];
    }
}

static void rope_kv_row(const struct rope_kv_job *job, uint32_t row)
{
    const struct backend_rope_kv *op = job->op;
    const struct backend_kv_shape *shape = &op->kv->shape;
    const struct backend_step *step = job->cpu->step;
    const float *table = op->table->data + (uint64_t)row * op->table->width;
    float *q = op->q->data + (uint64_t)row * op->q->width;
    float *k = op->k->data + (uint64_t)row * op->k->width;
    const float *v = op->v->data + (uint64_t)row * op->v->width;
    uint32_t position = step->positions[row];
    uint32_t block = host_kv_block(step, step->sequences[row], position);

    for (uint32_t at = 0; at < op->q->width; at += shape->head_dim)
        rope_head(q + at, table, op->table->width / 2);
    for (uint32_t h = 0; h < shape->kv_head_count; h++) {
        uint64_t to = host_kv_index(op->kv, op->layer, block, h) +
                      (uint64_t)(position % BACKEND_KV_BLOCK_TOKENS) * shape->head_dim;

        rope_head(k + h * shape->head_dim, table, op->table->width / 2);
        job->cpu->kernels->to_half(k + h * shape->head_dim, (uint16_t *)op->kv->k + to,
                                   shape->head_dim);
        job->cpu->kernels->to_half(v + h * shape->head_dim, (uint16_t *)op->kv->v + to,
                                   shape->head_dim);
    }
}

static void rope_kv_task(void *context, uint32_t task, uint32_t thread)
{
    const struct rope_kv_job *job = context;

    for (uint32_t row = task * ROWS_A_TASK; row < end_row(job->cpu, task); row++)
        rope_kv_row(job, row);
}

static int cpu_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err)
{
    struct rope_kv_job job = {.cpu = cpu_of(backend), .op = op};

    assert(op->k->width == op->kv->shape.kv_head_count * op->kv->shape.head_dim);
    assert(op->v->width == op->k->width && op->table->width <= op->kv->shape.head_dim);
    run_rows(job.cpu, rope_kv_task, &job);
    return 0;
}

/* ---- attention: a task is one head of one row ---- */

struct attention_job {
    struct cpu_backend *cpu;
    const struct backend_attention *op;
    uint32_t head_count;
};

static void attention_task(void *context, uint32_t task, uint32_t thread)
{
    const struct attention_job *job = context;
    const struct backend_attention *op = job->op;
    const struct backend_step *step = job->cpu->step;
    uint32_t head_dim = op->kv->shape.head_dim;
    uint32_t row = task / job->head_count;
    uint32_t head = task % job->head_count;
    uint32_t kv_head = head / (job->head_count / op->kv->shape.kv_head_count);
    uint32_t count = step->positions[row] + 1;
    uint64_t at = (uint64_t)row * op->q->width + (uint64_t)head * head_dim;
    struct cpu_attention attention = {
        .q = op->q->data + at,
        .out = op->out->data + at,
        .head_dim = head_dim,
        .scale = op->scale,
        .max = -INFINITY,
    };

    memset(attention.out, 0, head_dim * sizeof(float));
    for (uint32_t position = 0; position < count; position += BACKEND_KV_BLOCK_TOKENS) {
        uint32_t block = host_kv_block(step, step->sequences[row], position);
        uint64_t index = host_kv_index(op->kv, op->layer, block, kv_head);
        uint32_t left = count - position;

        job->cpu->kernels->attend(&attention, (const uint16_t *)op->kv->k + index,
                                  (const uint16_t *)op->kv->v + index,
                                  left < BACKEND_KV_BLOCK_TOKENS ? left : BACKEND_KV_BLOCK_TOKENS);
    }
    for (uint32_t d = 0; d < head_dim; d++)
        attention.out[d] /= attention.sum;
}

static int cpu_attention(struct backend *backend, const struct backend_attention *op,
                         struct err *err)
{
    struct attention_job job = {
        .cpu = cpu_of(backend),
        .op = op,
        .head_count = op->q->width / op->kv->shape.head_dim,
    };
    struct pool_job pool_job = {
        .task = attention_task,
        .context = &job,
        .task_count = job.cpu->step->row_count * job.head_count,
    };

    assert(op->out->width == op->q->width);
    pool_run(job.cpu->pool, &pool_job);
    return 0;
}

/* ---- matmul: a task is a chunk of a weight's rows, for all rows of activations ---- */

struct matmul_job {
    struct cpu_backend *cpu;
    const float *x; /* [row_count][columns] */
    uint32_t row_count;
    uint32_t columns;
    uint32_t out_count; /* weights that have an out of their own */
    enum backend_epilogue epilogue;
    const struct backend_weight *weights[BACKEND_MATMUL_MAX_COUNT];
    float *outs[BACKEND_MATMUL_MAX_COUNT]; /* [row_count][weight's rows] */
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

static void finish_row(const struct matmul_job *job, float *out, const float *y,
                       const float *second, uint32_t count)
{
    switch (job->epilogue) {
    case BACKEND_STORE:
        memcpy(out, y, count * sizeof(*out));
        break;
    case BACKEND_ADD:
        for (uint32_t i = 0; i < count; i++)
            out[i] += y[i];
        break;
    case BACKEND_SILU_MUL:
        job->cpu->kernels->silu_mul(y, second, out, count);
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
    bool is_pair = job->epilogue == BACKEND_SILU_MUL;
    float *panels[2] = {NULL, NULL};
    float y[2][CPU_TILE_ROWS * CHUNK_MAX_ROWS];
    uint32_t which = 0;
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t width = 0;

    for (; task >= job->chunk_counts[which]; which++)
        task -= job->chunk_counts[which];
    width = job->weights[which]->matrix.rows;
    first = task * job->chunk_rows;
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
                       y[0] + r * count, y[1] + r * count, count);
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

static int cpu_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err)
{
    struct matmul_job job = {
        .cpu = cpu_of(backend),
        .x = op->x->data,
        .row_count = cpu_of(backend)->step->row_count,
        .columns = op->x->width,
        .out_count = op->epilogue == BACKEND_SILU_MUL ? 1 : op->weight_count,
        .epilogue = op->epilogue,
    };

    assert(op->epilogue != BACKEND_SILU_MUL || op->weight_count == 2);
    for (uint32_t i = 0; i < op->weight_count; i++) {
        job.weights[i] = op->weights[i];
        assert(op->weights[i]->matrix.columns == op->x->width);
    }
    for (uint32_t i = 0; i < job.out_count; i++) {
        job.outs[i] = op->outs[i]->data;
        assert(op->outs[i]->width == op->weights[i]->matrix.rows);
    }
    return run_matmul(&job, err);
}

static int cpu_head(struct backend *backend, const struct backend_head *op, struct err *err)
{
    struct cpu_backend *cpu = cpu_of(backend);
    uint32_t width = op->x->width;
    uint32_t row_count = cpu->step->logit_row_count;
    AUTO_FREE float *scratch = malloc(width * sizeof(*scratch));
    AUTO_FREE float *normed = host_alloc((uint64_t)row_count * width, sizeof(*normed));
    struct matmul_job job = {
        .cpu = cpu,
        .x = normed,
        .row_count = row_count,
        .columns = width,
        .out_count = 1,
        .epilogue = BACKEND_STORE,
        .weights = {op->weight},
        .outs = {op->logits},
    };
    const float *scale = NULL;

    if (scratch == NULL || normed == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for scratch");
    assert(op->weight->matrix.columns == width);
    scale = scale_floats(cpu, op->scale, scratch);
    for (uint32_t i = 0; i < row_count; i++)
        cpu->kernels->norm(op->x->data + (uint64_t)cpu->step->logit_rows[i] * width, scale,
                           op->epsilon, width, normed + (uint64_t)i * width);
    return run_matmul(&job, err);
}

/* ---- the backend ---- */

static int cpu_step_begin(struct backend *backend, const struct backend_step *step, struct err *err)
{
    assert(step->row_count >= 1 && step->row_count <= SESSION_BATCH_MAX_ROWS);
    cpu_of(backend)->step = step;
    cpu_of(backend)->saved_float_mode = float_mode_fast();
    return 0;
}

static void cpu_step_end(struct backend *backend)
{
    float_mode_restore(cpu_of(backend)->saved_float_mode);
    cpu_of(backend)->step = NULL;
}

static uint64_t cpu_kv_bytes(const struct backend *backend, const struct backend_kv_shape *shape)
{
    return host_kv_bytes(shape, sizeof(uint16_t));
}

static struct backend_kv *cpu_kv_new(struct backend *backend, const struct backend_kv_shape *shape,
                                     struct err *err)
{
    return host_kv_new(shape, sizeof(uint16_t), err);
}

static void cpu_free(struct backend *backend)
{
    struct cpu_backend *cpu = cpu_of(backend);

    pool_free(cpu->pool);
    free(cpu->panels);
    free(cpu);
}

static const struct backend_ops CPU_OPS = {
    .free = cpu_free,
    .memory_available = host_memory_available,
    .weight_new = cpu_weight_new,
    .weight_free = host_weight_free,
    .buffer_new = host_buffer_new,
    .buffer_free = host_buffer_free,
    .buffer_write = host_buffer_write,
    .buffer_read = host_buffer_read,
    .kv_bytes = cpu_kv_bytes,
    .kv_new = cpu_kv_new,
    .kv_free = host_kv_free,
    .step_begin = cpu_step_begin,
    .embed = cpu_embed,
    .rope_table = cpu_rope_table,
    .norm = cpu_norm,
    .matmul = cpu_matmul,
    .rope_kv = cpu_rope_kv,
    .attention = cpu_attention,
    .head = cpu_head,
    .step_end = cpu_step_end,
};

#if defined(__x86_64__)
static bool has_f16c(void)
{
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;

    /* By hand: clang 14 does not know the name. */
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

static const struct cpu_kernels *best_kernels(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        return &CPU_KERNELS_AVX2;
#endif
    return &CPU_KERNELS_PLAIN;
}

static struct backend *cpu_new(const struct cpu_kernels *kernels, uint32_t threads, struct err *err)
{
    struct cpu_backend *cpu = NULL;

    if (threads == 0)
        threads = pool_core_count();
    if (threads > BACKEND_THREADS_MAX_COUNT)
        threads = BACKEND_THREADS_MAX_COUNT;
    cpu = xcalloc(1, sizeof(*cpu));
    cpu->backend.ops = &CPU_OPS;
    cpu->kernels = kernels;
    cpu->pool = pool_new(threads, thread_started);
    return &cpu->backend;
}

struct backend *cpu_backend_new(uint32_t threads, struct err *err)
{
    return cpu_new(best_kernels(), threads, err);
}

struct backend *cpu_plain_backend_new(uint32_t threads, struct err *err)
{
    return cpu_new(&CPU_KERNELS_PLAIN, threads, err);
}

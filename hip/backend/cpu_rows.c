/* Owns the CPU backend's ops that work row by row: who does which. The inner loops are cpu_plain.c
 * and cpu_avx2.c. */
#include "hip/backend/cpu.h"

#include "hip/model/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    ROWS_A_TASK = 8,
    KEY_PIECE = 64, /* elements of a key that are converted at a time */
};

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

    for (uint32_t row = task * ROWS_A_TASK; row < end_row(job->cpu, task); row++) {
        float *out = op->out->data + (uint64_t)row * width;

        job->cpu->kernels->decode(op->table->matrix.type,
                                  host_weight_row(op->table, job->cpu->step->tokens[row]), out,
                                  width);
        for (uint32_t i = 0; op->scale != 1.0f && i < width; i++)
            out[i] *= op->scale;
    }
}

int cpu_embed(struct backend *backend, const struct backend_embed *op, struct err *err)
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

            pair[0] = (float)((double)job->op->magnitude * cos(angle));
            pair[1] = (float)((double)job->op->magnitude * sin(angle));
        }
    }
}

int cpu_rope_table(struct backend *backend, const struct backend_rope_table *op, struct err *err)
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
                                job->op->epsilon, width, job->op->is_added,
                                job->op->out->data + (uint64_t)row * width);
}

int cpu_norm(struct backend *backend, const struct backend_norm *op, struct err *err)
{
    struct norm_job job = {.cpu = cpu_of(backend), .op = op, .scale = cpu_vector_floats(op->scale)};

    assert(op->scale->matrix.columns == op->x->width && op->out->width == op->x->width);
    assert(op->out != op->x);
    run_rows(job.cpu, norm_task, &job);
    return 0;
}

struct rope_kv_job {
    struct cpu_backend *cpu;
    const struct backend_rope_kv *op;
    const float *q_norm; /* [head_dim] or NULL */
    const float *k_norm; /* [head_dim] or NULL */
};

/* Elements i * STRIDE and i * STRIDE + OTHER are pair i. */
static void rope_pairs(float *head, const float *table, uint32_t pairs, uint32_t stride,
                       uint32_t other)
{
    for (uint32_t i = 0; i < pairs; i++) {
        float x = head[i * stride];
        float y = head[i * stride + other];

        head[i * stride] = x * table[2 * i] - y * table[2 * i + 1];
        head[i * stride + other] = x * table[2 * i + 1] + y * table[2 * i];
    }
}

/* Norm, unless it is NULL, and rope of one head, in place. */
static void turn_head(const struct rope_kv_job *job, float *head, const float *norm,
                      const float *table)
{
    const struct backend_rope_kv *op = job->op;
    uint32_t pairs = op->table->width / 2;

    if (norm != NULL)
        job->cpu->kernels->norm(head, norm, op->epsilon, op->kv->shape.head_dim, false, head);
    if (op->kind == BACKEND_ROPE_NEOX)
        rope_pairs(head, table, pairs, 1, pairs);
    else
        rope_pairs(head, table, pairs, 2, 1);
}

/* A key is a column of its block: scores of all positions are then computed side by side. */
static void put_key(struct cpu_backend *cpu, const float *key, uint32_t head_dim, uint16_t *column)
{
    uint16_t halves[KEY_PIECE];

    for (uint32_t at = 0; at < head_dim; at += KEY_PIECE) {
        uint32_t count = head_dim - at < KEY_PIECE ? head_dim - at : KEY_PIECE;

        cpu->kernels->to_half(key + at, halves, count);
        for (uint32_t i = 0; i < count; i++)
            column[(uint64_t)(at + i) * BACKEND_KV_BLOCK_TOKENS] = halves[i];
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
        turn_head(job, q + at, job->q_norm, table);
    for (uint32_t h = 0; h < shape->kv_head_count; h++) {
        uint64_t to = host_kv_index(op->kv, op->layer, block, h);
        uint32_t in_block = position % BACKEND_KV_BLOCK_TOKENS;

        turn_head(job, k + h * shape->head_dim, job->k_norm, table);
        put_key(job->cpu, k + h * shape->head_dim, shape->head_dim,
                (uint16_t *)op->kv->k + to + in_block);
        job->cpu->kernels->to_half(v + h * shape->head_dim,
                                   (uint16_t *)op->kv->v + to + in_block * shape->head_dim,
                                   shape->head_dim);
    }
}

static void rope_kv_task(void *context, uint32_t task, uint32_t thread)
{
    const struct rope_kv_job *job = context;

    for (uint32_t row = task * ROWS_A_TASK; row < end_row(job->cpu, task); row++)
        rope_kv_row(job, row);
}

int cpu_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err)
{
    struct rope_kv_job job = {
        .cpu = cpu_of(backend),
        .op = op,
        .q_norm = op->q_norm != NULL ? cpu_vector_floats(op->q_norm) : NULL,
        .k_norm = op->k_norm != NULL ? cpu_vector_floats(op->k_norm) : NULL,
    };

    assert(op->k->width == op->kv->shape.kv_head_count * op->kv->shape.head_dim);
    assert(op->v->width == op->k->width && op->table->width <= op->kv->shape.head_dim);
    run_rows(job.cpu, rope_kv_task, &job);
    return 0;
}

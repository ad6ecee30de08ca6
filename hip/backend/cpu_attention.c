/* Owns the CPU backend's attention: which queries go together. Heads that share a key head, of rows
 * that follow each other in a sequence, read the same keys and values: they are a tile, which reads
 * them once. The inner loops are cpu_plain.c and cpu_attend.h. */
#include "hip/backend/cpu.h"

#include "hip/model/model.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Rows of one tile, all of the same sequence, each one position after the one before. */
struct row_run {
    uint32_t first;
    uint32_t count;
};

struct attention_job {
    struct cpu_backend *cpu;
    const struct backend_attention *op;
    uint32_t heads_a_query; /* of a tile: heads of one row */
    uint32_t head_tiles;    /* a row's heads are so many tiles */
    uint32_t run_count;
    struct row_run runs[SESSION_BATCH_MAX_ROWS];
};

/* A tile as it is computed. */
struct tile {
    uint32_t count;
    struct cpu_query queries[CPU_QUERIES_MAX];
    uint32_t first[CPU_QUERIES_MAX]; /* position that a query sees first */
    uint32_t end[CPU_QUERIES_MAX];   /* and the one after its last */
};

static void add_query(const struct attention_job *job, struct tile *tile, uint32_t row,
                      uint32_t head)
{
    const struct backend_attention *op = job->op;
    uint32_t head_dim = op->kv->shape.head_dim;
    uint32_t end = job->cpu->step->positions[row] + 1;
    uint64_t at = (uint64_t)row * op->q->width + (uint64_t)head * head_dim;

    tile->first[tile->count] = op->window != 0 && end > op->window ? end - op->window : 0;
    tile->end[tile->count] = end;
    tile->queries[tile->count] = (struct cpu_query){
        .q = op->q->data + at,
        .out = op->out->data + at,
        .head_dim = head_dim,
        .scale = op->scale,
        .softcap = op->softcap,
        .max = -INFINITY,
    };
    memset(op->out->data + at, 0, head_dim * sizeof(float));
    tile->count++;
}

/* Positions FROM to FROM + BACKEND_KV_BLOCK_TOKENS - 1, whose keys and values these are. */
static void attend_block(const struct attention_job *job, struct tile *tile, uint32_t from,
                         const uint16_t *k, const uint16_t *v)
{
    bool sees_all = true;

    for (uint32_t i = 0; i < tile->count; i++)
        sees_all =
            sees_all && tile->first[i] <= from && tile->end[i] >= from + BACKEND_KV_BLOCK_TOKENS;
    if (sees_all) {
        job->cpu->kernels->attend(tile->queries, tile->count, k, v, 0, BACKEND_KV_BLOCK_TOKENS);
        return;
    }
    for (uint32_t i = 0; i < tile->count; i++) {
        uint32_t first = tile->first[i] > from ? tile->first[i] - from : 0;
        uint32_t left = tile->end[i] > from ? tile->end[i] - from : 0;
        uint32_t end = left < BACKEND_KV_BLOCK_TOKENS ? left : BACKEND_KV_BLOCK_TOKENS;

        if (first < end)
            job->cpu->kernels->attend(&tile->queries[i], 1, k, v, first, end);
    }
}

static void attention_task(void *context, uint32_t task, uint32_t thread)
{
    const struct attention_job *job = context;
    const struct backend_kv *kv = job->op->kv;
    const struct backend_step *step = job->cpu->step;
    const struct row_run *run = &job->runs[task / job->head_tiles];
    uint32_t head = task % job->head_tiles * job->heads_a_query;
    uint32_t group = job->op->q->width / kv->shape.head_dim / kv->shape.kv_head_count;
    uint32_t sequence = step->sequences[run->first];
    struct tile tile = {0};

    for (uint32_t row = run->first; row < run->first + run->count; row++) {
        for (uint32_t h = 0; h < job->heads_a_query; h++)
            add_query(job, &tile, row, head + h);
    }
    for (uint32_t at = tile.first[0] / BACKEND_KV_BLOCK_TOKENS * BACKEND_KV_BLOCK_TOKENS;
         at < tile.end[tile.count - 1]; at += BACKEND_KV_BLOCK_TOKENS) {
        uint64_t index =
            host_kv_index(kv, job->op->layer, host_kv_block(step, sequence, at), head / group);

        attend_block(job, &tile, at, (const uint16_t *)kv->k + index,
                     (const uint16_t *)kv->v + index);
    }
    for (uint32_t i = 0; i < tile.count; i++) {
        for (uint32_t d = 0; d < kv->shape.head_dim; d++)
            tile.queries[i].out[d] /= tile.queries[i].sum;
    }
}

/* Cuts the step's rows into runs of at most MOST. */
static void find_runs(struct attention_job *job, uint32_t most)
{
    const struct backend_step *step = job->cpu->step;

    job->run_count = 0;
    for (uint32_t row = 0; row < step->row_count; row++) {
        struct row_run *last = &job->runs[job->run_count > 0 ? job->run_count - 1 : 0];

        if (job->run_count > 0 && last->count < most &&
            step->sequences[row] == step->sequences[row - 1] &&
            step->positions[row] == step->positions[row - 1] + 1)
            last->count++;
        else
            job->runs[job->run_count++] = (struct row_run){.first = row, .count = 1};
    }
}

/* The largest divisor of COUNT that is at most MOST. */
static uint32_t largest_part(uint32_t count, uint32_t most)
{
    uint32_t part = count < most ? count : most;

    while (count % part != 0)
        part--;
    return part;
}

int cpu_attention(struct backend *backend, const struct backend_attention *op, struct err *err)
{
    struct attention_job job = {.cpu = cpu_of(backend), .op = op};
    struct pool_job pool_job = {.task = attention_task, .context = &job};
    uint32_t head_count = op->q->width / op->kv->shape.head_dim;
    uint32_t group = head_count / op->kv->shape.kv_head_count;
    uint32_t queries = job.cpu->step->row_count * head_count;
    uint32_t most = CPU_QUERIES_MAX;

    assert(op->out->width == op->q->width);
    /* Rather small tiles than threads without one. */
    while (most > 1 && queries / most < pool_thread_count(job.cpu->pool))
        most /= 2;
    job.heads_a_query = largest_part(group, most);
    job.head_tiles = head_count / job.heads_a_query;
    find_runs(&job, most / job.heads_a_query);
    pool_job.task_count = job.run_count * job.head_tiles;
    pool_run(job.cpu->pool, &pool_job);
    return 0;
}

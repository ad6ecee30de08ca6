/* Owns the ops of a GPU whose rows have nothing to do with each other: norm and rope. */
#include "hip/backend/gpu_backend.h"

#include <assert.h>

int gpu_rope_table(struct backend *backend, const struct backend_rope_table *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    uint32_t pairs = op->frequencies->width;
    struct args_rope_table args = {
        .positions = gpu->device_step.positions,
        .frequencies = op->frequencies->data,
        .table = op->table->data,
        .magnitude = op->magnitude,
        .pairs = pairs,
    };
    const uint32_t blocks[3] = {gpu_blocks(pairs, GPU_ROW_THREADS_MIN), gpu->step->row_count, 1};

    assert(op->table->width == 2 * pairs);
    return gpu_launch(gpu->context, gpu->kernels.rope_table, blocks, GPU_ROW_THREADS_MIN, &args,
                      err);
}

/* What is normed is multiplied next, but where it is added to something: made integers of at once,
 * if there is a weight that wants them. */
int gpu_norm(struct backend *backend, const struct backend_norm *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    uint32_t width = op->x->width;
    bool is_quantised =
        gpu->has_quantised_weights && !op->is_added && width % GPU_GROUP_COLUMNS == 0;
    struct args_norm args = {
        .x = op->x->data,
        .scale = op->scale->floats,
        .out = op->out->data,
        .epsilon = op->epsilon,
        .width = width,
        .is_added = op->is_added,
    };
    const uint32_t blocks[3] = {gpu->step->row_count, 1, 1};

    assert(op->scale->matrix.columns == width && op->out->width == width && op->out != op->x);
    gpu_touch(gpu, op->out);
    if (is_quantised &&
        gpu_quantised_place(gpu, gpu->step->row_count, width, &args.quantised, err) != 0)
        return -1;
    if (gpu_launch(gpu->context, gpu->kernels.norm, blocks, gpu_row_threads(width), &args, err) !=
        0)
        return -1;
    gpu_quantised_made(gpu, op->out, &args.quantised);
    return 0;
}

int gpu_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    uint32_t head_count = op->q->width / op->kv->shape.head_dim;
    struct args_rope_kv args = {
        .step = gpu->device_step,
        .kv = op->kv->store,
        .table = op->table->data,
        .q_norm = op->q_norm != NULL ? op->q_norm->floats : NULL,
        .k_norm = op->k_norm != NULL ? op->k_norm->floats : NULL,
        .q = op->q->data,
        .k = op->k->data,
        .v = op->v->data,
        .epsilon = op->epsilon,
        .head_count = head_count,
        .pairs = op->table->width / 2,
        .is_neox = op->kind == BACKEND_ROPE_NEOX,
        .layer = op->layer,
    };
    const uint32_t blocks[3] = {head_count + op->kv->shape.kv_head_count, gpu->step->row_count, 1};

    assert(op->k->width == op->kv->shape.kv_head_count * op->kv->shape.head_dim);
    assert(op->v->width == op->k->width);
    gpu_touch(gpu, op->q);
    return gpu_launch(gpu->context, gpu->kernels.kv[op->kv->shape.kv_type].rope_kv, blocks,
                      gpu_context_info(gpu->context)->wave, &args, err);
}

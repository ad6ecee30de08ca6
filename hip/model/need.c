/* Owns the sums of what a session takes. Takes nothing, and says nothing when that is too much. */
#include "hip/model/need.h"

#include "hip/engine/kv.h"

#include <stdlib.h>

struct backend_matrix need_matrix(const struct gguf_tensor *tensor)
{
    return (struct backend_matrix){
        .type = tensor->type,
        .columns = (uint32_t)tensor->dims[0],
        .rows = (uint32_t)tensor->dims[1],
        .data = tensor->data,
    };
}

/* On BACKEND, or in the file where that is NULL, or says nothing else. */
static uint64_t tensor_bytes(const struct backend *backend, const struct gguf_tensor *tensor)
{
    struct backend_matrix matrix;

    if (tensor == NULL)
        return 0;
    if (backend == NULL || backend->ops->weight_bytes == NULL)
        return tensor->size_bytes;
    matrix = need_matrix(tensor);
    return backend->ops->weight_bytes(backend, &matrix);
}

struct layer_range need_all_layers(const struct model *model)
{
    return (struct layer_range){.end = model->params.layer_count};
}

bool need_has_tensor(const struct model *model, struct layer_range range, size_t role)
{
    bool is_last = range.end == model->params.layer_count;

    if (role == MODEL_OUTPUT || role == MODEL_OUTPUT_NORM)
        return is_last;
    /* Where it is the head, too, each end has one of its own. */
    if (role == MODEL_TOKEN_EMBD && is_last && model->by_role[MODEL_OUTPUT] == NULL)
        return true;
    return range.begin == 0;
}

static uint64_t layer_bytes_on(const struct backend *backend, const struct model *model,
                               struct layer_range range)
{
    uint64_t bytes = 0;

    for (uint32_t layer = range.begin; layer < range.end; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++)
            bytes += tensor_bytes(backend, model->layers[layer].by_role[i]);
    }
    return bytes; /* of what is within a file, and not much more on any device: the sum fits */
}

static uint64_t weight_bytes_on(const struct backend *backend, const struct model *model,
                                struct layer_range range)
{
    uint64_t bytes = layer_bytes_on(backend, model, range);

    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++) {
        if (need_has_tensor(model, range, i))
            bytes += tensor_bytes(backend, model->by_role[i]);
    }
    return bytes;
}

uint64_t need_weight_bytes(const struct model *model, struct layer_range range)
{
    return weight_bytes_on(NULL, model, range);
}

uint64_t need_q8_0_token_bytes(const struct model *model)
{
    const struct model_params *params = &model->params;

    return (uint64_t)params->layer_count * params->kv_head_count * 2 *
           backend_kv_q8_0_bytes(params->head_dim);
}

uint32_t need_scratch_width(const struct model_params *params, enum scratch scratch)
{
    switch (scratch) {
    case SCRATCH_X:
    case SCRATCH_NORMED:
        return params->embedding;
    case SCRATCH_Q:
    case SCRATCH_ATTENDED:
        return params->head_count * params->head_dim;
    case SCRATCH_K:
    case SCRATCH_V:
        return params->kv_head_count * params->head_dim;
    case SCRATCH_FFN:
        return params->feed_forward;
    case SCRATCH_ROPE:
        return params->rope_dims;
    case SCRATCH_WINDOW_ROPE:
        return arch_has_windows(params) ? params->rope_dims : 0;
    case SCRATCH_COUNT:
        break;
    }
    abort(); /* no such scratch */
}

uint32_t need_block_count(uint32_t context_tokens)
{
    return context_tokens / KV_BLOCK_TOKENS + (context_tokens % KV_BLOCK_TOKENS != 0);
}

uint32_t need_scratch_rows(uint32_t context_tokens)
{
    uint64_t places = (uint64_t)need_block_count(context_tokens) * KV_BLOCK_TOKENS;

    return places < SESSION_BATCH_MAX_ROWS ? (uint32_t)places : SESSION_BATCH_MAX_ROWS;
}

struct backend_scratch_shape need_scratch_shape(const struct model *model, struct layer_range range,
                                                const struct session_options *options)
{
    struct backend_scratch_shape shape = {
        .row_max = need_scratch_rows(options->context_tokens),
        .position_max = options->context_tokens,
    };

    if (range.end == model->params.layer_count)
        shape.logit_width = model->params.vocab_count;
    for (int i = 0; i < SCRATCH_COUNT; i++) {
        uint32_t width = need_scratch_width(&model->params, (enum scratch)i);

        shape.width_max = width > shape.width_max ? width : shape.width_max;
    }
    /* Each sequence wants the logits of one row, its last. */
    shape.logit_row_max =
        options->sequence_count < shape.row_max ? options->sequence_count : shape.row_max;
    return shape;
}

struct backend_kv_shape need_kv_shape(const struct model *model, struct layer_range range,
                                      uint32_t block_count, enum kv_type kv_type)
{
    return (struct backend_kv_shape){
        .layer_count = range.end - range.begin,
        .block_count = block_count,
        .kv_head_count = model->params.kv_head_count,
        .head_dim = model->params.head_dim,
        .kv_type = kv_type,
    };
}

/* Of the largest step: what flows through a layer, and what the backend computes it with. */
static uint64_t step_bytes(const struct model *model, struct backend *backend,
                           struct layer_range range, const struct session_options *options)
{
    struct backend_scratch_shape shape = need_scratch_shape(model, range, options);
    uint64_t floats = 0;

    for (int i = 0; i < SCRATCH_COUNT; i++)
        floats += (uint64_t)need_scratch_width(&model->params, (enum scratch)i) * shape.row_max;
    floats += model->params.rope_dims; /* frequencies of both kinds of layers, a half each */
    return floats * sizeof(float) +
           (backend->ops->scratch_bytes == NULL ? 0 : backend->ops->scratch_bytes(backend, &shape));
}

static bool is_whole(const struct model *model, struct layer_range range)
{
    return range.end - range.begin == model->params.layer_count;
}

uint64_t need_stream_floats(const struct model *model, const struct session_options *options)
{
    return (uint64_t)need_scratch_rows(options->context_tokens) * model->params.embedding;
}

void need_of_stage(const struct model *model, struct backend *backend, struct layer_range range,
                   const struct session_options *options, struct session_need *out)
{
    const struct backend_kv_shape block = need_kv_shape(model, range, 1, options->kv_type);
    bool counts_host = !backend->ops->has_own_memory;
    uint64_t block_bytes = backend->ops->kv_bytes(backend, &block) +
                           (counts_host ? kv_table_block_bytes(options->sequence_count) : 0);

    out->fixed_bytes =
        weight_bytes_on(backend, model, range) + step_bytes(model, backend, range, options) +
        (counts_host && !is_whole(model, range) ? need_stream_floats(model, options) * sizeof(float)
                                                : 0);
    out->sequence_bytes = counts_host ? options->sequence_bytes : 0;
    out->token_bytes = (block_bytes + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
}

void session_need(const struct model *model, struct backend *backend,
                  const struct session_options *options, struct session_need *out)
{
    need_of_stage(model, backend, need_all_layers(model), options, out);
}

void session_split_need(const struct model *model, struct backend *backend,
                        const struct session_options *options, struct session_split_need *out)
{
    const struct layer_range all = need_all_layers(model);
    struct session_need first;
    struct session_need last;

    need_of_stage(model, backend, (struct layer_range){0}, options, &first);
    need_of_stage(model, backend, (struct layer_range){.begin = all.end, .end = all.end}, options,
                  &last);
    out->first_bytes = first.fixed_bytes;
    out->last_bytes = last.fixed_bytes;
    out->layers_bytes = layer_bytes_on(backend, model, all);
}

/* What it takes whatever its context. */
static uint64_t bytes_without_context(const struct session_need *need, uint32_t sequence_count)
{
    uint64_t bytes = 0;

    if (__builtin_mul_overflow(need->sequence_bytes, (uint64_t)sequence_count, &bytes) ||
        __builtin_add_overflow(bytes, need->fixed_bytes, &bytes))
        return UINT64_MAX;
    return bytes;
}

uint64_t need_bytes(const struct session_need *need, const struct session_options *options)
{
    uint64_t tokens = (uint64_t)need_block_count(options->context_tokens) * KV_BLOCK_TOKENS;
    uint64_t bytes = 0;

    if (__builtin_mul_overflow(need->token_bytes, tokens, &bytes) ||
        __builtin_add_overflow(bytes, bytes_without_context(need, options->sequence_count), &bytes))
        return UINT64_MAX;
    return bytes;
}

uint32_t need_context_that_fits(const struct session_need *need,
                                const struct session_options *options, uint32_t sequence_count,
                                uint64_t available)
{
    uint64_t taken = bytes_without_context(need, sequence_count);
    uint64_t blocks = 0;

    if (taken >= available)
        return 0;
    blocks = (available - taken) / (need->token_bytes * KV_BLOCK_TOKENS);
    return blocks < need_block_count(options->context_tokens) ? (uint32_t)blocks * KV_BLOCK_TOKENS
                                                              : options->context_tokens;
}

/* Owns the sums of what a session takes, and what is said when that is too much. Takes nothing. */
#include "hip/model/need.h"

#include "hip/engine/kv.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MIB_BITS = 20 };

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

static uint64_t weight_bytes_on(const struct backend *backend, const struct model *model)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++)
        bytes += tensor_bytes(backend, model->by_role[i]);
    for (uint32_t layer = 0; layer < model->params.layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++)
            bytes += tensor_bytes(backend, model->layers[layer].by_role[i]);
    }
    return bytes; /* of what is within a file, and not much more on any device: the sum fits */
}

uint64_t need_weight_bytes(const struct model *model)
{
    return weight_bytes_on(NULL, model);
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

struct backend_scratch_shape need_scratch_shape(const struct model_params *params,
                                                const struct session_options *options)
{
    struct backend_scratch_shape shape = {
        .row_max = need_scratch_rows(options->context_tokens),
        .logit_width = params->vocab_count,
        .position_max = options->context_tokens,
    };

    for (int i = 0; i < SCRATCH_COUNT; i++) {
        uint32_t width = need_scratch_width(params, (enum scratch)i);

        shape.width_max = width > shape.width_max ? width : shape.width_max;
    }
    /* Each sequence wants the logits of one row, its last. */
    shape.logit_row_max =
        options->sequence_count < shape.row_max ? options->sequence_count : shape.row_max;
    return shape;
}

/* Of the largest step: what flows through a layer, and what the backend computes it with. */
static uint64_t step_bytes(const struct model_params *params, struct backend *backend,
                           const struct session_options *options)
{
    struct backend_scratch_shape shape = need_scratch_shape(params, options);
    uint64_t floats = 0;

    for (int i = 0; i < SCRATCH_COUNT; i++)
        floats += (uint64_t)need_scratch_width(params, (enum scratch)i) * shape.row_max;
    floats += params->rope_dims; /* frequencies of both kinds of layers, a half each */
    return floats * sizeof(float) +
           (backend->ops->scratch_bytes == NULL ? 0 : backend->ops->scratch_bytes(backend, &shape));
}

void session_need(const struct model *model, struct backend *backend,
                  const struct session_options *options, struct session_need *out)
{
    const struct backend_kv_shape block = {
        .layer_count = model->params.layer_count,
        .block_count = 1,
        .kv_head_count = model->params.kv_head_count,
        .head_dim = model->params.head_dim,
    };
    bool counts_host = !backend->ops->has_own_memory;
    uint64_t block_bytes = backend->ops->kv_bytes(backend, &block) +
                           (counts_host ? kv_table_block_bytes(options->sequence_count) : 0);

    out->fixed_bytes =
        weight_bytes_on(backend, model) + step_bytes(&model->params, backend, options);
    out->sequence_bytes = counts_host ? options->sequence_bytes : 0;
    out->token_bytes = (block_bytes + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
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

/* ---- what is said ---- */

/* The longest context that has room, in whole blocks, but no longer than what was asked for. */
static uint32_t context_that_fits(const struct session_need *need,
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

static int refuse(const struct session_need *need, const struct session_options *options,
                  uint64_t available, const char *advice, struct err *err)
{
    uint64_t needed = need_bytes(need, options);
    uint64_t up = (UINT64_C(1) << MIB_BITS) - 1;

    if (needed > UINT64_MAX - up)
        needed = UINT64_MAX - up;
    return err_set(err, ERR_NO_MEMORY,
                   "a context of %" PRIu32 " tokens and %" PRIu32 " slots need %" PRIu64
                   " MiB with the weights; %" PRIu64 " MiB are available, %" PRIu64
                   " MiB too few; %s",
                   options->context_tokens, options->sequence_count, (needed + up) >> MIB_BITS,
                   available >> MIB_BITS, (needed - available + up) >> MIB_BITS, advice);
}

int need_check(const struct session_need *need, const struct session_options *options,
               struct backend *backend, struct err *err)
{
    uint64_t available = backend->ops->memory_available(backend);
    uint32_t tokens = 0;
    char advice[128]; /* of a number and a few words */

    if (need_bytes(need, options) <= available)
        return 0;
    tokens = context_that_fits(need, options, options->sequence_count, available);
    if (tokens > 0)
        (void)snprintf(advice, sizeof(advice), "a context of %" PRIu32 " would fit", tokens);
    else if ((tokens = context_that_fits(need, options, 1, available)) > 0)
        (void)snprintf(advice, sizeof(advice), "a context of %" PRIu32 " with 1 slot would fit",
                       tokens);
    else
        (void)snprintf(advice, sizeof(advice), "no context would fit, however short");
    return refuse(need, options, available, advice, err);
}

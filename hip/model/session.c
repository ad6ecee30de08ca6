/* Owns the making and freeing of a session: weights made ready, KV and scratch allocated within
 * what the device has. What runs on it is forward.c. */
#include "hip/model/session.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/model/need.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static_assert((int)KV_BLOCK_TOKENS == (int)BACKEND_KV_BLOCK_TOKENS, "one block size");

enum {
    PAGE_BYTES = 4096,
    REPORT_BYTES = 16 * 1024 * 1024, /* so that a slow disk is not taken for a worker that hangs */
};

struct loading {
    const struct session_options *options;
    uint64_t done_bytes;
    uint64_t total_bytes;
};

static void report(struct loading *loading, uint64_t bytes)
{
    loading->done_bytes += bytes;
    if (loading->options->on_progress != NULL)
        loading->options->on_progress(loading->options->owner, loading->done_bytes,
                                      loading->total_bytes);
}

/* Reads a byte of each page, so that the first token does not wait for the disk. */
static void touch_pages(const struct gguf_tensor *tensor, struct loading *loading)
{
    const volatile char *bytes = tensor->data;

    for (uint64_t at = 0; at < tensor->size_bytes; at += REPORT_BYTES) {
        uint64_t left = tensor->size_bytes - at;
        uint64_t piece = left < REPORT_BYTES ? left : REPORT_BYTES;

        for (uint64_t i = at; i < at + piece; i += PAGE_BYTES)
            (void)bytes[i];
        report(loading, piece);
    }
}

static int load_weight(struct session *session, const struct gguf_tensor *tensor,
                       struct backend_weight **out, struct loading *loading, struct err *err)
{
    struct backend_matrix matrix;

    if (tensor == NULL)
        return 0; /* an optional one that this model does without */
    matrix = need_matrix(tensor);
    touch_pages(tensor, loading);
    *out = session->backend->ops->weight_new(session->backend, &matrix, err);
    if (*out == NULL)
        return err_wrap(err, "load %.*s", (int)tensor->name.len, tensor->name.data);
    return 0;
}

static int load_weights(struct session *session, const struct session_options *options,
                        struct err *err)
{
    const struct model *model = session->model;
    struct loading loading = {.options = options};

    if (gguf_check_same(model->gguf, err) != 0)
        return -1;
    loading.total_bytes = need_weight_bytes(model);
    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++) {
        if (load_weight(session, model->by_role[i], &session->by_role[i], &loading, err) != 0)
            return -1;
    }
    session->layers = xcalloc(model->params.layer_count, sizeof(*session->layers));
    for (uint32_t layer = 0; layer < model->params.layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++) {
            if (load_weight(session, model->layers[layer].by_role[i],
                            &session->layers[layer].by_role[i], &loading, err) != 0)
                return -1;
        }
    }
    return 0;
}

static int make_scratch(struct session *session, const struct session_options *options,
                        struct err *err)
{
    struct backend *backend = session->backend;
    struct backend_scratch_shape shape = need_scratch_shape(&session->model->params, options);

    if (backend->ops->scratch_reserve != NULL &&
        backend->ops->scratch_reserve(backend, &shape, err) != 0)
        return -1;
    for (int i = 0; i < SCRATCH_COUNT; i++) {
        uint32_t width = need_scratch_width(&session->model->params, (enum scratch)i);

        if (width == 0)
            continue;
        session->scratch[i] = backend->ops->buffer_new(backend, shape.row_max, width, err);
        if (session->scratch[i] == NULL)
            return -1;
    }
    return 0;
}

/* NEEDSWORK: should the KV table know layers that forget? One with a window keeps keys and values
 * of the whole context, though it reads only the window's. It matters from contexts of several
 * windows on: five layers of six of a Gemma 3 see 512 or 1024 tokens. */
static int make_kv_and_scratch(struct session *session, const struct session_options *options,
                               struct err *err)
{
    const struct model_params *params = &session->model->params;
    struct backend_kv_shape shape = {
        .layer_count = params->layer_count,
        .block_count = need_block_count(session->context_tokens),
        .kv_head_count = params->kv_head_count,
        .head_dim = params->head_dim,
    };

    session->kv = session->backend->ops->kv_new(session->backend, &shape, err);
    if (session->kv == NULL)
        return -1;
    session->table = kv_table_new(shape.block_count, session->sequence_count);
    return make_scratch(session, options, err);
}

static struct backend_buffer *frequencies_new(struct session *session, const struct rope *rope,
                                              const float *factors, struct err *err)
{
    struct backend *backend = session->backend;
    uint32_t dims = session->model->params.rope_dims;
    AUTO_FREE float *frequencies = xcalloc(dims / 2, sizeof(*frequencies));
    struct backend_buffer *buffer = NULL;

    rope_frequencies(rope, dims, factors, frequencies);
    buffer = backend->ops->buffer_new(backend, 1, dims / 2, err);
    if (buffer != NULL && backend->ops->buffer_write(backend, buffer, frequencies, 1, err) != 0) {
        backend->ops->buffer_free(backend, buffer);
        return NULL;
    }
    return buffer;
}

static int make_rope_frequencies(struct session *session, struct err *err)
{
    const struct model_params *params = &session->model->params;
    const struct gguf_tensor *tensor = session->model->by_role[MODEL_ROPE_FREQS];
    AUTO_FREE float *factors = xcalloc(params->rope_dims / 2, sizeof(*factors));

    if (tensor != NULL)
        quant_decode(tensor->type, tensor->data, factors, params->rope_dims / 2);
    session->rope_frequencies =
        frequencies_new(session, &params->rope, tensor != NULL ? factors : NULL, err);
    if (session->rope_frequencies == NULL)
        return -1;
    if (!arch_has_windows(params))
        return 0;
    session->window_rope_frequencies = frequencies_new(session, &params->window_rope, NULL, err);
    return session->window_rope_frequencies != NULL ? 0 : -1;
}

/* Asked before anything is taken: an overcommitted allocation would succeed here and end the
 * process later, in the middle of somebody's answer. Weights count whole, though they may lie in
 * the page cache already: what is available counts the cache as well. */
static int check_budget(struct session *session, const struct session_options *options,
                        struct err *err)
{
    struct session_need need;

    session_need(session->model, session->backend, options, &need);
    session->memory_bytes = need_bytes(&need, options);
    return need_check(&need, options, session->backend, err);
}

static void session_release(struct session **session)
{
    session_free(*session);
}

struct session *session_new(const struct model *model, struct backend *backend,
                            const struct session_options *options, struct err *err)
{
    __attribute__((cleanup(session_release))) struct session *session =
        xcalloc(1, sizeof(*session));

    assert(options->context_tokens > 0);
    assert(options->sequence_count > 0 && options->sequence_count <= SESSION_SEQUENCE_MAX_COUNT);
    session->model = model;
    session->backend = backend;
    session->context_tokens = options->context_tokens;
    session->sequence_count = options->sequence_count;
    if (check_budget(session, options, err) != 0 ||
        make_kv_and_scratch(session, options, err) != 0 ||
        make_rope_frequencies(session, err) != 0 || load_weights(session, options, err) != 0)
        return NULL;
    if (backend->ops->tune != NULL)
        backend->ops->tune(backend);
    return take_ptr(session);
}

void session_free(struct session *session)
{
    const struct backend_ops *ops = NULL;

    if (session == NULL)
        return;
    ops = session->backend->ops;
    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++)
        ops->weight_free(session->backend, session->by_role[i]);
    for (uint32_t layer = 0; session->layers != NULL && layer < session->model->params.layer_count;
         layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++)
            ops->weight_free(session->backend, session->layers[layer].by_role[i]);
    }
    for (size_t i = 0; i < SCRATCH_COUNT; i++)
        ops->buffer_free(session->backend, session->scratch[i]);
    ops->buffer_free(session->backend, session->rope_frequencies);
    ops->buffer_free(session->backend, session->window_rope_frequencies);
    ops->kv_free(session->backend, session->kv);
    kv_table_free(session->table);
    free(session->layers);
    free(session);
}

uint64_t session_memory_bytes(const struct session *session)
{
    return session->memory_bytes;
}

uint32_t session_context_tokens(const struct session *session)
{
    return session->context_tokens;
}

struct kv_table *session_kv_table(struct session *session)
{
    return session->table;
}

/* Owns the making and freeing of a session: weights made ready, KV and scratch allocated, each on
 * its device, within what plan.c has found to be there. What runs on it is forward.c. */
#include "hip/model/session.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/model/need.h"
#include "hip/model/plan.h"
#include "hip/model/quant.h"

#include <assert.h>
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

/* ---- weights ---- */

static int load_weight(struct session_stage *stage, const struct gguf_tensor *tensor,
                       struct backend_weight **out, struct loading *loading, struct err *err)
{
    struct backend_matrix matrix;

    if (tensor == NULL)
        return 0; /* an optional one that this model does without */
    matrix = need_matrix(tensor);
    touch_pages(tensor, loading);
    *out = stage->backend->ops->weight_new(stage->backend, &matrix, err);
    if (*out == NULL)
        return err_wrap(err, "load %.*s", (int)tensor->name.len, tensor->name.data);
    return 0;
}

static int load_stage(struct session_stage *stage, struct loading *loading, struct err *err)
{
    const struct model *model = stage->model;
    uint32_t layer_count = stage->range.end - stage->range.begin;

    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++) {
        if (need_has_tensor(model, stage->range, i) &&
            load_weight(stage, model->by_role[i], &stage->by_role[i], loading, err) != 0)
            return -1;
    }
    stage->layers = xcalloc(layer_count, sizeof(*stage->layers));
    for (uint32_t layer = 0; layer < layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++) {
            if (load_weight(stage, model->layers[stage->range.begin + layer].by_role[i],
                            &stage->layers[layer].by_role[i], loading, err) != 0)
                return -1;
        }
    }
    return 0;
}

static int load_weights(struct session *session, const struct session_options *options,
                        struct err *err)
{
    struct loading loading = {.options = options};

    if (gguf_check_same(session->model->gguf, err) != 0)
        return -1;
    for (uint32_t i = 0; i < session->stage_count; i++)
        loading.total_bytes += need_weight_bytes(session->model, session->stages[i].range);
    for (uint32_t i = 0; i < session->stage_count; i++) {
        if (load_stage(&session->stages[i], &loading, err) != 0)
            return session_fail(session, i, err);
    }
    return 0;
}

/* ---- KV and scratch ---- */

static int make_scratch(struct session_stage *stage, const struct session_options *options,
                        struct err *err)
{
    struct backend *backend = stage->backend;
    struct backend_scratch_shape shape = need_scratch_shape(stage->model, stage->range, options);

    if (backend->ops->scratch_reserve != NULL &&
        backend->ops->scratch_reserve(backend, &shape, err) != 0)
        return -1;
    for (int i = 0; i < SCRATCH_COUNT; i++) {
        uint32_t width = need_scratch_width(&stage->model->params, (enum scratch)i);

        if (width == 0)
            continue;
        stage->scratch[i] = backend->ops->buffer_new(backend, shape.row_max, width, err);
        if (stage->scratch[i] == NULL)
            return -1;
    }
    return 0;
}

static struct backend_buffer *frequencies_new(struct session_stage *stage, const struct rope *rope,
                                              const float *factors, struct err *err)
{
    struct backend *backend = stage->backend;
    uint32_t dims = stage->model->params.rope_dims;
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

static int make_rope_frequencies(struct session_stage *stage, struct err *err)
{
    const struct model_params *params = &stage->model->params;
    const struct gguf_tensor *tensor = stage->model->by_role[MODEL_ROPE_FREQS];
    AUTO_FREE float *factors = xcalloc(params->rope_dims / 2, sizeof(*factors));

    if (tensor != NULL)
        quant_decode(tensor->type, tensor->data, factors, params->rope_dims / 2);
    stage->rope_frequencies =
        frequencies_new(stage, &params->rope, tensor != NULL ? factors : NULL, err);
    if (stage->rope_frequencies == NULL)
        return -1;
    if (!arch_has_windows(params))
        return 0;
    stage->window_rope_frequencies = frequencies_new(stage, &params->window_rope, NULL, err);
    return stage->window_rope_frequencies != NULL ? 0 : -1;
}

/* NEEDSWORK: should the KV table know layers that forget? One with a window keeps keys and values
 * of the whole context, though it reads only the window's. It matters from contexts of several
 * windows on: five layers of six of a Gemma 3 see 512 or 1024 tokens. */
static int make_stage(struct session_stage *stage, const struct session_options *options,
                      struct err *err)
{
    struct backend_kv_shape shape = need_kv_shape(
        stage->model, stage->range, need_block_count(options->context_tokens), options->kv_type);

    stage->kv = stage->backend->ops->kv_new(stage->backend, &shape, err);
    return stage->kv == NULL || make_scratch(stage, options, err) != 0 ||
                   make_rope_frequencies(stage, err) != 0
               ? -1
               : 0;
}

static int make_stages(struct session *session, const struct session_options *options,
                       struct err *err)
{
    uint64_t floats = need_stream_floats(session->model, options);

    session->table =
        kv_table_new(need_block_count(session->context_tokens), session->sequence_count);
    if (session->stage_count > 1)
        session->streams = xcalloc(floats, sizeof(*session->streams));
    for (uint32_t i = 0; i < session->stage_count; i++) {
        if (make_stage(&session->stages[i], options, err) != 0)
            return session_fail(session, i, err);
    }
    return 0;
}

/* ---- the session ---- */

/* Asked before anything is taken: an overcommitted allocation would succeed here and end the
 * process later, in the middle of somebody's answer. Weights count whole, though they may lie in
 * the page cache already: what is available counts the cache as well. */
static int plan_stages(struct session *session, struct session_device *devices,
                       const struct session_options *options, struct err *err)
{
    struct layer_range ranges[DEVICE_NAMES_MAX_COUNT];

    if (plan_layers(session->model, devices, session->stage_count, options, ranges, err) != 0)
        return -1;
    for (uint32_t i = 0; i < session->stage_count; i++) {
        struct session_stage *stage = &session->stages[i];
        struct session_need need;

        stage->range = ranges[i];
        need_of_stage(stage->model, stage->backend, stage->range, options, &need);
        stage->memory_bytes = need_bytes(&need, options);
    }
    return 0;
}

static struct session *session_begin(const struct model *model,
                                     const struct session_options *options)
{
    struct session *session = xcalloc(1, sizeof(*session));

    assert(options->context_tokens > 0);
    assert(options->sequence_count > 0 && options->sequence_count <= SESSION_SEQUENCE_MAX_COUNT);
    session->model = model;
    session->context_tokens = options->context_tokens;
    session->sequence_count = options->sequence_count;
    session->kv_type = options->kv_type;
    return session;
}

static void session_release(struct session **session)
{
    session_free(*session);
}

/* Takes SESSION over. */
static struct session *session_make(struct session *session, struct session_device *devices,
                                    uint32_t device_count, const struct session_options *options,
                                    struct err *err)
{
    __attribute__((cleanup(session_release))) struct session *made = session;

    assert(device_count >= 1 && device_count <= DEVICE_NAMES_MAX_COUNT);
    made->stage_count = device_count;
    for (uint32_t i = 0; i < device_count; i++)
        made->stages[i] = (struct session_stage){
            .model = made->model, .device = &devices[i], .backend = devices[i].backend};
    if (plan_stages(made, devices, options, err) != 0 || make_stages(made, options, err) != 0 ||
        load_weights(made, options, err) != 0)
        return NULL;
    for (uint32_t i = 0; i < device_count; i++) {
        if (devices[i].backend->ops->tune != NULL)
            devices[i].backend->ops->tune(devices[i].backend);
    }
    return take_ptr(made);
}

struct session *session_new_over(const struct model *model, struct session_device *devices,
                                 uint32_t device_count, const struct session_options *options,
                                 struct err *err)
{
    return session_make(session_begin(model, options), devices, device_count, options, err);
}

struct session *session_new(const struct model *model, struct backend *backend,
                            const struct session_options *options, struct err *err)
{
    struct session *session = session_begin(model, options);

    session->own_device = (struct session_device){.backend = backend, .name = ""};
    return session_make(session, &session->own_device, 1, options, err);
}

int session_fail(struct session *session, uint32_t index, struct err *err)
{
    for (uint32_t i = 0; i < session->stage_count; i++)
        session->stages[i].device->has_failed = i == index;
    return session->stage_count == 1 ? -1
                                     : err_wrap(err, "%s", session->stages[index].device->name);
}

static void free_stage(struct session_stage *stage)
{
    const struct backend_ops *ops = stage->backend->ops;
    uint32_t layer_count = stage->range.end - stage->range.begin;

    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++)
        ops->weight_free(stage->backend, stage->by_role[i]);
    for (uint32_t layer = 0; stage->layers != NULL && layer < layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++)
            ops->weight_free(stage->backend, stage->layers[layer].by_role[i]);
    }
    for (size_t i = 0; i < SCRATCH_COUNT; i++)
        ops->buffer_free(stage->backend, stage->scratch[i]);
    ops->buffer_free(stage->backend, stage->rope_frequencies);
    ops->buffer_free(stage->backend, stage->window_rope_frequencies);
    ops->kv_free(stage->backend, stage->kv);
    free(stage->layers);
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    for (uint32_t i = 0; i < session->stage_count; i++)
        free_stage(&session->stages[i]);
    kv_table_free(session->table);
    free(session->streams);
    free(session);
}

/* ---- what it is ---- */

uint64_t session_device_bytes(const struct session *session, uint32_t device_index)
{
    return session->stages[device_index].memory_bytes;
}

uint64_t session_memory_bytes(const struct session *session)
{
    uint64_t bytes = 0; /* of memory that is there: the sum fits */

    for (uint32_t i = 0; i < session->stage_count; i++)
        bytes += session->stages[i].memory_bytes;
    return bytes;
}

uint32_t session_device_layers(const struct session *session, uint32_t device_index)
{
    const struct layer_range *range = &session->stages[device_index].range;

    return range->end - range->begin;
}

uint64_t session_kv_bytes(const struct session *session)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < session->stage_count; i++) {
        const struct session_stage *stage = &session->stages[i];
        struct backend_kv_shape shape =
            need_kv_shape(stage->model, stage->range, need_block_count(session->context_tokens),
                          session->kv_type);

        bytes += stage->backend->ops->kv_bytes(stage->backend, &shape);
    }
    return bytes;
}

uint32_t session_context_tokens(const struct session *session)
{
    return session->context_tokens;
}

struct kv_table *session_kv_table(struct session *session)
{
    return session->table;
}

/* Owns a model: the file, its parameters, and which tensor plays which part, each shape checked.
 * Reads no weights and runs nothing. */
#include "hip/model/load.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 64 };

/* Words of the last column of tensors.def. */
enum presence {
    PRESENCE_OPTIONAL,
    PRESENCE_REQUIRED,
    PRESENCE_QKV_BIAS,
    PRESENCE_QK_NORM,
    PRESENCE_POST_NORM,
    PRESENCE_ROPE_FACTORS,
};

/* What the shapes in tensors.def are made of. */
enum dimension {
    DIMENSION_ONE,
    DIMENSION_EMBEDDING,
    DIMENSION_VOCAB,
    DIMENSION_HEADS,
    DIMENSION_KV_HEADS,
    DIMENSION_HEAD_DIM,
    DIMENSION_FEED_FORWARD,
    DIMENSION_ROPE_PAIRS,
};

struct role {
    const char *name;
    enum dimension columns;
    enum dimension rows;
    enum presence presence;
};

#define ROLE(name_text, columns_of, rows_of, needed)                                               \
    {                                                                                              \
        .name = name_text, .columns = DIMENSION_##columns_of, .rows = DIMENSION_##rows_of,         \
        .presence = PRESENCE_##needed                                                              \
    }

static const struct role MODEL_ROLES[MODEL_TENSOR_COUNT] = {
#define ROLE_MODEL(role, ...) [MODEL_##role] = ROLE(__VA_ARGS__),
#define ROLE_LAYER(role, ...)
#define TENSOR(scope, role, ...) ROLE_##scope(role, __VA_ARGS__)
#include "hip/model/tensors.def"
#undef ROLE_MODEL
#undef ROLE_LAYER
};

static const struct role LAYER_ROLES[LAYER_TENSOR_COUNT] = {
#define ROLE_MODEL(role, ...)
#define ROLE_LAYER(role, ...) [LAYER_##role] = ROLE(__VA_ARGS__),
#include "hip/model/tensors.def"
#undef TENSOR
#undef ROLE_MODEL
#undef ROLE_LAYER
};

static uint64_t dimension_of(const struct model_params *params, enum dimension dimension)
{
    switch (dimension) {
    case DIMENSION_ONE:
        return 1;
    case DIMENSION_EMBEDDING:
        return params->embedding;
    case DIMENSION_VOCAB:
        return params->vocab_count;
    case DIMENSION_HEADS:
        return (uint64_t)params->head_count * params->head_dim;
    case DIMENSION_KV_HEADS:
        return (uint64_t)params->kv_head_count * params->head_dim;
    case DIMENSION_HEAD_DIM:
        return params->head_dim;
    case DIMENSION_FEED_FORWARD:
        return params->feed_forward;
    case DIMENSION_ROPE_PAIRS:
        return params->rope_dims / 2;
    }
    abort(); /* the table names no other */
}

static enum arch_presence presence_of(const struct architecture *architecture,
                                      enum presence presence)
{
    switch (presence) {
    case PRESENCE_OPTIONAL:
        return ARCH_OPTIONAL;
    case PRESENCE_REQUIRED:
        return ARCH_REQUIRED;
    case PRESENCE_QKV_BIAS:
        return architecture->qkv_bias;
    case PRESENCE_QK_NORM:
        return architecture->qk_norm;
    case PRESENCE_POST_NORM:
        return architecture->post_norm;
    case PRESENCE_ROPE_FACTORS:
        return architecture->rope_factors;
    }
    abort(); /* the table names no other */
}

static int find_tensor(const struct model *model, const struct role *role, const char *name,
                       const struct gguf_tensor **out, struct err *err)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(model->gguf, name);
    uint64_t columns = dimension_of(&model->params, role->columns);
    uint64_t rows = dimension_of(&model->params, role->rows);
    enum arch_presence presence = presence_of(model->params.architecture, role->presence);

    if (presence == ARCH_NEVER)
        return 0; /* if it is there, refuse_unused_tensors() says so */
    if (tensor == NULL && presence == ARCH_REQUIRED)
        return err_set(err, ERR_INVALID_MODEL, "the tensor %s is missing", name);
    if (tensor != NULL && (tensor->dims[0] != columns || tensor->dims[1] != rows ||
                           tensor->dims[2] != 1 || tensor->dims[3] != 1))
        return err_set(err, ERR_INVALID_MODEL,
                       "%s is %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64 ", not %" PRIu64
                       " x %" PRIu64,
                       name, tensor->dims[0], tensor->dims[1], tensor->dims[2], tensor->dims[3],
                       columns, rows);
    *out = tensor;
    return 0;
}

static int find_model_tensors(struct model *model, struct err *err)
{
    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++) {
        if (find_tensor(model, &MODEL_ROLES[i], MODEL_ROLES[i].name, &model->by_role[i], err) != 0)
            return -1;
    }
    return 0;
}

static int find_layer_tensors(struct model *model, struct err *err)
{
    model->layers = xcalloc(model->params.layer_count, sizeof(*model->layers));
    for (uint32_t layer = 0; layer < model->params.layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++) {
            char name[NAME_MAX_BYTES];

            (void)snprintf(name, sizeof(name), "blk.%u.%s", layer, LAYER_ROLES[i].name); /* ours */
            if (find_tensor(model, &LAYER_ROLES[i], name, &model->layers[layer].by_role[i], err) !=
                0)
                return -1;
        }
    }
    return 0;
}

static void mark_used(const struct gguf *gguf, const struct gguf_tensor *const *by_role,
                      size_t count, bool *is_used)
{
    const struct gguf_tensor *first = gguf_tensor_at(gguf, 0);

    for (size_t i = 0; i < count; i++) {
        if (by_role[i] != NULL)
            is_used[by_role[i] - first] = true;
    }
}

static int refuse_unused_tensors(const struct model *model, struct err *err)
{
    size_t count = gguf_tensor_count(model->gguf);
    AUTO_FREE bool *is_used = xcalloc(count, sizeof(*is_used));

    mark_used(model->gguf, model->by_role, MODEL_TENSOR_COUNT, is_used);
    for (uint32_t layer = 0; layer < model->params.layer_count; layer++)
        mark_used(model->gguf, model->layers[layer].by_role, LAYER_TENSOR_COUNT, is_used);
    for (size_t i = 0; i < count; i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(model->gguf, i);

        if (!is_used[i])
            return err_set(
                err, ERR_INVALID_MODEL, "the tensor %.*s means nothing to this version's %s",
                (int)tensor->name.len, tensor->name.data, model->params.architecture->name);
    }
    return 0;
}

/* The head's rows are the vocabulary; a file that also says how many must agree. There may be more
 * rows than tokens (padding that is never drawn), never fewer: each token is an index into them. */
static int read_vocab_count(struct model *model, struct err *err)
{
    const struct gguf_tensor *table = gguf_find_tensor(model->gguf, "token_embd.weight");
    static const char TOKENS[] = "tokenizer.ggml.tokens";
    const uint64_t most = INT32_MAX;
    uint64_t token_count = 0;

    if (table == NULL)
        return err_set(err, ERR_INVALID_MODEL, "the tensor token_embd.weight is missing");
    if (model->params.vocab_count == 0 && table->dims[1] <= most)
        model->params.vocab_count = (uint32_t)table->dims[1];
    if (!gguf_has(model->gguf, TOKENS))
        return 0;
    if (gguf_array_len(model->gguf, TOKENS, GGUF_STRING, &token_count, err) != 0)
        return -1;
    if (token_count > model->params.vocab_count)
        return err_set(err, ERR_INVALID_MODEL,
                       "the file has %" PRIu64 " tokens but rows for only %" PRIu32, token_count,
                       model->params.vocab_count);
    return 0;
}

static void model_release(struct model **model)
{
    model_free(*model);
}

/* Takes GGUF over, which may be NULL (ERR is set then). */
static struct model *model_of(struct gguf *gguf, struct err *err)
{
    __attribute__((cleanup(model_release))) struct model *model = NULL;

    if (gguf == NULL)
        return NULL;
    model = xcalloc(1, sizeof(*model));
    model->gguf = gguf;
    if (arch_read(gguf, &model->params, err) != 0)
        return NULL;
    if (read_vocab_count(model, err) != 0 || find_model_tensors(model, err) != 0 ||
        find_layer_tensors(model, err) != 0 || refuse_unused_tensors(model, err) != 0)
        return NULL;
    return take_ptr(model);
}

struct model *model_open(const char *path, struct err *err)
{
    return model_of(gguf_open(path, err), err);
}

struct model *model_open_memory(const void *data, size_t len, struct err *err)
{
    return model_of(gguf_open_memory(data, len, err), err);
}

void model_free(struct model *model)
{
    if (model == NULL)
        return;
    free(model->layers);
    gguf_free(model->gguf);
    free(model);
}

const struct gguf *model_gguf(const struct model *model)
{
    return model->gguf;
}

uint32_t model_vocab_count(const struct model *model)
{
    return model->params.vocab_count;
}

uint32_t model_context_tokens(const struct model *model)
{
    return model->params.context_tokens;
}

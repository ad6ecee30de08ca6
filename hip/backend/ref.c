/* The oracle: every op as its formula says, in plain floats on one core, sums in double. Slow and
 * obvious on purpose; nothing here is ever made faster. */
#include "hip/backend/host.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/model/model.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

struct ref_backend {
    struct backend backend;
    const struct backend_step *step; /* NULL between steps */
};

static const struct backend_step *step_of(const struct backend *backend)
{
    const struct backend_step *step = ((const struct ref_backend *)backend)->step;

    assert(step != NULL);
    return step;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for scratch");
}

static float dot(const float *a, const float *b, uint32_t count)
{
    double sum = 0.0;

    for (uint32_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

static float silu(float x)
{
    return x / (1.0f + expf(-x));
}

static void norm_row(const float *x, const float *scale, float epsilon, uint32_t width, float *out)
{
    float mean_square = dot(x, x, width) / (float)width;
    float factor = 1.0f / sqrtf(mean_square + epsilon);

    for (uint32_t i = 0; i < width; i++)
        out[i] = x[i] * factor * scale[i];
}

static void decode_row(const struct backend_weight *weight, uint32_t row, float *out)
{
    quant_decode(weight->matrix.type, host_weight_row(weight, row), out, weight->matrix.columns);
}

static int ref_embed(struct backend *backend, const struct backend_embed *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);

    assert(op->out->width == op->table->matrix.columns);
    for (uint32_t row = 0; row < step->row_count; row++) {
        assert(step->tokens[row] < op->table->matrix.rows);
        decode_row(op->table, step->tokens[row], op->out->data + (uint64_t)row * op->out->width);
    }
    return 0;
}

static int ref_rope_table(struct backend *backend, const struct backend_rope_table *op,
                          struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t pairs = op->frequencies->width;

    assert(op->table->width == 2 * pairs);
    for (uint32_t row = 0; row < step->row_count; row++) {
        for (uint32_t i = 0; i < pairs; i++) {
            double angle = (double)step->positions[row] * (double)op->frequencies->data[i];
            float *pair = op->table->data + ((uint64_t)row * pairs + i) * 2;

            pair[0] = (float)cos(angle);
            pair[1] = (float)sin(angle);
        }
    }
    return 0;
}

static int ref_norm(struct backend *backend, const struct backend_norm *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t width = op->x->width;
    AUTO_FREE float *scale = host_alloc(width, sizeof(*scale));

    if (scale == NULL)
        return no_memory(err);
    assert(op->scale->matrix.columns == width && op->out->width == width && op->out != op->x);
    decode_row(op->scale, 0, scale);
    for (uint32_t row = 0; row < step->row_count; row++)
        norm_row(op->x->data + (uint64_t)row * width, scale, op->epsilon, width,
                 op->out->data + (uint64_t)row * width);
    return 0;
}

/* One column of y for all rows: the weight's row is decoded once. */
static void matmul_column(const struct backend_matmul *op, const struct backend_step *step,
                          uint32_t column, float *const scratch[BACKEND_MATMUL_MAX_COUNT],
                          uint32_t weight_index)
{
    const struct backend_weight *weight = op->weights[weight_index];
    struct backend_buffer *out = op->outs[weight_index];
    uint32_t columns = weight->matrix.columns;

    decode_row(weight, column, scratch[0]);
    if (op->epilogue == BACKEND_SILU_MUL)
        decode_row(op->weights[1], column, scratch[1]);
    for (uint32_t row = 0; row < step->row_count; row++) {
        const float *x = op->x->data + (uint64_t)row * columns;
        float *y = out->data + (uint64_t)row * out->width + column;
        float product = dot(x, scratch[0], columns);

        if (op->epilogue == BACKEND_STORE)
            *y = product;
        else if (op->epilogue == BACKEND_ADD)
            *y += product;
        else
            *y = silu(product) * dot(x, scratch[1], columns);
    }
}

static int ref_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t out_count = op->epilogue == BACKEND_SILU_MUL ? 1 : op->weight_count;
    AUTO_FREE float *first = host_alloc(op->x->width, sizeof(*first));
    AUTO_FREE float *second = host_alloc(op->x->width, sizeof(*second));
    float *const scratch[BACKEND_MATMUL_MAX_COUNT] = {first, second};

    if (first == NULL || second == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < out_count; i++) {
        assert(op->weights[i]->matrix.columns == op->x->width);
        assert(op->weights[i]->matrix.rows == op->outs[i]->width);
        for (uint32_t column = 0; column < op->outs[i]->width; column++)
            matmul_column(op, step, column, scratch, i);
    }
    return 0;
}

static void rope_head(float *head, const float *table, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++) {
        float x = head[2 * i];
        float y = head[2 * i + 1];
        float cosine = table[2 * i];
        float sine = table[2 * i + 1];

        head[2 * i] = x * cosine - y * sine;
        head[2 * i + 1] = x * sine + y * cosine;
    }
}

static int ref_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t head_dim = op->kv->shape.head_dim;
    uint32_t kv_head_count = op->kv->shape.kv_head_count;
    uint32_t head_count = op->q->width / head_dim;
    uint32_t pairs = op->table->width / 2;

    assert(op->k->width == kv_head_count * head_dim && op->v->width == op->k->width);
    for (uint32_t row = 0; row < step->row_count; row++) {
        const float *table = op->table->data + (uint64_t)row * op->table->width;
        uint32_t position = step->positions[row];
        uint32_t block = host_kv_block(step, step->sequences[row], position);

        for (uint32_t h = 0; h < head_count; h++)
            rope_head(op->q->data + (uint64_t)row * op->q->width + h * head_dim, table, pairs);
        for (uint32_t h = 0; h < kv_head_count; h++) {
            uint64_t from = (uint64_t)row * op->k->width + h * head_dim;
            uint64_t to = host_kv_index(op->kv, op->layer, block, h) +
                          (uint64_t)(position % BACKEND_KV_BLOCK_TOKENS) * head_dim;
            float *k = (float *)op->kv->k + to;

            memcpy(k, op->k->data + from, head_dim * sizeof(float));
            rope_head(k, table, pairs);
            memcpy((float *)op->kv->v + to, op->v->data + from, head_dim * sizeof(float));
        }
    }
    return 0;
}

/* Where the key or value of POSITION lies. */
static const float *kv_at(const struct backend_attention *op, const void *store,
                          const struct backend_step *step, uint32_t row, uint32_t position,
                          uint32_t kv_head)
{
    uint32_t block = host_kv_block(step, step->sequences[row], position);

    return (const float *)store + host_kv_index(op->kv, op->layer, block, kv_head) +
           (uint64_t)(position % BACKEND_KV_BLOCK_TOKENS) * op->kv->shape.head_dim;
}

/* In place, over COUNT scores. */
static void softmax(float *scores, uint32_t count)
{
    float largest = -INFINITY;
    double sum = 0.0;

    for (uint32_t i = 0; i < count; i++)
        largest = fmaxf(largest, scores[i]);
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = expf(scores[i] - largest);
        sum += (double)scores[i];
    }
    for (uint32_t i = 0; i < count; i++)
        scores[i] /= (float)sum;
}

static void attend(const struct backend_attention *op, const struct backend_step *step,
                   uint32_t row, uint32_t head, float *scores)
{
    uint32_t head_dim = op->kv->shape.head_dim;
    uint32_t group = op->q->width / head_dim / op->kv->shape.kv_head_count;
    uint32_t count = step->positions[row] + 1;
    const float *q = op->q->data + (uint64_t)row * op->q->width + head * head_dim;
    float *out = op->out->data + (uint64_t)row * op->out->width + head * head_dim;

    for (uint32_t i = 0; i < count; i++)
        scores[i] = op->scale * dot(q, kv_at(op, op->kv->k, step, row, i, head / group), head_dim);
    softmax(scores, count);
    for (uint32_t d = 0; d < head_dim; d++) {
        double sum = 0.0;

        for (uint32_t i = 0; i < count; i++)
            sum += (double)scores[i] * (double)kv_at(op, op->kv->v, step, row, i, head / group)[d];
        out[d] = (float)sum;
    }
}

static int ref_attention(struct backend *backend, const struct backend_attention *op,
                         struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint64_t capacity = (uint64_t)step->blocks_per_sequence * BACKEND_KV_BLOCK_TOKENS;
    AUTO_FREE float *scores = host_alloc(capacity, sizeof(*scores));

    if (scores == NULL)
        return no_memory(err);
    for (uint32_t row = 0; row < step->row_count; row++) {
        assert(step->positions[row] < capacity);
        for (uint32_t head = 0; head < op->q->width / op->kv->shape.head_dim; head++)
            attend(op, step, row, head, scores);
    }
    return 0;
}

static int ref_head(struct backend *backend, const struct backend_head *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t width = op->x->width;
    uint32_t vocab_count = op->weight->matrix.rows;
    AUTO_FREE float *scale = host_alloc(width, sizeof(*scale));
    AUTO_FREE float *weight = host_alloc(width, sizeof(*weight));
    AUTO_FREE float *normed = host_alloc((uint64_t)step->logit_row_count * width, sizeof(*normed));

    if (scale == NULL || weight == NULL || normed == NULL)
        return no_memory(err);
    decode_row(op->scale, 0, scale);
    for (uint32_t i = 0; i < step->logit_row_count; i++)
        norm_row(op->x->data + (uint64_t)step->logit_rows[i] * width, scale, op->epsilon, width,
                 normed + (uint64_t)i * width);
    for (uint32_t token = 0; token < vocab_count; token++) {
        decode_row(op->weight, token, weight);
        for (uint32_t i = 0; i < step->logit_row_count; i++)
            op->logits[(uint64_t)i * vocab_count + token] =
                dot(normed + (uint64_t)i * width, weight, width);
    }
    return 0;
}

static int ref_step_begin(struct backend *backend, const struct backend_step *step, struct err *err)
{
    assert(step->row_count >= 1 && step->row_count <= SESSION_BATCH_MAX_ROWS);
    ((struct ref_backend *)backend)->step = step;
    return 0;
}

static void ref_step_end(struct backend *backend)
{
    ((struct ref_backend *)backend)->step = NULL;
}

static uint64_t ref_kv_bytes(const struct backend *backend, const struct backend_kv_shape *shape)
{
    return host_kv_bytes(shape, sizeof(float));
}

static struct backend_kv *ref_kv_new(struct backend *backend, const struct backend_kv_shape *shape,
                                     struct err *err)
{
    return host_kv_new(shape, sizeof(float), err);
}

static void ref_free(struct backend *backend)
{
    free(backend);
}

static const struct backend_ops REF_OPS = {
    .free = ref_free,
    .memory_available = host_memory_available,
    .weight_new = host_weight_new,
    .weight_free = host_weight_free,
    .buffer_new = host_buffer_new,
    .buffer_free = host_buffer_free,
    .buffer_write = host_buffer_write,
    .buffer_read = host_buffer_read,
    .kv_bytes = ref_kv_bytes,
    .kv_new = ref_kv_new,
    .kv_free = host_kv_free,
    .step_begin = ref_step_begin,
    .embed = ref_embed,
    .rope_table = ref_rope_table,
    .norm = ref_norm,
    .matmul = ref_matmul,
    .rope_kv = ref_rope_kv,
    .attention = ref_attention,
    .head = ref_head,
    .step_end = ref_step_end,
};

struct backend *ref_backend_new(uint32_t threads, struct err *err)
{
    struct ref_backend *ref = xcalloc(1, sizeof(*ref));

    ref->backend.ops = &REF_OPS;
    return &ref->backend;
}

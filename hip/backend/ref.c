/* The oracle: every op as its formula says, in plain floats on one core, sums in double. Slow and
 * obvious on purpose; nothing here is ever made faster. */
#include "hip/backend/host.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/model/model.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ref_backend {
    struct backend backend;
    const struct backend_step *step; /* NULL between steps */
};

#define KV_LARGEST 127.0f /* number of KV_TYPE_Q8_0 */

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

static float gelu(float x)
{
    double inner = sqrt(2.0 / M_PI) * ((double)x + 0.044715 * pow(x, 3.0));

    return (float)(0.5 * (double)x * (1.0 + tanh(inner)));
}

/* X[count] to what a store of KV_TYPE_Q8_0 gives back. */
static void round_group(float *x, uint32_t count)
{
    float largest = 0.0f;
    float scale = 0.0f;

    for (uint32_t i = 0; i < count; i++)
        largest = isnan(x[i]) || fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    scale = quant_f16_to_f32(quant_f32_to_f16(largest / KV_LARGEST));
    for (uint32_t i = 0; i < count; i++) {
        float number = scale > 0.0f ? nearbyintf(x[i] / scale) : 0.0f;

        /* What is not finite makes its whole group so: 0 times infinity is NaN. */
        x[i] = scale * fmaxf(-KV_LARGEST, fminf(KV_LARGEST, number));
    }
}

/* Of one head, in place. */
static void round_kv(float *x, const struct backend_kv_shape *shape)
{
    for (uint32_t at = 0; shape->kv_type == KV_TYPE_Q8_0 && at < shape->head_dim;
         at += BACKEND_KV_GROUP_DIMS) {
        uint32_t left = shape->head_dim - at;

        round_group(x + at, left < BACKEND_KV_GROUP_DIMS ? left : BACKEND_KV_GROUP_DIMS);
    }
}

static float capped(float x, float softcap)
{
    return softcap == 0.0f ? x : softcap * tanhf(x / softcap);
}

/* OUT may be X. */
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
        float *out = op->out->data + (uint64_t)row * op->out->width;

        assert(step->tokens[row] < op->table->matrix.rows);
        decode_row(op->table, step->tokens[row], out);
        for (uint32_t i = 0; i < op->out->width; i++)
            out[i] *= op->scale;
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

            pair[0] = (float)((double)op->magnitude * cos(angle));
            pair[1] = (float)((double)op->magnitude * sin(angle));
        }
    }
    return 0;
}

static int ref_norm(struct backend *backend, const struct backend_norm *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t width = op->x->width;
    AUTO_FREE float *scale = host_alloc(width, sizeof(*scale));
    AUTO_FREE float *normed = host_alloc(width, sizeof(*normed));

    if (scale == NULL || normed == NULL)
        return no_memory(err);
    assert(op->scale->matrix.columns == width && op->out->width == width && op->out != op->x);
    decode_row(op->scale, 0, scale);
    for (uint32_t row = 0; row < step->row_count; row++) {
        float *out = op->out->data + (uint64_t)row * width;

        norm_row(op->x->data + (uint64_t)row * width, scale, op->epsilon, width, normed);
        for (uint32_t i = 0; i < width; i++)
            out[i] = op->is_added ? out[i] + normed[i] : normed[i];
    }
    return 0;
}

static float finished(enum backend_epilogue epilogue, float before, float product, float second)
{
    switch (epilogue) {
    case BACKEND_STORE:
        return product;
    case BACKEND_ADD:
        return before + product;
    case BACKEND_SILU_MUL:
        return silu(product) * second;
    case BACKEND_GELU_MUL:
        return gelu(product) * second;
    }
    abort(); /* no other is made */
}

/* One column of y for all rows: the weight's row is decoded once. SCRATCH has room for a row of the
 * weight, one of the second weight and one bias. */
static void matmul_column(const struct backend_matmul *op, const struct backend_step *step,
                          uint32_t column, float *const scratch[BACKEND_MATMUL_MAX_COUNT],
                          uint32_t weight_index)
{
    const struct backend_weight *weight = op->weights[weight_index];
    const struct backend_weight *bias = op->biases[weight_index];
    struct backend_buffer *out = op->outs[weight_index];
    uint32_t columns = weight->matrix.columns;
    bool is_gate = backend_is_gate(op->epilogue);

    decode_row(weight, column, scratch[0]);
    if (is_gate)
        decode_row(op->weights[1], column, scratch[1]);
    if (bias != NULL)
        decode_row(bias, 0, scratch[2]);
    for (uint32_t row = 0; row < step->row_count; row++) {
        const float *x = op->x->data + (uint64_t)row * columns;
        float *y = out->data + (uint64_t)row * out->width + column;
        float product = dot(x, scratch[0], columns) + (bias != NULL ? scratch[2][column] : 0.0f);

        *y = finished(op->epilogue, *y, product, is_gate ? dot(x, scratch[1], columns) : 0.0f);
    }
}

static void check_matmul(const struct backend_matmul *op, uint32_t i)
{
    assert(op->weights[i]->matrix.columns == op->x->width);
    assert(op->weights[i]->matrix.rows == op->outs[i]->width);
    if (op->biases[i] != NULL) {
        assert(!backend_is_gate(op->epilogue));
        assert(op->biases[i]->matrix.columns == op->outs[i]->width);
    }
}

static int ref_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t out_count = backend_is_gate(op->epilogue) ? 1 : op->weight_count;
    uint32_t widest = 0;

    for (uint32_t i = 0; i < out_count; i++)
        widest = op->outs[i]->width > widest ? op->outs[i]->width : widest;
    AUTO_FREE float *first = host_alloc(op->x->width, sizeof(*first));
    AUTO_FREE float *second = host_alloc(op->x->width, sizeof(*second));
    AUTO_FREE float *bias = host_alloc(widest, sizeof(*bias));
    float *const scratch[BACKEND_MATMUL_MAX_COUNT] = {first, second, bias};

    if (first == NULL || second == NULL || bias == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < out_count; i++) {
        check_matmul(op, i);
        for (uint32_t column = 0; column < op->outs[i]->width; column++)
            matmul_column(op, step, column, scratch, i);
    }
    return 0;
}

static void rope_head(float *head, const float *table, uint32_t pairs, enum backend_rope_kind kind)
{
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t first = kind == BACKEND_ROPE_NEOX ? i : 2 * i;
        uint32_t second = kind == BACKEND_ROPE_NEOX ? i + pairs : 2 * i + 1;
        float x = head[first];
        float y = head[second];
        float cosine = table[2 * i];
        float sine = table[2 * i + 1];

        head[first] = x * cosine - y * sine;
        head[second] = x * sine + y * cosine;
    }
}

/* Norm and rope of one head, in place. NORM is decoded, or NULL. */
static void turn_head(const struct backend_rope_kv *op, float *head, const float *norm,
                      uint32_t row)
{
    const float *table = op->table->data + (uint64_t)row * op->table->width;

    if (norm != NULL)
        norm_row(head, norm, op->epsilon, op->kv->shape.head_dim, head);
    rope_head(head, table, op->table->width / 2, op->kind);
}

/* k and v of one head of a row to their place in the KV store. */
static void store_kv(const struct backend_rope_kv *op, const struct backend_step *step,
                     uint32_t row, uint32_t kv_head, const float *k_norm)
{
    uint32_t head_dim = op->kv->shape.head_dim;
    uint32_t position = step->positions[row];
    uint32_t block = host_kv_block(step, step->sequences[row], position);
    uint64_t from = (uint64_t)row * op->k->width + kv_head * head_dim;
    uint64_t to = host_kv_index(op->kv, op->layer, block, kv_head) +
                  (uint64_t)(position % BACKEND_KV_BLOCK_TOKENS) * head_dim;
    float *k = (float *)op->kv->k + to;
    float *v = (float *)op->kv->v + to;

    memcpy(k, op->k->data + from, head_dim * sizeof(float));
    turn_head(op, k, k_norm, row);
    round_kv(k, &op->kv->shape);
    memcpy(v, op->v->data + from, head_dim * sizeof(float));
    round_kv(v, &op->kv->shape);
}

static int ref_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err)
{
    const struct backend_step *step = step_of(backend);
    uint32_t head_dim = op->kv->shape.head_dim;
    uint32_t kv_head_count = op->kv->shape.kv_head_count;
    AUTO_FREE float *q_norm = host_alloc(head_dim, sizeof(*q_norm));
    AUTO_FREE float *k_norm = host_alloc(head_dim, sizeof(*k_norm));

    if (q_norm == NULL || k_norm == NULL)
        return no_memory(err);
    assert(op->k->width == kv_head_count * head_dim && op->v->width == op->k->width);
    if (op->q_norm != NULL)
        decode_row(op->q_norm, 0, q_norm);
    if (op->k_norm != NULL)
        decode_row(op->k_norm, 0, k_norm);
    for (uint32_t row = 0; row < step->row_count; row++) {
        for (uint32_t at = 0; at < op->q->width; at += head_dim)
            turn_head(op, op->q->data + (uint64_t)row * op->q->width + at,
                      op->q_norm != NULL ? q_norm : NULL, row);
        for (uint32_t h = 0; h < kv_head_count; h++)
            store_kv(op, step, row, h, op->k_norm != NULL ? k_norm : NULL);
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
    uint32_t end = step->positions[row] + 1;
    uint32_t first = op->window != 0 && end > op->window ? end - op->window : 0;
    const float *q = op->q->data + (uint64_t)row * op->q->width + head * head_dim;
    float *out = op->out->data + (uint64_t)row * op->out->width + head * head_dim;

    for (uint32_t i = first; i < end; i++) {
        const float *k = kv_at(op, op->kv->k, step, row, i, head / group);

        scores[i] = capped(op->scale * dot(q, k, head_dim), op->softcap);
    }
    softmax(scores + first, end - first);
    for (uint32_t d = 0; d < head_dim; d++) {
        double sum = 0.0;

        for (uint32_t i = first; i < end; i++)
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
                capped(dot(normed + (uint64_t)i * width, weight, width), op->softcap);
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

/* The head's rows made alike, a row of each weight of a product, and an attention's scores. */
static uint64_t ref_scratch_bytes(const struct backend *backend,
                                  const struct backend_scratch_shape *shape)
{
    uint64_t rows = (uint64_t)shape->logit_row_max + BACKEND_MATMUL_MAX_COUNT;

    return (rows * shape->width_max + shape->position_max) * sizeof(float);
}

static void ref_free(struct backend *backend)
{
    free(backend);
}

static const struct backend_ops REF_OPS = {
    .has_kv_q8_0 = true,
    .free = ref_free,
    .memory_available = host_memory_available,
    .scratch_bytes = ref_scratch_bytes,
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

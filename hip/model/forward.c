/* Owns one step of a model: the one generic layer that every architecture is a variation of, read
 * from top to bottom. Knows no device and no text; shapes are in session.h. */
#include "hip/model/session.h"

#include <assert.h>

/* normed = norm(x) */
static int norm(struct session *session, const struct backend_weight *scale, struct err *err)
{
    struct backend_norm op = {
        .x = session->scratch[SCRATCH_X],
        .scale = scale,
        .epsilon = session->model->params.norm_epsilon,
        .out = session->scratch[SCRATCH_NORMED],
    };

    return session->backend->ops->norm(session->backend, &op, err);
}

/* q, k, v = normed * {Wq, Wk, Wv} + their biases, if there are any */
static int project(struct session *session, const struct session_layer *layer, struct err *err)
{
    struct backend_matmul op = {
        .x = session->scratch[SCRATCH_NORMED],
        .weight_count = 3,
        .weights = {layer->by_role[LAYER_ATTN_Q], layer->by_role[LAYER_ATTN_K],
                    layer->by_role[LAYER_ATTN_V]},
        .biases = {layer->by_role[LAYER_ATTN_Q_BIAS], layer->by_role[LAYER_ATTN_K_BIAS],
                   layer->by_role[LAYER_ATTN_V_BIAS]},
        .outs = {session->scratch[SCRATCH_Q], session->scratch[SCRATCH_K],
                 session->scratch[SCRATCH_V]},
        .epilogue = BACKEND_STORE,
    };

    return session->backend->ops->matmul(session->backend, &op, err);
}

/* Norms of the heads of q and k, if there are any; turns them by their positions; k and v go to the
 * KV store. */
static int remember(struct session *session, uint32_t layer_index, struct err *err)
{
    const struct model_params *params = &session->model->params;
    const struct session_layer *layer = &session->layers[layer_index];
    bool has_window = arch_window(params, layer_index) != 0;
    struct backend_rope_kv op = {
        .table = session->scratch[has_window ? SCRATCH_WINDOW_ROPE : SCRATCH_ROPE],
        .kind = params->architecture->rope_kind,
        .q_norm = layer->by_role[LAYER_ATTN_Q_NORM],
        .k_norm = layer->by_role[LAYER_ATTN_K_NORM],
        .epsilon = params->norm_epsilon,
        .q = session->scratch[SCRATCH_Q],
        .k = session->scratch[SCRATCH_K],
        .v = session->scratch[SCRATCH_V],
        .kv = session->kv,
        .layer = layer_index,
    };

    return session->backend->ops->rope_kv(session->backend, &op, err);
}

static int attend(struct session *session, uint32_t layer_index, struct err *err)
{
    struct backend_attention op = {
        .q = session->scratch[SCRATCH_Q],
        .kv = session->kv,
        .layer = layer_index,
        .scale = session->model->params.attention_scale,
        .window = arch_window(&session->model->params, layer_index),
        .softcap = session->model->params.attention_softcap,
        .out = session->scratch[SCRATCH_ATTENDED],
    };

    return session->backend->ops->attention(session->backend, &op, err);
}

/* x += from * weight, or, where there is a norm behind it, x += norm(from * weight). */
static int add_to_stream(struct session *session, enum scratch from,
                         const struct backend_weight *weight,
                         const struct backend_weight *post_norm, struct err *err)
{
    struct backend_buffer *x = session->scratch[SCRATCH_X];
    struct backend_buffer *product =
        session->scratch[SCRATCH_NORMED]; /* free until the next norm */
    struct backend_matmul op = {
        .x = session->scratch[from],
        .weight_count = 1,
        .weights = {weight},
        .outs = {post_norm != NULL ? product : x},
        .epilogue = post_norm != NULL ? BACKEND_STORE : BACKEND_ADD,
    };
    struct backend_norm norm_op = {
        .x = product,
        .scale = post_norm,
        .epsilon = session->model->params.norm_epsilon,
        .is_added = true,
        .out = x,
    };

    if (session->backend->ops->matmul(session->backend, &op, err) != 0)
        return -1;
    return post_norm != NULL ? session->backend->ops->norm(session->backend, &norm_op, err) : 0;
}

/* ffn = silu or gelu of (normed * Wgate), * (normed * Wup) */
static int gate(struct session *session, const struct session_layer *layer, struct err *err)
{
    struct backend_matmul op = {
        .x = session->scratch[SCRATCH_NORMED],
        .weight_count = 2,
        .weights = {layer->by_role[LAYER_FFN_GATE], layer->by_role[LAYER_FFN_UP]},
        .outs = {session->scratch[SCRATCH_FFN]},
        .epilogue = session->model->params.architecture->gate,
    };

    return session->backend->ops->matmul(session->backend, &op, err);
}

static int run_layer(struct session *session, uint32_t index, struct err *err)
{
    const struct session_layer *layer = &session->layers[index];

    if (norm(session, layer->by_role[LAYER_ATTN_NORM], err) != 0 ||
        project(session, layer, err) != 0 || remember(session, index, err) != 0 ||
        attend(session, index, err) != 0 ||
        add_to_stream(session, SCRATCH_ATTENDED, layer->by_role[LAYER_ATTN_OUT],
                      layer->by_role[LAYER_ATTN_POST_NORM], err) != 0)
        return -1;
    if (norm(session, layer->by_role[LAYER_FFN_NORM], err) != 0 || gate(session, layer, err) != 0 ||
        add_to_stream(session, SCRATCH_FFN, layer->by_role[LAYER_FFN_DOWN],
                      layer->by_role[LAYER_FFN_POST_NORM], err) != 0)
        return -1;
    return 0;
}

static int embed(struct session *session, struct err *err)
{
    struct backend_embed op = {
        .table = session->by_role[MODEL_TOKEN_EMBD],
        .scale = session->model->params.embedding_scale,
        .out = session->scratch[SCRATCH_X],
    };

    return session->backend->ops->embed(session->backend, &op, err);
}

/* The turns of this step's positions, for layers that see all and for those that see a window. */
static int prepare_rope(struct session *session, struct err *err)
{
    const struct model_params *params = &session->model->params;
    struct backend_rope_table all = {
        .frequencies = session->rope_frequencies,
        .magnitude = (float)params->rope.magnitude,
        .table = session->scratch[SCRATCH_ROPE],
    };
    struct backend_rope_table window = {
        .frequencies = session->window_rope_frequencies,
        .magnitude = (float)params->window_rope.magnitude,
        .table = session->scratch[SCRATCH_WINDOW_ROPE],
    };

    if (session->backend->ops->rope_table(session->backend, &all, err) != 0)
        return -1;
    return arch_has_windows(params)
               ? session->backend->ops->rope_table(session->backend, &window, err)
               : 0;
}

/* A model without a head of its own uses its embedding (tied). */
static int head(struct session *session, float *logits, struct err *err)
{
    const struct backend_weight *own = session->by_role[MODEL_OUTPUT];
    struct backend_head op = {
        .x = session->scratch[SCRATCH_X],
        .scale = session->by_role[MODEL_OUTPUT_NORM],
        .epsilon = session->model->params.norm_epsilon,
        .weight = own != NULL ? own : session->by_role[MODEL_TOKEN_EMBD],
        .softcap = session->model->params.logit_softcap,
        .logits = logits,
    };

    return session->backend->ops->head(session->backend, &op, err);
}

static int run_step(struct session *session, const struct backend_step *step, float *logits,
                    struct err *err)
{
    if (session->backend->ops->step_begin(session->backend, step, err) != 0)
        return -1;
    if (embed(session, err) != 0 || prepare_rope(session, err) != 0)
        return -1;
    for (uint32_t layer = 0; layer < session->model->params.layer_count; layer++) {
        if (run_layer(session, layer, err) != 0)
            return -1;
    }
    if (step->logit_row_count == 0)
        return 0;
    return head(session, logits, err);
}

/* Gives each row its place in the KV store. */
static int place_rows(struct session *session, const struct batch_row *rows, uint32_t count,
                      struct backend_step *step, struct err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        assert(rows[i].token < session->model->params.vocab_count);
        assert(rows[i].position < session->context_tokens);
        assert(rows[i].position == kv_table_length(session->table, rows[i].sequence));
        if (kv_table_append(session->table, rows[i].sequence, rows[i].token, err) != 0)
            return -1;
        session->tokens[i] = rows[i].token;
        session->positions[i] = rows[i].position;
        session->sequences[i] = rows[i].sequence;
        if (rows[i].is_decode) {
            assert(step->decode_row_count == i);
            step->decode_row_count++;
        }
        if (rows[i].wants_logits)
            session->logit_rows[step->logit_row_count++] = i;
    }
    return 0;
}

int session_step(struct session *session, const struct batch_row *rows, uint32_t count,
                 float *logits, struct err *err)
{
    uint32_t lengths[SESSION_SEQUENCE_MAX_COUNT];
    uint32_t sequence_count = session->sequence_count;
    struct backend_step step = {
        .row_count = count,
        .blocks_per_sequence = kv_table_blocks_per_sequence(session->table),
        .tokens = session->tokens,
        .positions = session->positions,
        .sequences = session->sequences,
        .block_tables = kv_table_blocks(session->table),
        .logit_rows = session->logit_rows,
    };
    int result = 0;

    assert(count >= 1 && count <= SESSION_BATCH_MAX_ROWS);
    for (uint32_t i = 0; i < sequence_count; i++)
        lengths[i] = kv_table_length(session->table, i);
    result = place_rows(session, rows, count, &step, err);
    if (result == 0) {
        result = run_step(session, &step, logits, err);
        session->backend->ops->step_end(session->backend);
    }
    for (uint32_t i = 0; i < sequence_count; i++) {
        if (result == 0)
            kv_table_commit(session->table, i);
        else /* as they were before: nothing half-written is ever read */
            kv_table_truncate(session->table, i, lengths[i]);
    }
    return result;
}

/* Owns one step of a model: the one generic layer that every architecture is a variation of, read
 * from top to bottom. Knows no device and no text; shapes are in session.h. */
#include "hip/model/session.h"

#include <assert.h>

/* Positions that layer INDEX of STAGE sees; 0: all. */
static uint32_t layer_window(const struct session_stage *stage, uint32_t index)
{
    return arch_window(&stage->model->params, stage->range.begin + index);
}

/* normed = norm(x) */
static int norm(struct session_stage *stage, const struct backend_weight *scale, struct err *err)
{
    struct backend_norm op = {
        .x = stage->scratch[SCRATCH_X],
        .scale = scale,
        .epsilon = stage->model->params.norm_epsilon,
        .out = stage->scratch[SCRATCH_NORMED],
    };

    return stage->backend->ops->norm(stage->backend, &op, err);
}

/* q, k, v = normed * {Wq, Wk, Wv} + their biases, if there are any */
static int project(struct session_stage *stage, const struct session_layer *layer, struct err *err)
{
    struct backend_matmul op = {
        .x = stage->scratch[SCRATCH_NORMED],
        .weight_count = 3,
        .weights = {layer->by_role[LAYER_ATTN_Q], layer->by_role[LAYER_ATTN_K],
                    layer->by_role[LAYER_ATTN_V]},
        .biases = {layer->by_role[LAYER_ATTN_Q_BIAS], layer->by_role[LAYER_ATTN_K_BIAS],
                   layer->by_role[LAYER_ATTN_V_BIAS]},
        .outs = {stage->scratch[SCRATCH_Q], stage->scratch[SCRATCH_K], stage->scratch[SCRATCH_V]},
        .epilogue = BACKEND_STORE,
    };

    return stage->backend->ops->matmul(stage->backend, &op, err);
}

/* Norms of the heads of q and k, if there are any; turns them by their positions; k and v go to the
 * KV store. */
static int remember(struct session_stage *stage, uint32_t layer_index, struct err *err)
{
    const struct model_params *params = &stage->model->params;
    const struct session_layer *layer = &stage->layers[layer_index];
    bool has_window = layer_window(stage, layer_index) != 0;
    struct backend_rope_kv op = {
        .table = stage->scratch[has_window ? SCRATCH_WINDOW_ROPE : SCRATCH_ROPE],
        .kind = params->architecture->rope_kind,
        .q_norm = layer->by_role[LAYER_ATTN_Q_NORM],
        .k_norm = layer->by_role[LAYER_ATTN_K_NORM],
        .epsilon = params->norm_epsilon,
        .q = stage->scratch[SCRATCH_Q],
        .k = stage->scratch[SCRATCH_K],
        .v = stage->scratch[SCRATCH_V],
        .kv = stage->kv,
        .layer = layer_index,
    };

    return stage->backend->ops->rope_kv(stage->backend, &op, err);
}

static int attend(struct session_stage *stage, uint32_t layer_index, struct err *err)
{
    struct backend_attention op = {
        .q = stage->scratch[SCRATCH_Q],
        .kv = stage->kv,
        .layer = layer_index,
        .scale = stage->model->params.attention_scale,
        .window = layer_window(stage, layer_index),
        .softcap = stage->model->params.attention_softcap,
        .out = stage->scratch[SCRATCH_ATTENDED],
    };

    return stage->backend->ops->attention(stage->backend, &op, err);
}

/* x += from * weight, or, where there is a norm behind it, x += norm(from * weight). */
static int add_to_stream(struct session_stage *stage, enum scratch from,
                         const struct backend_weight *weight,
                         const struct backend_weight *post_norm, struct err *err)
{
    struct backend_buffer *x = stage->scratch[SCRATCH_X];
    struct backend_buffer *product = stage->scratch[SCRATCH_NORMED]; /* free until the next norm */
    struct backend_matmul op = {
        .x = stage->scratch[from],
        .weight_count = 1,
        .weights = {weight},
        .outs = {post_norm != NULL ? product : x},
        .epilogue = post_norm != NULL ? BACKEND_STORE : BACKEND_ADD,
    };
    struct backend_norm norm_op = {
        .x = product,
        .scale = post_norm,
        .epsilon = stage->model->params.norm_epsilon,
        .is_added = true,
        .out = x,
    };

    if (stage->backend->ops->matmul(stage->backend, &op, err) != 0)
        return -1;
    return post_norm != NULL ? stage->backend->ops->norm(stage->backend, &norm_op, err) : 0;
}

/* ffn = silu or gelu of (normed * Wgate), * (normed * Wup) */
static int gate(struct session_stage *stage, const struct session_layer *layer, struct err *err)
{
    struct backend_matmul op = {
        .x = stage->scratch[SCRATCH_NORMED],
        .weight_count = 2,
        .weights = {layer->by_role[LAYER_FFN_GATE], layer->by_role[LAYER_FFN_UP]},
        .outs = {stage->scratch[SCRATCH_FFN]},
        .epilogue = stage->model->params.architecture->gate,
    };

    return stage->backend->ops->matmul(stage->backend, &op, err);
}

static int run_layer(struct session_stage *stage, uint32_t index, struct err *err)
{
    const struct session_layer *layer = &stage->layers[index];

    if (norm(stage, layer->by_role[LAYER_ATTN_NORM], err) != 0 || project(stage, layer, err) != 0 ||
        remember(stage, index, err) != 0 || attend(stage, index, err) != 0 ||
        add_to_stream(stage, SCRATCH_ATTENDED, layer->by_role[LAYER_ATTN_OUT],
                      layer->by_role[LAYER_ATTN_POST_NORM], err) != 0)
        return -1;
    if (norm(stage, layer->by_role[LAYER_FFN_NORM], err) != 0 || gate(stage, layer, err) != 0 ||
        add_to_stream(stage, SCRATCH_FFN, layer->by_role[LAYER_FFN_DOWN],
                      layer->by_role[LAYER_FFN_POST_NORM], err) != 0)
        return -1;
    return 0;
}

static int embed(struct session_stage *stage, struct err *err)
{
    struct backend_embed op = {
        .table = stage->by_role[MODEL_TOKEN_EMBD],
        .scale = stage->model->params.embedding_scale,
        .out = stage->scratch[SCRATCH_X],
    };

    return stage->backend->ops->embed(stage->backend, &op, err);
}

/* The turns of this step's positions, for layers that see all and for those that see a window. */
static int prepare_rope(struct session_stage *stage, struct err *err)
{
    const struct model_params *params = &stage->model->params;
    struct backend_rope_table all = {
        .frequencies = stage->rope_frequencies,
        .magnitude = (float)params->rope.magnitude,
        .table = stage->scratch[SCRATCH_ROPE],
    };
    struct backend_rope_table window = {
        .frequencies = stage->window_rope_frequencies,
        .magnitude = (float)params->window_rope.magnitude,
        .table = stage->scratch[SCRATCH_WINDOW_ROPE],
    };

    if (stage->backend->ops->rope_table(stage->backend, &all, err) != 0)
        return -1;
    return arch_has_windows(params) ? stage->backend->ops->rope_table(stage->backend, &window, err)
                                    : 0;
}

/* A model without a head of its own uses its embedding (tied). */
static int head(struct session_stage *stage, struct step_output *output, struct err *err)
{
    const struct backend_weight *own = stage->by_role[MODEL_OUTPUT];
    uint32_t picks_from = stage->backend->ops->picks_from_tokens;
    bool is_picked =
        output->picked_count > 0 && picks_from > 0 && output->token_count >= picks_from;
    struct backend_head op = {
        .x = stage->scratch[SCRATCH_X],
        .scale = stage->by_role[MODEL_OUTPUT_NORM],
        .epsilon = stage->model->params.norm_epsilon,
        .weight = own != NULL ? own : stage->by_role[MODEL_TOKEN_EMBD],
        .softcap = stage->model->params.logit_softcap,
        .logits = output->logits,
        .picked = output->picked,
        .picked_count = is_picked ? output->picked_count : 0,
        .token_count = output->token_count,
    };

    output->is_picked = is_picked;
    return stage->backend->ops->head(stage->backend, &op, err);
}

/* Of the first stage, the streams are made of its tokens; the others' are those that the stage
 * before has left on the host. */
static int begin_streams(const struct session *session, struct session_stage *stage,
                         const struct backend_step *step, struct err *err)
{
    if (stage == session->stages)
        return embed(stage, err);
    return stage->backend->ops->buffer_write(stage->backend, stage->scratch[SCRATCH_X],
                                             session->streams, step->row_count, err);
}

static int end_streams(struct session *session, struct session_stage *stage,
                       const struct backend_step *step, struct step_output *output, struct err *err)
{
    if (stage != &session->stages[session->stage_count - 1])
        return stage->backend->ops->buffer_read(stage->backend, stage->scratch[SCRATCH_X],
                                                session->streams, step->row_count, err);
    return step->logit_row_count == 0 ? 0 : head(stage, output, err);
}

static int compute_stage(struct session *session, struct session_stage *stage,
                         const struct backend_step *step, struct step_output *output,
                         struct err *err)
{
    if (stage->backend->ops->step_begin(stage->backend, step, err) != 0 ||
        begin_streams(session, stage, step, err) != 0 || prepare_rope(stage, err) != 0)
        return -1;
    for (uint32_t layer = 0; layer < stage->range.end - stage->range.begin; layer++) {
        if (run_layer(stage, layer, err) != 0)
            return -1;
    }
    return end_streams(session, stage, step, output, err);
}

/* NEEDSWORK: should a stage begin with a prompt's next rows while the next stage has these? Each
 * device waits for the other now, which only prompts of several steps could change. */
static int run_step(struct session *session, const struct backend_step *step,
                    struct step_output *output, struct err *err)
{
    for (uint32_t i = 0; i < session->stage_count; i++) {
        struct session_stage *stage = &session->stages[i];
        int result = compute_stage(session, stage, step, output, err);

        stage->backend->ops->step_end(stage->backend);
        if (result != 0)
            return session_fail(session, i, err);
    }
    return 0;
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

int session_step_into(struct session *session, const struct batch_row *rows, uint32_t count,
                      struct step_output *output, struct err *err)
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
    output->is_picked = false;
    for (uint32_t i = 0; i < sequence_count; i++)
        lengths[i] = kv_table_length(session->table, i);
    result = place_rows(session, rows, count, &step, err);
    if (result == 0)
        result = run_step(session, &step, output, err);
    for (uint32_t i = 0; i < sequence_count; i++) {
        if (result == 0)
            kv_table_commit(session->table, i);
        else /* as they were before: nothing half-written is ever read */
            kv_table_truncate(session->table, i, lengths[i]);
    }
    return result;
}

int session_step(struct session *session, const struct batch_row *rows, uint32_t count,
                 float *logits, struct err *err)
{
    struct step_output output = {.logits = logits};

    return session_step_into(session, rows, count, &output, err);
}

/* What session.c makes and forward.c runs: a model's weights on a backend, its KV store and
 * scratch.
 *
 * Shapes: x is [row][embedding]; q [row][head][head_dim]; k and v [row][kv_head][head_dim]. */
#ifndef RBEE_HIP_MODEL_SESSION_H
#define RBEE_HIP_MODEL_SESSION_H

#include "hip/backend/backend.h"
#include "hip/engine/kv.h"
#include "hip/model/load.h"
#include "hip/model/model.h"

struct session_layer {
    struct backend_weight *by_role[LAYER_TENSOR_COUNT];
};

/* What flows through a layer, one row each for up to SESSION_BATCH_MAX_ROWS. */
enum scratch {
    SCRATCH_X,           /* [row][embedding] the residual stream */
    SCRATCH_NORMED,      /* [row][embedding] */
    SCRATCH_Q,           /* [row][head][head_dim] */
    SCRATCH_K,           /* [row][kv_head][head_dim] */
    SCRATCH_V,           /* [row][kv_head][head_dim] */
    SCRATCH_ATTENDED,    /* [row][head][head_dim] */
    SCRATCH_FFN,         /* [row][feed_forward] */
    SCRATCH_ROPE,        /* [row][rope_dims] cosines and sines */
    SCRATCH_WINDOW_ROPE, /* the same for layers that see a window; NULL where there are none */
    SCRATCH_COUNT,
};

struct session {
    const struct model *model;
    struct backend *backend;
    uint32_t context_tokens;
    uint32_t sequence_count;
    uint64_t memory_bytes;
    struct backend_weight *by_role[MODEL_TENSOR_COUNT];
    struct session_layer *layers; /* [layer_count] */
    struct backend_buffer *scratch[SCRATCH_COUNT];
    struct backend_buffer *rope_frequencies;        /* [1][rope_dims / 2] */
    struct backend_buffer *window_rope_frequencies; /* the same, NULL where there are no windows */
    struct backend_kv *kv;
    struct kv_table *table;
    /* The step's inputs, in the order of its rows. */
    uint32_t tokens[SESSION_BATCH_MAX_ROWS];
    uint32_t positions[SESSION_BATCH_MAX_ROWS];
    uint32_t sequences[SESSION_BATCH_MAX_ROWS];
    uint32_t logit_rows[SESSION_BATCH_MAX_ROWS];
};

#endif

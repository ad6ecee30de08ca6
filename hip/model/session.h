/* What session.c makes and forward.c runs: a model's weights, its KV store and scratch. A session
 * has one stage for each device; each has a range of the layers, and rows go through all of them in
 * order.
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

/* Layers BEGIN to END - 1 of a model. The embedding is with the first, the head with the last. */
struct layer_range {
    uint32_t begin;
    uint32_t end;
};

/* What one device has of a session. */
struct session_stage {
    const struct model *model;
    struct session_device *device; /* borrowed */
    struct backend *backend;       /* the device's */
    struct layer_range range;
    uint64_t memory_bytes;
    struct backend_weight *by_role[MODEL_TENSOR_COUNT]; /* NULL: another stage's, or nobody's */
    struct session_layer *layers;                       /* [range.end - range.begin] */
    struct backend_buffer *scratch[SCRATCH_COUNT];
    struct backend_buffer *rope_frequencies;        /* [1][rope_dims / 2] */
    struct backend_buffer *window_rope_frequencies; /* the same, NULL where there are no windows */
    struct backend_kv *kv;                          /* of its layers, the first of which is 0 */
};

struct session {
    const struct model *model;
    uint32_t context_tokens;
    uint32_t sequence_count;
    enum kv_type kv_type;
    uint32_t stage_count;
    struct session_stage stages[DEVICE_NAMES_MAX_COUNT];
    struct session_device own_device; /* of session_new() */
    float *streams; /* [row][embedding] on their way from one stage to the next; NULL: one stage */
    struct kv_table *table;
    /* The step's inputs, in the order of its rows. */
    uint32_t tokens[SESSION_BATCH_MAX_ROWS];
    uint32_t positions[SESSION_BATCH_MAX_ROWS];
    uint32_t sequences[SESSION_BATCH_MAX_ROWS];
    uint32_t logit_rows[SESSION_BATCH_MAX_ROWS];
};

/* Of stage INDEX: notes on its device that it was the one, and says so in err where there are
 * others. Returns -1. */
int session_fail(struct session *session, uint32_t index, struct err *err);

#endif

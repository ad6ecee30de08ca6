/* What a device must be able to do to run a model: the op table. Ops are few, fused and batch-
 * shaped, and there is no graph: forward.c calls them in order. A device is one more table
 * (backends.def); ref.c is the one that all others are tested against.
 *
 * Rows: a step has 1 to SESSION_BATCH_MAX_ROWS rows, each one token at one position of one
 * sequence. An activation is a buffer of floats [row][width], row 0 first; an op works on the first
 * row_count rows of the running step. Calls come from one thread, between step_begin and step_end,
 * in order; a device may run them later, as long as head() and buffer_read() return finished data.
 *
 * Ownership: what x_new returns belongs to the caller, who frees it before the backend. A weight
 * may refer to the bytes it was made from: they stay until it is freed.
 *
 * Failure: ERR_NO_MEMORY or ERR_DEVICE; the step is then lost. Shapes are asserted: only a bug of
 * ours makes them wrong. NaN and infinity are no failure: they travel to the logits, and the
 * sampler refuses them.
 *
 * Tolerance against ref (normalised mean square error): 1e-6 for ops in floats, 5e-4 for matmul and
 * head with quantised weights, 1e-5 for what goes through a KV store of the same type; ref keeps
 * floats where the others keep halves. */
#ifndef RBEE_HIP_BACKEND_BACKEND_H
#define RBEE_HIP_BACKEND_BACKEND_H

#include "common/err.h"
#include "common/kv_type.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKEND_KV_BLOCK_TOKENS = 32,
    BACKEND_KV_GROUP_DIMS = 32,   /* of a head that share a scale */
    BACKEND_MATMUL_MAX_COUNT = 3, /* q, k and v */
    BACKEND_THREADS_MAX_COUNT = 256,
};

struct backend_weight; /* a matrix on the device, in whatever order the device likes */
struct backend_buffer; /* activations on the device: float [row_max][width] */
struct backend_kv;     /* keys and values of all layers, in blocks of BACKEND_KV_BLOCK_TOKENS */

/* A tensor as the file has it: [rows][columns], columns innermost; a vector has one row. */
struct backend_matrix {
    uint32_t type; /* enum quant_type, one with a reader */
    uint32_t columns;
    uint32_t rows;
    const void *data;
};

/* KV_TYPE_Q8_0: what is kept of BACKEND_KV_GROUP_DIMS dimensions of a head, or those that are left
 * of them, is scale * number. The scale is the largest magnitude / 127, as a half; the numbers are
 * the nearest whole ones to dimension / scale, from -127 to 127. */
struct backend_kv_shape {
    uint32_t layer_count;
    uint32_t block_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    enum kv_type kv_type;
};

/* Of a head's key or value of KV_TYPE_Q8_0, where its groups are whole. */
static inline uint32_t backend_kv_q8_0_bytes(uint32_t head_dim)
{
    uint32_t groups = (head_dim + BACKEND_KV_GROUP_DIMS - 1) / BACKEND_KV_GROUP_DIMS;

    return groups * (BACKEND_KV_GROUP_DIMS + (uint32_t)sizeof(uint16_t));
}

/* The largest that the ops of any step work with. */
struct backend_scratch_shape {
    uint32_t row_max;
    uint32_t logit_row_max;
    uint32_t logit_width;
    uint32_t width_max;    /* of a row of activations */
    uint32_t position_max; /* of a sequence */
};

/* The inputs of a step; the arrays live until step_end. */
struct backend_step {
    uint32_t row_count;
    /* The first so many rows are the only ones of their sequence: each is an answer that grows by
     * a token. A device may compute them otherwise than rows of prompts, but each by itself: what
     * a row of either kind becomes, bit for bit, does not depend on how many others there are. */
    uint32_t decode_row_count;
    uint32_t logit_row_count;
    uint32_t blocks_per_sequence;
    const uint32_t *tokens;    /* [row] */
    const uint32_t *positions; /* [row] in its sequence */
    const uint32_t *sequences; /* [row] index into block_tables */
    const uint32_t
        *block_tables;          /* [sequence][blocks_per_sequence] ids below the KV's block_count */
    const uint32_t *logit_rows; /* [logit_row_count] rows that want logits, rising */
};

/* out[row] = scale * table[token of row] */
struct backend_embed {
    const struct backend_weight *table; /* [vocab][width] */
    float scale;                        /* 1: as they are */
    struct backend_buffer *out;         /* [row][width] */
};

/* out[row] = x / sqrt(mean(x * x) + epsilon) * scale, or is that much more. May not be in place.
 * https://arxiv.org/abs/1910.07467 */
struct backend_norm {
    const struct backend_buffer *x;     /* [row][width] */
    const struct backend_weight *scale; /* [1][width] */
    float epsilon;
    bool is_added;              /* out += */
    struct backend_buffer *out; /* [row][width] */
};

enum backend_epilogue {
    BACKEND_STORE,    /* out = y */
    BACKEND_ADD,      /* out += y */
    BACKEND_SILU_MUL, /* out = silu(y of weights[0]) * (y of weights[1]), two weights, one out */
    /* The same with gelu(y) = y / 2 * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 y^3))), its
     * approximation by tanh: https://arxiv.org/abs/1606.08415 */
    BACKEND_GELU_MUL,
};

/* Two weights make one out. */
static inline bool backend_is_gate(enum backend_epilogue epilogue)
{
    return epilogue == BACKEND_SILU_MUL || epilogue == BACKEND_GELU_MUL;
}

/* y = x * transposed(weight) + bias, for each weight, over the same x. */
struct backend_matmul {
    const struct backend_buffer *x; /* [row][columns] */
    uint32_t weight_count;
    const struct backend_weight *weights[BACKEND_MATMUL_MAX_COUNT]; /* [width][columns] */
    const struct backend_weight *biases[BACKEND_MATMUL_MAX_COUNT];  /* [1][width]; NULL: none, as
                                                                       always for a gate */
    struct backend_buffer *outs[BACKEND_MATMUL_MAX_COUNT];          /* [row][width] */
    enum backend_epilogue epilogue;
};

/* table[row] = cos and sin of position * frequency, times the magnitude, in pairs; made once a step
 * for all layers that turn alike. */
struct backend_rope_table {
    const struct backend_buffer *frequencies; /* [1][pairs] radians a position */
    float magnitude;                          /* 1: turning changes no length */
    struct backend_buffer *table;             /* [row][2 * pairs] */
};

/* Which elements of a head make pair i. */
enum backend_rope_kind {
    BACKEND_ROPE_NORM, /* 2i and 2i + 1 */
    BACKEND_ROPE_NEOX, /* i and i + pairs */
};

/* Brings each head of q and k to the length of a norm (as backend_norm, over head_dim), where there
 * is one, turns the first 2 * pairs elements of it, and writes k and v to the KV store at the row's
 * position. https://arxiv.org/abs/2104.09864 */
struct backend_rope_kv {
    const struct backend_buffer *table; /* [row][2 * pairs] */
    enum backend_rope_kind kind;
    const struct backend_weight *q_norm; /* [1][head_dim] or NULL */
    const struct backend_weight *k_norm; /* [1][head_dim] or NULL */
    float epsilon;                       /* of both norms */
    struct backend_buffer *q;            /* [row][head][head_dim], turned in place */
    const struct backend_buffer *k;      /* [row][kv_head][head_dim] */
    const struct backend_buffer *v;      /* [row][kv_head][head_dim] */
    struct backend_kv *kv;
    uint32_t layer;
};

/* out = softmax(cap(scale * q * transposed(K))) * V over the last `window` positions of the row's
 * sequence, its own included, or over all. cap(s) = softcap * tanh(s / softcap). Head h reads
 * kv_head h / (heads / kv_heads). */
struct backend_attention {
    const struct backend_buffer *q; /* [row][head][head_dim] */
    const struct backend_kv *kv;
    uint32_t layer;
    float scale;
    uint32_t window;            /* 0: all positions from 0 on */
    float softcap;              /* 0: none */
    struct backend_buffer *out; /* [row][head][head_dim] */
};

/* Logits of the step's logit rows, on the host when it returns: norm, then matmul, then cap as in
 * backend_attention. Or, where picked_count is not 0, of the first token_count of each the most
 * probable, as candidates (hip/text/candidates.h), the most probable first: CANDIDATE_NONE stands
 * behind all that have a finite logit, CANDIDATE_FAULTY before them if one is NaN or infinite. */
struct backend_head {
    const struct backend_buffer *x;     /* [row][width] */
    const struct backend_weight *scale; /* [1][width] of the norm */
    float epsilon;
    const struct backend_weight *weight; /* [vocab][width] */
    float softcap;                       /* 0: none */
    float *logits;                       /* [logit row][vocab]; untouched where it picks */
    uint64_t *picked;                    /* [logit row][picked_count] */
    uint32_t picked_count;               /* at most CANDIDATES_PICKED_MAX_COUNT */
    uint32_t token_count;                /* at most vocab: what lies behind is padding */
};

struct backend;

struct backend_ops {
    /* What the host keeps beside it (logits, tables) is not of the memory that is counted here. */
    bool has_own_memory;
    /* It can keep keys and values as KV_TYPE_Q8_0; KV_TYPE_F16, or finer, all can. */
    bool has_kv_q8_0;
    /* From so many tokens on head() can pick, which is sooner done there than here. 0: never. */
    uint32_t picks_from_tokens;
    void (*free)(struct backend *backend);
    /* How fast a device reads memory of its own, bytes a second: what a token cannot be faster
     * than. NULL: it has none, and reads the machine's. */
    int (*measure_memory)(struct backend *backend, double *out, struct err *err);
    /* Kernels launched so far. NULL: it has none. */
    uint64_t (*launch_count)(const struct backend *backend);
    /* Bytes that can still be allocated, as far as the system tells. */
    uint64_t (*memory_available)(struct backend *backend);
    /* Bytes that ops take for themselves, at most, beside what is made here. NULL: none. */
    uint64_t (*scratch_bytes)(const struct backend *backend,
                              const struct backend_scratch_shape *shape);
    /* Takes them now, so that no op of such a step has to. NULL: ops do. */
    int (*scratch_reserve)(struct backend *backend, const struct backend_scratch_shape *shape,
                           struct err *err);
    /* Bytes that a weight made from MATRIX takes; its data is not read. NULL: those of the file,
     * where it stays. */
    uint64_t (*weight_bytes)(const struct backend *backend, const struct backend_matrix *matrix);

    struct backend_weight *(*weight_new)(struct backend *backend,
                                         const struct backend_matrix *matrix, struct err *err);
    void (*weight_free)(struct backend *backend, struct backend_weight *weight);
    /* All weights are there, and no step has run: measures what is best for them on this device,
     * where that is not known. NULL: nothing is. */
    void (*tune)(struct backend *backend);
    /* Zeroed. */
    struct backend_buffer *(*buffer_new)(struct backend *backend, uint32_t row_max, uint32_t width,
                                         struct err *err);
    void (*buffer_free)(struct backend *backend, struct backend_buffer *buffer);
    /* The first ROW_COUNT rows from or to VALUES [row_count][width]. */
    int (*buffer_write)(struct backend *backend, struct backend_buffer *buffer, const float *values,
                        uint32_t row_count, struct err *err);
    int (*buffer_read)(struct backend *backend, const struct backend_buffer *buffer, float *values,
                       uint32_t row_count, struct err *err);
    uint64_t (*kv_bytes)(const struct backend *backend, const struct backend_kv_shape *shape);
    struct backend_kv *(*kv_new)(struct backend *backend, const struct backend_kv_shape *shape,
                                 struct err *err);
    void (*kv_free)(struct backend *backend, struct backend_kv *kv);

    int (*step_begin)(struct backend *backend, const struct backend_step *step, struct err *err);
    int (*embed)(struct backend *backend, const struct backend_embed *op, struct err *err);
    int (*rope_table)(struct backend *backend, const struct backend_rope_table *op,
                      struct err *err);
    int (*norm)(struct backend *backend, const struct backend_norm *op, struct err *err);
    int (*matmul)(struct backend *backend, const struct backend_matmul *op, struct err *err);
    int (*rope_kv)(struct backend *backend, const struct backend_rope_kv *op, struct err *err);
    int (*attention)(struct backend *backend, const struct backend_attention *op, struct err *err);
    int (*head)(struct backend *backend, const struct backend_head *op, struct err *err);
    /* Also after a failed op. */
    void (*step_end)(struct backend *backend);
};

/* First member of every device's own struct. */
struct backend {
    const struct backend_ops *ops;
};

/* A GPU on the CPU, for tests. */
#define BACKEND_EMULATOR "emulator"

/* DEVICE has memory of its own and can fail by itself; of two ("A,B"), one does. */
bool backend_is_gpu(const char *device);
/* DEVICE is a name of backends.def: "cpu", or "ref" for the oracle; or "gpu:" and what
 * gpu_device_find() takes, or "gpu" for the first that can be used. THREADS 0: as many as there are
 * cores. ERR_DEVICE when no device has such a name; of a GPU as gpu_backend_new(). The caller
 * frees it. */
struct backend *backend_new(const char *device, uint32_t threads, struct err *err);
/* The same for who uses OTHER, too, from the same thread; NULL: nobody does. ERR_USAGE when it is
 * the same GPU. */
struct backend *backend_new_beside(const char *device, uint32_t threads, struct backend *other,
                                   struct err *err);
void backend_free(struct backend *backend);
/* ERR_CONFIG when BACKEND, which is called DEVICE, cannot keep keys and values as TYPE. */
int backend_check_kv_type(const struct backend *backend, const char *device, enum kv_type type,
                          struct err *err);

/* The makers, for the table alone. */
#define BACKEND(name, maker, summary) struct backend *maker(uint32_t threads, struct err *err);
#include "hip/backend/backends.def"
#undef BACKEND

#endif

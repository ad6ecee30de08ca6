/* What the host hands to a kernel: one struct each, by value. Shared by both sides, so plain C with
 * fixed sizes; pointers are of the device. Shapes are as in hip/backend/backend.h.
 *
 * Nothing in here changes between two steps of the same row counts, but what the pointers lead to:
 * a step's inputs lie in buffers that stay. */
#ifndef RBEE_HIP_KERNELS_ARGS_H
#define RBEE_HIP_KERNELS_ARGS_H

#include <stdint.h>

enum {
    GPU_THREADS_MAX = 256,    /* of a block */
    GPU_TILE_ROWS = 32,       /* rows of a weight that lie interleaved */
    GPU_GROUP_COLUMNS = 32,   /* of activations that share a scale */
    GPU_LANE_COLUMNS = 4,     /* of a row of activations that one lane has */
    GPU_SUM_COLUMNS = 16,     /* of activations that share a sum */
    GPU_PRODUCT_WEIGHTS = 3,  /* q, k and v */
    GPU_KV_BLOCK_TOKENS = 32, /* BACKEND_KV_BLOCK_TOKENS */
    GPU_KEY_DIMS = 8,         /* of a key that lie side by side: 16 bytes */
    GPU_Q8_KEY_DIMS = 16,     /* likewise, of KV_TYPE_Q8_0 */
    GPU_KV_GROUP_DIMS = 32,   /* of that type, that share a scale */
    GPU_PROMPT_ROWS = 64,     /* of a prompt that one block of attention has, at most */
    GPU_PROMPT_WAVES = 4,     /* of that block: 16 rows each */
    GPU_SPLIT_TOKENS = 256,   /* of a sequence that one block of attention reads */
    GPU_ROWS_PER_MATVEC = 8,  /* most rows that one read of a weight serves */
    GPU_HEADS_PER_BLOCK = 8,  /* of attention, at most */
    GPU_QUERY_FLOATS = 2048,  /* of the heads of a block of attention together, at most */
    GPU_TOP_MAX = 64,         /* of the most probable tokens of a row */
    GPU_TOP_SLICE = 2048,     /* tokens that one block of top_slices has */
};

/* enum backend_epilogue, for kernels. */
enum gpu_epilogue { GPU_STORE, GPU_ADD, GPU_SILU_MUL, GPU_GELU_MUL };

/* A weight as it lies on the device: planes, each in tiles of GPU_TILE_ROWS rows whose lanes are
 * side by side (layout.h says what each type has in which). Rows are padded with zeros to whole
 * tiles. A plane that a type does without is NULL. */
struct gpu_planes {
    const uint8_t *codes;
    const uint8_t *high;
    const uint8_t *scales;
    const uint8_t *supers;
    uint32_t rows;
    uint32_t columns;
};

/* Activations as integers of 15 bits in two planes of bytes: x = scale * (256 * upper + lower),
 * one scale for GPU_GROUP_COLUMNS columns. Columns are a multiple of that. */
struct gpu_quantised {
    int8_t *upper; /* [row][columns] */
    int8_t *lower; /* [row][columns] */
    float *scales; /* [row][columns / GPU_GROUP_COLUMNS] */
    int32_t *sums; /* [row][columns / GPU_SUM_COLUMNS] of the integers */
};

/* A step's inputs, as in struct backend_step, but for the tables of blocks: they lie one behind
 * the other, as long as each is. */
struct gpu_step {
    const uint32_t *tokens;
    const uint32_t *positions;
    const uint32_t *tables; /* [row] where the table of its sequence begins in: */
    const uint32_t *block_tables;
    const uint32_t *logit_rows;
};

/* Keys [layer][block][kv_head][head_dim / GPU_KEY_DIMS][token][GPU_KEY_DIMS] and values
 * [layer][block][kv_head][token][head_dim], halves. head_dim is padded with zeros to padded_dim,
 * whole GPU_KEY_DIMS, in both. Of KV_TYPE_Q8_0 they are [layer][block][kv_head] of what kv_q8.h
 * describes, padded to whole GPU_KV_GROUP_DIMS. */
struct gpu_kv {
    void *keys;
    void *values;
    uint32_t block_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    uint32_t padded_dim;
};

struct args_embed {
    struct gpu_planes table;
    const uint32_t *tokens;
    float *out;
    float scale;
    uint32_t padding;
};

struct args_rope_table {
    const uint32_t *positions;
    const float *frequencies;
    float *table;
    float magnitude;
    uint32_t pairs;
};

struct args_norm {
    const float *x;
    const float *scale;
    const uint32_t *rows; /* NULL: block i is row i of x, else row rows[i]; out is by block */
    float *out;           /* NULL: only quantised */
    struct gpu_quantised quantised; /* upper NULL: none */
    float epsilon;
    uint32_t width;
    uint32_t is_added;
    uint32_t padding;
};

struct args_quantise {
    const float *x;
    struct gpu_quantised out;
    uint32_t columns;
    uint32_t padding;
};

/* matvec, matmul and mma: y = x * transposed(weight) + bias for each weight, and then the epilogue.
 * All weights of one call have the same type. */
struct args_product {
    struct gpu_planes weights[GPU_PRODUCT_WEIGHTS];
    const float *biases[GPU_PRODUCT_WEIGHTS];
    float *outs[GPU_PRODUCT_WEIGHTS];
    const float *x;                 /* of types in floats, but for mma */
    struct gpu_quantised quantised; /* of the others, and for mma */
    struct gpu_quantised gated;     /* of matvec: a gate's out as integers; upper NULL: none */
    uint32_t weight_count;
    uint32_t epilogue; /* enum backend_epilogue; a gate makes one out of two weights */
    uint32_t row_begin;
    uint32_t row_count;
    float softcap; /* 0: none */
    uint32_t padding;
};

/* out = silu or gelu of first, * second: where the two weights of a gate have different types. */
struct args_gate {
    const float *first;
    const float *second;
    float *out;
    uint32_t epilogue;
    uint32_t width;
};

struct args_rope_kv {
    struct gpu_step step;
    struct gpu_kv kv;
    const float *table;
    const float *q_norm; /* NULL: none */
    const float *k_norm;
    float *q;
    const float *k;
    const float *v;
    float epsilon;
    uint32_t head_count;
    uint32_t pairs;
    uint32_t is_neox;
    uint32_t layer;
    uint32_t padding;
};

/* A row's splits are those of its sequence, so of GPU_SPLIT_TOKENS positions each, which have any
 * that it sees: nothing else of the step changes what is summed in which order. */
struct args_attention {
    struct gpu_step step;
    struct gpu_kv kv;
    const float *q;
    float *out;
    struct gpu_quantised quantised; /* of attention: out as integers; upper NULL: none */
    /* [row from row_begin on][head][split_max][head_dim + 2] of rows with several splits: sums,
     * then the largest score and the sum of weights. */
    float *partials;
    const uint32_t *tiles; /* [tile][2] of prompts: a first row, and how many with it */
    float scale;
    float softcap;
    uint32_t window; /* 0: all */
    uint32_t head_count;
    uint32_t heads_per_block; /* at most; all of one kv_head */
    uint32_t layer;
    uint32_t split_max; /* of any row */
    uint32_t row_begin;
};

/* Of rows of logits the most probable tokens, the most probable first. */
struct args_top {
    const float *logits;  /* [row][width] */
    uint64_t *lists;      /* [row][slice_count][list] of each slice */
    uint64_t *out;        /* [row][count] */
    uint32_t width;       /* of a row */
    uint32_t token_count; /* of it that are tokens */
    uint32_t slice_count; /* of GPU_TOP_SLICE tokens, the last of fewer */
    uint32_t list; /* entries of a slice: the power of 2 from count on, GPU_TOP_MAX at most */
    uint32_t count;
    uint32_t padding;
};

/* From the file's rows to planes; the rows are whole tiles but for the weight's last. */
struct args_repack {
    const uint8_t *raw; /* [row_count] rows as the file has them */
    struct gpu_planes to;
    uint32_t row_begin; /* a multiple of GPU_TILE_ROWS */
    uint32_t row_count;
    uint32_t raw_row_bytes;
    uint32_t padding;
};

#endif

/* What the files of the GPU backend share: its own struct, what an op table's pointers lead to
 * here, and its ops by file. Nobody else includes it. */
#ifndef RBEE_HIP_BACKEND_GPU_BACKEND_H
#define RBEE_HIP_BACKEND_GPU_BACKEND_H

#include "hip/backend/backend.h"
#include "hip/backend/gpu_runtime.h"
#include "hip/kernels/layout.h"
#include "hip/model/quant.h"

enum {
    GPU_STAGING_COUNT = 2,
    GPU_ALIGNMENT = GPU_PLANE_ALIGN, /* of what lies in one allocation */
    GPU_ROW_THREADS = GPU_THREADS_MAX,
    GPU_ROW_THREADS_MIN = 64, /* a whole wave of either kind */
};

/* Rows of activations on the device. */
struct backend_buffer {
    uint32_t row_max;
    uint32_t width;
    float *data; /* [row_max][width] */
};

/* A vector is floats; a matrix is planes. A matrix of one row is both, the planes made when they
 * are first asked for: it cannot be told from a vector. */
struct backend_weight {
    struct backend_matrix matrix;
    float *floats;   /* [columns] of one with one row */
    uint8_t *memory; /* of the planes */
    struct gpu_planes planes;
};

struct backend_kv {
    struct backend_kv_shape shape;
    struct gpu_kv store;
};

/* By how many rows they take at once. */
enum gpu_matvec {
    GPU_MATVEC_1,
    GPU_MATVEC_2,
    GPU_MATVEC_4,
    GPU_MATVEC_8,
    GPU_MATVEC_COUNT,
};

/* By how many rows of activations a block of theirs has: GPU_MMA_X_ROWS, GPU_MMA_X_ROWS_MAX. */
enum gpu_mma {
    GPU_MMA_64,
    GPU_MMA_128,
    GPU_MMA_COUNT,
};

/* What is measured of a type (gpu_tune.c); 0: not measured. */
enum gpu_tuned {
    GPU_TUNED_WAVES,       /* of a block of matvec, at most: the order of sums depends on it */
    GPU_TUNED_PROMPT_ROWS, /* of a block of prompts, at most: no bit of them does */
    GPU_TUNED_COUNT,
};

enum { GPU_CHOICES_MAX = 8 }; /* of each */

/* The kernels that read one type of weight. */
struct gpu_type {
    enum gpu_weight_type id;
    const struct backend_weight *largest; /* of this type, that has planes */
    uint32_t tuned[GPU_TUNED_COUNT];
    bool is_found; /* and so are: */
    const struct gpu_kernel *repack;
    const struct gpu_kernel *embed;
    const struct gpu_kernel *matvec[GPU_MATVEC_COUNT];
    const struct gpu_kernel *matmul;
    const struct gpu_kernel *mma[GPU_MMA_COUNT]; /* NULL: matmul is all there is */
};

/* Those that read or write keys and values of one type. */
struct gpu_kv_kernels {
    const struct gpu_kernel *rope_kv;
    const struct gpu_kernel *attention;
    /* NULL without matrix units */
    const struct gpu_kernel *prompt_attention_64;
    const struct gpu_kernel *prompt_attention_128;
};

/* The others, by their names. */
struct gpu_kernels {
    const struct gpu_kernel *rope_table;
    const struct gpu_kernel *norm;
    const struct gpu_kernel *quantise;
    const struct gpu_kernel *gate;
    const struct gpu_kernel *attention_combine;
    struct gpu_kv_kernels kv[KV_TYPE_COUNT];
    const struct gpu_kernel *top_slices;
    const struct gpu_kernel *top_merge;
};

/* Memory that grows to what was asked for at most so far. */
struct gpu_area {
    void *memory;
    uint64_t bytes;
    bool is_pinned; /* of the host */
};

/* A piece of a weight on its way: filled again when the copy out of it is through. */
struct gpu_staging {
    struct gpu_area area;
    struct gpu_event *event; /* NULL: never used */
};

struct gpu_backend {
    struct backend backend;
    struct gpu_library *library;
    struct gpu_context *context;
    struct gpu_kernels kernels;
    struct gpu_type types[GPU_WEIGHT_TYPE_COUNT];
    bool has_quantised_weights;
    char *tune_folder; /* where gpu_tune.c keeps what it measures; NULL: it measures nothing */
    struct gpu_event *tune_events[2];
    struct err failure; /* of a step that had no other way to say it */

    struct gpu_staging staging[GPU_STAGING_COUNT];
    uint32_t next_staging;

    const struct backend_step *step; /* NULL between steps */
    uint32_t longest;                /* position of the step, + 1 */
    struct gpu_step device_step;
    const uint32_t *device_tiles; /* of prompts, as args_attention has them */
    uint32_t tile_count;
#define AREA(name, is_pinned, summary) struct gpu_area name;
#include "hip/backend/gpu_areas.def"
#undef AREA
    /* Whose integers lie there; NULL: of none that still is as it was. */
    const struct backend_buffer *quantised_of;
    struct gpu_quantised quantised_at;
};

static inline struct gpu_backend *gpu_of(struct backend *backend)
{
    return (struct gpu_backend *)backend;
}

static inline uint64_t gpu_aligned(uint64_t bytes)
{
    return (bytes + GPU_ALIGNMENT - 1) / GPU_ALIGNMENT * GPU_ALIGNMENT;
}

static inline uint32_t gpu_blocks(uint32_t count, uint32_t per_block)
{
    return count / per_block + (count % per_block != 0);
}

/* Of a block that has a row of WIDTH, or a part of it. */
static inline uint32_t gpu_row_threads(uint32_t width)
{
    return width > GPU_ROW_THREADS_MIN * GPU_LANE_COLUMNS ? GPU_ROW_THREADS : GPU_ROW_THREADS_MIN;
}

/* ---- gpu_memory.c ---- */

int gpu_area_reserve(struct gpu_backend *gpu, struct gpu_area *area, uint64_t bytes,
                     struct err *err);
void gpu_area_release(struct gpu_backend *gpu, struct gpu_area *area);
uint64_t gpu_memory_available(struct backend *backend);
uint64_t gpu_scratch_bytes(const struct backend *backend,
                           const struct backend_scratch_shape *shape);
int gpu_scratch_reserve(struct backend *backend, const struct backend_scratch_shape *shape,
                        struct err *err);
struct backend_buffer *gpu_buffer_new(struct backend *backend, uint32_t row_max, uint32_t width,
                                      struct err *err);
void gpu_buffer_free(struct backend *backend, struct backend_buffer *buffer);
int gpu_buffer_write(struct backend *backend, struct backend_buffer *buffer, const float *values,
                     uint32_t row_count, struct err *err);
int gpu_buffer_read(struct backend *backend, const struct backend_buffer *buffer, float *values,
                    uint32_t row_count, struct err *err);
uint64_t gpu_kv_bytes(const struct backend *backend, const struct backend_kv_shape *shape);
struct backend_kv *gpu_kv_new(struct backend *backend, const struct backend_kv_shape *shape,
                              struct err *err);
void gpu_kv_free(struct backend *backend, struct backend_kv *kv);

/* ---- gpu_measure.c ---- */

int gpu_measure_memory(struct backend *backend, double *out, struct err *err);
uint64_t gpu_backend_launch_count(const struct backend *backend);

/* ---- gpu_weights.c ---- */

/* As kernels call a type that a file calls QUANT_TYPE, which has a reader. */
enum gpu_weight_type gpu_weight_type_of(uint32_t quant_type);
/* Its activations are floats. */
bool gpu_is_float_weight(const struct backend_weight *weight);
const char *gpu_weight_type_name(enum gpu_weight_type type);
/* The kernels of a weight that has been made. */
const struct gpu_type *gpu_type_of(const struct gpu_backend *gpu,
                                   const struct backend_weight *weight);
uint64_t gpu_matrix_bytes(const struct backend *backend, const struct backend_matrix *matrix);
struct backend_weight *gpu_weight_new(struct backend *backend, const struct backend_matrix *matrix,
                                      struct err *err);
void gpu_weight_free(struct backend *backend, struct backend_weight *weight);
/* Its planes, made now if they are not there yet. */
int gpu_weight_planes(struct gpu_backend *gpu, const struct backend_weight *weight,
                      struct gpu_planes *out, struct err *err);
/* No weight is on its way any more. */
void gpu_staging_release(struct gpu_backend *gpu);

/* ---- gpu_step.c ---- */

uint64_t gpu_inputs_bytes(uint32_t table_count);
int gpu_step_begin(struct backend *backend, const struct backend_step *step, struct err *err);
void gpu_step_end(struct backend *backend);
/* BUFFER is about to change: integers of what it was are of no use. */
void gpu_touch(struct gpu_backend *gpu, const struct backend_buffer *buffer);

/* ---- gpu_ops.c ---- */

int gpu_rope_table(struct backend *backend, const struct backend_rope_table *op, struct err *err);
int gpu_norm(struct backend *backend, const struct backend_norm *op, struct err *err);
int gpu_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err);

/* ---- gpu_attention.c ---- */

/* Of the partial sums of so many rows. */
uint64_t gpu_partial_bytes(uint32_t row_count, uint32_t head_count, uint32_t head_dim,
                           uint32_t split_count);
uint32_t gpu_split_max(uint32_t position_count, uint32_t window);
int gpu_attention(struct backend *backend, const struct backend_attention *op, struct err *err);

/* ---- gpu_quantised.c ---- */

uint64_t gpu_quantised_bytes(uint64_t row_count, uint64_t columns);
/* Where ROW_COUNT rows of COLUMNS as integers go; nothing is there any more. */
int gpu_quantised_place(struct gpu_backend *gpu, uint32_t row_count, uint32_t columns,
                        struct gpu_quantised *out, struct err *err);
/* Where a product or attention puts the rows of BUFFER as integers when it stores them; upper NULL:
 * nowhere, they are made by a launch of their own if they are wanted. */
int gpu_quantised_beside(struct gpu_backend *gpu, const struct backend_buffer *buffer,
                         struct gpu_quantised *out, struct err *err);
/* A launch has put those of BUFFER to AT; upper NULL: it has not. */
void gpu_quantised_made(struct gpu_backend *gpu, const struct backend_buffer *buffer,
                        const struct gpu_quantised *at);
/* The running step's rows of BUFFER as integers: as they are, or made now. */
int gpu_quantised_of(struct gpu_backend *gpu, const struct backend_buffer *buffer,
                     struct gpu_quantised *out, struct err *err);

/* ---- gpu_products.c ---- */

int gpu_embed(struct backend *backend, const struct backend_embed *op, struct err *err);
int gpu_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err);
int gpu_head(struct backend *backend, const struct backend_head *op, struct err *err);
/* Waves that a block can have. */
uint32_t gpu_waves_max(const struct gpu_backend *gpu);
/* ROW_COUNT rows from ROW_BEGIN on as those that decode, by blocks of WAVES waves. Of ARGS it sets
 * the rows. */
int gpu_launch_matvec(struct gpu_backend *gpu, const struct gpu_type *type,
                      struct args_product *args, uint32_t row_begin, uint32_t row_count,
                      uint32_t waves, struct err *err);
/* The same of rows of prompts, by blocks of BLOCK_ROWS rows or less. */
int gpu_launch_prompts(struct gpu_backend *gpu, const struct gpu_type *type,
                       struct args_product *args, uint32_t row_begin, uint32_t row_count,
                       uint32_t block_rows, struct err *err);
/* How many rows of activations a block of a product of prompts with COLUMNS can have, rising; the
 * count of them. All give the same bits. */
uint32_t gpu_prompt_choices(const struct gpu_backend *gpu, const struct gpu_type *type,
                            uint32_t columns, uint32_t out_rows[GPU_CHOICES_MAX]);
/* Products of prompts with COLUMNS of this type go through matrix units: both sides are in halves
 * there. */
bool gpu_has_mma(const struct gpu_type *type, uint32_t columns);

/* ---- gpu_pick.c ---- */

/* From so many tokens on it is sooner done here than on the host (hip/SPEED.md). */
enum { GPU_PICKS_FROM_TOKENS = 8192 };
/* What it takes for so many rows of logits. */
uint64_t gpu_pick_bytes(uint32_t row_count, uint32_t token_count);
/* Picks out of the logits of the running step, as backend_head says: *out [logit row][picked_count]
 * on the device. */
int gpu_pick(struct gpu_backend *gpu, const struct backend_head *op, const uint64_t **out,
             struct err *err);

/* ---- gpu_tune.c ---- */

void gpu_tune(struct backend *backend);

#endif

/* What the cpu*.c files share: the backend's own struct, and its ops by file. Nobody else includes
 * it. */
#ifndef RBEE_HIP_BACKEND_CPU_H
#define RBEE_HIP_BACKEND_CPU_H

#include "hip/backend/cpu_kernels.h"
#include "hip/backend/host.h"
#include "hip/backend/pool.h"

/* What a matmul's activations are as integers; kept from one to the next. */
struct cpu_activations {
    int16_t *values; /* [strip_capacity], each group_row_bytes of the table */
    int16_t *sums;   /* [strip_capacity][2 * CPU_STRIP_SUMS] */
    float *units;    /* [strip_capacity] */
    uint64_t strip_capacity;
};

struct cpu_backend {
    struct backend backend;
    const struct cpu_kernels *kernels;
    struct pool *pool;
    const struct backend_step *step; /* NULL between steps */
    uint32_t saved_float_mode;
    struct cpu_activations activations;
    float *scratch; /* [thread][scratch_floats] of a matmul */
    uint64_t scratch_floats;
};

/* A vector (a norm's scale, a bias) as floats. */
static inline const float *cpu_vector_floats(const struct backend_weight *weight)
{
    return weight->floats != NULL ? weight->floats : weight->matrix.data;
}

static inline struct cpu_backend *cpu_of(struct backend *backend)
{
    return (struct cpu_backend *)backend;
}

/* ---- cpu_rows.c: ops whose rows have nothing to do with each other ---- */

int cpu_embed(struct backend *backend, const struct backend_embed *op, struct err *err);
int cpu_rope_table(struct backend *backend, const struct backend_rope_table *op, struct err *err);
int cpu_norm(struct backend *backend, const struct backend_norm *op, struct err *err);
int cpu_rope_kv(struct backend *backend, const struct backend_rope_kv *op, struct err *err);

/* ---- cpu_attention.c ---- */

int cpu_attention(struct backend *backend, const struct backend_attention *op, struct err *err);

/* ---- cpu_activations.c ---- */

/* X [row_count][columns] as `few` or `many` wants it, depending on ROW_COUNT. OUT is valid until
 * the next call. ERR_NO_MEMORY. */
int cpu_activations_convert(struct cpu_backend *cpu, const float *x, uint32_t row_count,
                            uint32_t columns, struct cpu_integers *out, struct err *err);
/* Bytes that takes, at most. */
uint64_t cpu_activations_bytes(const struct cpu_backend *cpu, uint32_t row_count, uint32_t columns);
void cpu_activations_release(struct cpu_activations *own);

/* ---- cpu_matmul.c ---- */

uint64_t cpu_scratch_bytes(const struct backend *backend,
                           const struct backend_scratch_shape *shape);
int cpu_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err);
int cpu_head(struct backend *backend, const struct backend_head *op, struct err *err);

#endif

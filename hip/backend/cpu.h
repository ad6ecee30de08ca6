/* What the cpu*.c files share: the backend's own struct, and its ops by file. Nobody else includes
 * it. */
#ifndef RBEE_HIP_BACKEND_CPU_H
#define RBEE_HIP_BACKEND_CPU_H

#include "hip/backend/cpu_kernels.h"
#include "hip/backend/host.h"
#include "hip/backend/pool.h"

struct cpu_backend {
    struct backend backend;
    const struct cpu_kernels *kernels;
    struct pool *pool;
    const struct backend_step *step; /* NULL between steps */
    uint32_t saved_float_mode;
    float *panels; /* [thread][panel_floats] */
    uint64_t panel_floats;
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
int cpu_attention(struct backend *backend, const struct backend_attention *op, struct err *err);

/* ---- cpu_matmul.c ---- */

int cpu_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err);
int cpu_head(struct backend *backend, const struct backend_head *op, struct err *err);

#endif

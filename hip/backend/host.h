/* What devices that are the host share: buffers and the KV store in ordinary memory, and how much
 * of it is left. */
#ifndef RBEE_HIP_BACKEND_HOST_H
#define RBEE_HIP_BACKEND_HOST_H

#include "hip/backend/backend.h"

enum { HOST_ALIGNMENT = 64 }; /* a cache line, and the widest vector */

struct backend_buffer {
    uint32_t row_max;
    uint32_t width;
    float *data; /* [row_max][width] */
};

/* A matrix stays where it is: mostly in the map of the file. */
struct backend_weight {
    struct backend_matrix matrix;
    uint64_t row_bytes;
    float *floats; /* [columns] a vector that is not floats in the file, decoded once; owned */
};

/* Keys and values, each [layer][block][kv_head][BACKEND_KV_BLOCK_TOKENS][head_dim], so that a head
 * reads a block in one run. */
struct backend_kv {
    struct backend_kv_shape shape;
    uint32_t element_bytes;
    void *k;
    void *v;
};

/* COUNT * SIZE zeroed bytes, aligned to HOST_ALIGNMENT, NULL when they are not to be had. */
void *host_alloc(uint64_t count, uint64_t size);
/* The lesser of what the system and the limits of our control groups leave. */
uint64_t host_memory_available(struct backend *backend);
struct backend_buffer *host_buffer_new(struct backend *backend, uint32_t row_max, uint32_t width,
                                       struct err *err);
void host_buffer_free(struct backend *backend, struct backend_buffer *buffer);
int host_buffer_write(struct backend *backend, struct backend_buffer *buffer, const float *values,
                      uint32_t row_count, struct err *err);
int host_buffer_read(struct backend *backend, const struct backend_buffer *buffer, float *values,
                     uint32_t row_count, struct err *err);
struct backend_weight *host_weight_new(struct backend *backend, const struct backend_matrix *matrix,
                                       struct err *err);
void host_weight_free(struct backend *backend, struct backend_weight *weight);
uint64_t host_kv_bytes(const struct backend_kv_shape *shape, uint32_t element_bytes);
struct backend_kv *host_kv_new(const struct backend_kv_shape *shape, uint32_t element_bytes,
                               struct err *err);
void host_kv_free(struct backend *backend, struct backend_kv *kv);

static inline const void *host_weight_row(const struct backend_weight *weight, uint32_t row)
{
    return (const char *)weight->matrix.data + row * weight->row_bytes;
}

/* The KV block that holds POSITION of SEQUENCE. */
static inline uint32_t host_kv_block(const struct backend_step *step, uint32_t sequence,
                                     uint32_t position)
{
    return step->block_tables[(uint64_t)sequence * step->blocks_per_sequence +
                              position / BACKEND_KV_BLOCK_TOKENS];
}

/* Index of the first element of a block of one head. */
static inline uint64_t host_kv_index(const struct backend_kv *kv, uint32_t layer, uint32_t block,
                                     uint32_t kv_head)
{
    const struct backend_kv_shape *shape = &kv->shape;
    uint64_t head = ((uint64_t)layer * shape->block_count + block) * shape->kv_head_count + kv_head;

    return head * BACKEND_KV_BLOCK_TOKENS * shape->head_dim;
}

#endif

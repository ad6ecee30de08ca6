/* Owns the memory of a GPU backend but for weights: areas that ops share, buffers and the KV store;
 * and how much all of that is, before it is taken. */
#include "hip/backend/gpu_backend.h"

#include "common/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* One part in so many of a device is left alone: allocations are rounded up to pages of its own,
 * and its driver takes some for what runs. */
enum { RESERVED_PARTS = 64 };

/* Beyond this, rows of attention with several splits are computed in several goes. */
enum { WORK_BYTES = 32 * 1024 * 1024 };

/* Fewer dimensions than that has no head of a model. */
enum { HEAD_DIM_MIN = 8 };

/* ---- areas ---- */

static void *area_alloc(struct gpu_backend *gpu, const struct gpu_area *area, uint64_t bytes,
                        struct err *err)
{
    return area->is_pinned ? gpu_pinned_alloc(gpu->context, bytes, err)
                           : gpu_alloc(gpu->context, bytes, err);
}

void gpu_area_release(struct gpu_backend *gpu, struct gpu_area *area)
{
    gpu_free(gpu->context, area->memory);
    area->memory = NULL;
    area->bytes = 0;
}

int gpu_area_reserve(struct gpu_backend *gpu, struct gpu_area *area, uint64_t bytes,
                     struct err *err)
{
    if (bytes <= area->bytes)
        return 0;
    if (area->memory != NULL && gpu_sync(gpu->context, err) != 0) /* what is queued may use it */
        return -1;
    gpu_area_release(gpu, area);
    area->memory = area_alloc(gpu, area, bytes, err);
    if (area->memory == NULL)
        return -1;
    area->bytes = bytes;
    return 0;
}

/* ---- what ops take for themselves ---- */

uint64_t gpu_memory_available(struct backend *backend)
{
    struct err err = ERR_INIT;
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;

    /* A device that does not even say that has failed: the next call tells how. */
    if (gpu_memory(gpu_of(backend)->context, &free_bytes, &total_bytes, &err) != 0)
        return UINT64_MAX;
    return free_bytes -
           (free_bytes < total_bytes / RESERVED_PARTS ? free_bytes : total_bytes / RESERVED_PARTS);
}

/* Each area's size for steps of a shape. */
struct scratch_sizes {
#define AREA(name, is_pinned, summary) uint64_t name;
#include "hip/backend/gpu_areas.def"
#undef AREA
};

static uint64_t work_bytes(const struct backend_scratch_shape *shape)
{
    uint32_t split_max = gpu_split_max(shape->position_max, 0);
    uint64_t gate = (uint64_t)shape->row_max * shape->width_max * sizeof(float);
    uint64_t row =
        gpu_partial_bytes(1, shape->width_max / HEAD_DIM_MIN + 1, HEAD_DIM_MIN, split_max);
    uint64_t most = gate > WORK_BYTES ? gate : WORK_BYTES;

    return row > most ? row : most;
}

static struct scratch_sizes scratch_sizes_of(const struct backend_scratch_shape *shape)
{
    uint32_t table_blocks = gpu_blocks(shape->position_max, BACKEND_KV_BLOCK_TOKENS);
    struct scratch_sizes sizes = {
        .inputs = gpu_inputs_bytes(shape->logit_row_max * table_blocks),
        .work = work_bytes(shape),
        .quantised = gpu_quantised_bytes(shape->row_max, shape->width_max),
        .beside = gpu_quantised_bytes(shape->logit_row_max, shape->width_max),
        .head = (uint64_t)shape->logit_row_max * shape->width_max * sizeof(float),
        .logits = (uint64_t)shape->logit_row_max * shape->logit_width * sizeof(float),
        .picks = gpu_pick_bytes(shape->logit_row_max, shape->logit_width),
    };

    sizes.inputs_host = sizes.inputs;
    sizes.logits_host = sizes.logits; /* picks are fewer */
    return sizes;
}

uint64_t gpu_scratch_bytes(const struct backend *backend, const struct backend_scratch_shape *shape)
{
    struct scratch_sizes sizes = scratch_sizes_of(shape);
    uint64_t bytes = 0;

#define AREA(name, is_pinned, summary) bytes += is_pinned ? 0 : gpu_aligned(sizes.name);
#include "hip/backend/gpu_areas.def"
#undef AREA
    return bytes;
}

int gpu_scratch_reserve(struct backend *backend, const struct backend_scratch_shape *shape,
                        struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    struct scratch_sizes sizes = scratch_sizes_of(shape);

#define AREA(name, is_pinned, summary)                                                             \
    if (gpu_area_reserve(gpu, &gpu->name, sizes.name, err) != 0)                                   \
        return err_wrap(err, "memory of steps");
#include "hip/backend/gpu_areas.def"
#undef AREA
    return 0;
}

/* ---- buffers ---- */

static uint64_t buffer_bytes(const struct backend_buffer *buffer, uint32_t row_count)
{
    return (uint64_t)row_count * buffer->width * sizeof(float);
}

struct backend_buffer *gpu_buffer_new(struct backend *backend, uint32_t row_max, uint32_t width,
                                      struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    struct backend_buffer *buffer = xcalloc(1, sizeof(*buffer));

    buffer->row_max = row_max;
    buffer->width = width;
    buffer->data = gpu_alloc(gpu->context, buffer_bytes(buffer, row_max), err);
    if (buffer->data == NULL ||
        gpu_zero(gpu->context, buffer->data, buffer_bytes(buffer, row_max), err) != 0) {
        gpu_buffer_free(backend, buffer);
        return NULL;
    }
    return buffer;
}

void gpu_buffer_free(struct backend *backend, struct backend_buffer *buffer)
{
    struct gpu_backend *gpu = gpu_of(backend);

    if (buffer == NULL)
        return;
    gpu_touch(gpu, buffer);
    gpu_free(gpu->context, buffer->data);
    free(buffer);
}

int gpu_buffer_write(struct backend *backend, struct backend_buffer *buffer, const float *values,
                     uint32_t row_count, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);

    assert(row_count <= buffer->row_max);
    gpu_touch(gpu, buffer);
    if (gpu_upload(gpu->context, buffer->data, values, buffer_bytes(buffer, row_count), err) != 0)
        return -1;
    return gpu_sync(gpu->context, err); /* VALUES are the caller's again */
}

int gpu_buffer_read(struct backend *backend, const struct backend_buffer *buffer, float *values,
                    uint32_t row_count, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);

    assert(row_count <= buffer->row_max);
    if (gpu_download(gpu->context, values, buffer->data, buffer_bytes(buffer, row_count), err) != 0)
        return -1;
    return gpu_sync(gpu->context, err);
}

/* ---- KV store ---- */

static uint32_t padded_dim(const struct backend_kv_shape *shape)
{
    uint32_t whole = shape->kv_type == KV_TYPE_Q8_0 ? GPU_KV_GROUP_DIMS : GPU_KEY_DIMS;

    return gpu_blocks(shape->head_dim, whole) * whole;
}

/* Of a head's key, or value. */
static uint32_t head_bytes(const struct backend_kv_shape *shape)
{
    return shape->kv_type == KV_TYPE_Q8_0 ? backend_kv_q8_0_bytes(shape->head_dim)
                                          : padded_dim(shape) * (uint32_t)sizeof(uint16_t);
}

uint64_t gpu_kv_bytes(const struct backend *backend, const struct backend_kv_shape *shape)
{
    uint64_t block_bytes =
        (uint64_t)BACKEND_KV_BLOCK_TOKENS * head_bytes(shape) * shape->kv_head_count;
    uint64_t bytes = 0;

    if (__builtin_mul_overflow(block_bytes, 2 * (uint64_t)shape->layer_count, &bytes) ||
        __builtin_mul_overflow(bytes, (uint64_t)shape->block_count, &bytes))
        return UINT64_MAX;
    return bytes;
}

static void *kv_half_new(struct gpu_backend *gpu, uint64_t bytes, struct err *err)
{
    void *memory = gpu_alloc(gpu->context, bytes, err);

    if (memory != NULL && gpu_zero(gpu->context, memory, bytes, err) != 0) {
        gpu_free(gpu->context, memory);
        return NULL;
    }
    return memory;
}

struct backend_kv *gpu_kv_new(struct backend *backend, const struct backend_kv_shape *shape,
                              struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    struct backend_kv *kv = xcalloc(1, sizeof(*kv));
    uint64_t bytes = gpu_kv_bytes(backend, shape);

    kv->shape = *shape;
    kv->store = (struct gpu_kv){.block_count = shape->block_count,
                                .kv_head_count = shape->kv_head_count,
                                .head_dim = shape->head_dim,
                                .padded_dim = padded_dim(shape)};
    kv->store.keys = kv_half_new(gpu, bytes / 2, err);
    if (kv->store.keys != NULL)
        kv->store.values = kv_half_new(gpu, bytes / 2, err);
    if (kv->store.values == NULL) {
        gpu_kv_free(backend, kv);
        return err_wrap_null(err, "a KV store of %" PRIu64 " bytes", bytes);
    }
    return kv;
}

void gpu_kv_free(struct backend *backend, struct backend_kv *kv)
{
    struct gpu_backend *gpu = gpu_of(backend);

    if (kv == NULL)
        return;
    gpu_free(gpu->context, kv->store.keys);
    gpu_free(gpu->context, kv->store.values);
    free(kv);
}

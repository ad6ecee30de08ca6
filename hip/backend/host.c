/* Owns the memory of devices that are the host. Computes nothing. */
#include "hip/backend/host.h"

#include "common/host_memory.h"
#include "common/mem.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_ENOUGH_BYTES = 1024 * 1024 };

void *host_alloc(uint64_t count, uint64_t size)
{
    uint64_t bytes = 0;
    void *memory = NULL;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - HOST_ALIGNMENT)
        return NULL;
    bytes = (bytes + HOST_ALIGNMENT) & ~(uint64_t)(HOST_ALIGNMENT - 1);
    memory = aligned_alloc(HOST_ALIGNMENT, bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

uint64_t host_memory_available(struct backend *backend)
{
    struct host_memory memory;

    host_memory_read(&memory);
    return memory.available_bytes;
}

struct backend_buffer *host_buffer_new(struct backend *backend, uint32_t row_max, uint32_t width,
                                       struct err *err)
{
    struct backend_buffer *buffer = xcalloc(1, sizeof(*buffer));

    buffer->row_max = row_max;
    buffer->width = width;
    buffer->data = host_alloc((uint64_t)row_max * width, sizeof(float));
    if (buffer->data == NULL) {
        free(buffer);
        return err_set_null(err, ERR_NO_MEMORY, "no memory for a buffer of %u rows of %u", row_max,
                            width);
    }
    return buffer;
}

void host_buffer_free(struct backend *backend, struct backend_buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->data);
    free(buffer);
}

int host_buffer_write(struct backend *backend, struct backend_buffer *buffer, const float *values,
                      uint32_t row_count, struct err *err)
{
    assert(row_count <= buffer->row_max);
    memcpy(buffer->data, values, (uint64_t)row_count * buffer->width * sizeof(float));
    return 0;
}

int host_buffer_read(struct backend *backend, const struct backend_buffer *buffer, float *values,
                     uint32_t row_count, struct err *err)
{
    assert(row_count <= buffer->row_max);
    memcpy(values, buffer->data, (uint64_t)row_count * buffer->width * sizeof(float));
    return 0;
}

struct backend_weight *host_weight_new(struct backend *backend, const struct backend_matrix *matrix,
                                       struct err *err)
{
    struct backend_weight *weight = xcalloc(1, sizeof(*weight));

    weight->matrix = *matrix;
    weight->row_bytes = quant_row_bytes(matrix->type, matrix->columns);
    return weight;
}

void host_weight_free(struct backend *backend, struct backend_weight *weight)
{
    if (weight != NULL)
        free(weight->floats);
    free(weight);
}

uint64_t host_kv_bytes(const struct backend_kv_shape *shape, uint32_t element_bytes)
{
    uint64_t block_bytes =
        (uint64_t)BACKEND_KV_BLOCK_TOKENS * shape->head_dim * shape->kv_head_count * element_bytes;
    uint64_t bytes = 0;

    if (__builtin_mul_overflow(block_bytes, 2 * (uint64_t)shape->layer_count, &bytes) ||
        __builtin_mul_overflow(bytes, (uint64_t)shape->block_count, &bytes))
        return UINT64_MAX;
    return bytes;
}

/* Zero pages that take memory when they are first written: a large context costs what is used. */
static void *kv_map(uint64_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_ENOUGH_BYTES)
        (void)madvise(map, bytes, MADV_DONTDUMP); /* only keeps core files small */
    return map;
}

struct backend_kv *host_kv_new(const struct backend_kv_shape *shape, uint32_t element_bytes,
                               struct err *err)
{
    struct backend_kv *kv = xcalloc(1, sizeof(*kv));
    uint64_t bytes = host_kv_bytes(shape, element_bytes);

    kv->shape = *shape;
    kv->element_bytes = element_bytes;
    kv->k = kv_map(bytes / 2);
    kv->v = kv_map(bytes / 2);
    if (kv->k == NULL || kv->v == NULL) {
        host_kv_free(NULL, kv);
        return err_set_null(err, ERR_NO_MEMORY, "no memory for a KV store of %" PRIu64 " bytes",
                            bytes);
    }
    return kv;
}

void host_kv_free(struct backend *backend, struct backend_kv *kv)
{
    uint64_t bytes = 0;

    if (kv == NULL)
        return;
    bytes = host_kv_bytes(&kv->shape, kv->element_bytes);
    if (kv->k != NULL)
        (void)munmap(kv->k, bytes / 2); /* cannot fail on our own map */
    if (kv->v != NULL)
        (void)munmap(kv->v, bytes / 2);
    free(kv);
}

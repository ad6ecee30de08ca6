/* Owns the memory of devices that are the host. Computes nothing. */
#include "hip/backend/host.h"

#include "common/attr.h"
#include "common/mem.h"
#include "common/paths.h"
#include "hip/model/quant.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_ENOUGH_BYTES = 1024 * 1024, KIB = 1024 };

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

static bool read_number(const char *folder, const char *name, uint64_t *out)
{
    AUTO_FREE char *path = paths_join(folder, name);
    AUTO_FCLOSE FILE *file = fopen(path, "re");

    return file != NULL && fscanf(file, "%" SCNu64, out) == 1; /* not when it is "max" */
}

/* Pages of files that the kernel gives up before it refuses memory. */
static uint64_t cached_file_bytes(const char *folder)
{
    AUTO_FREE char *path = paths_join(folder, "memory.stat");
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    char line[128];
    uint64_t bytes = 0;
    uint64_t value = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "active_file %" SCNu64, &value) == 1 ||
            sscanf(line, "inactive_file %" SCNu64, &value) == 1)
            bytes += value;
    }
    return bytes;
}

uint64_t host_cgroup_available(const char *root, const char *group)
{
    AUTO_FREE char *folder = paths_join(root, group);
    uint64_t least = UINT64_MAX;

    /* A limit of any group above holds as well. */
    while (strlen(folder) >= strlen(root)) {
        char *slash = strrchr(folder, '/');
        uint64_t max = 0;
        uint64_t used = 0;

        if (read_number(folder, "memory.max", &max) &&
            read_number(folder, "memory.current", &used)) {
            uint64_t cached = cached_file_bytes(folder);
            uint64_t held = used > cached ? used - cached : 0;
            uint64_t left = max > held ? max - held : 0;

            least = left < least ? left : least;
        }
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return least;
}

/* What the limits of our control groups leave; UINT64_MAX without any. cgroups(7) */
static uint64_t own_cgroup_available(void)
{
    AUTO_FCLOSE FILE *file = fopen("/proc/self/cgroup", "re");
    char line[4096];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        return host_cgroup_available("/sys/fs/cgroup", line + 4);
    }
    return UINT64_MAX;
}

static uint64_t system_available(void)
{
    AUTO_FCLOSE FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kib = 0;

    if (file == NULL)
        return UINT64_MAX; /* unknown: the allocation itself will tell */
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
            return kib * KIB;
    }
    return UINT64_MAX;
}

uint64_t host_memory_available(struct backend *backend)
{
    uint64_t of_system = system_available();
    uint64_t of_groups = own_cgroup_available();

    return of_system < of_groups ? of_system : of_groups;
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

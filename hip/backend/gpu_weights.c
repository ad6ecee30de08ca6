/* Owns the way of a weight to the device: its rows as the file has them, piece by piece through
 * pinned memory, and a kernel that brings them to the planes of hip/kernels/layout.h. */
#include "hip/backend/gpu_backend.h"

#include "common/attr.h"
#include "common/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    STAGING_BYTES = 16 * 1024 * 1024, /* of a piece, if a tile of rows is not more */
    KERNEL_NAME_BYTES = 32,
};

/* ---- types ---- */

static const char *const TYPE_NAMES[] = {
#define WEIGHT_TYPE(name, ...) [GPU_WEIGHT_##name] = #name,
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
};

enum gpu_weight_type gpu_weight_type_of(uint32_t quant_type)
{
    switch (quant_type) {
#define WEIGHT_TYPE(name, ...)                                                                     \
    case QUANT_##name:                                                                             \
        return GPU_WEIGHT_##name;
#include "hip/kernels/weight_types.def"
#undef WEIGHT_TYPE
    default:
        abort(); /* every type with a reader has kernels: test_gpu_weights.c */
    }
}

bool gpu_is_float_weight(const struct backend_weight *weight)
{
    struct gpu_format format = gpu_format_of(gpu_weight_type_of(weight->matrix.type));

    return gpu_format_is_float(&format);
}

const struct gpu_type *gpu_type_of(const struct gpu_backend *gpu,
                                   const struct backend_weight *weight)
{
    return &gpu->types[gpu_weight_type_of(weight->matrix.type)];
}

static void kernel_name(const char *prefix, enum gpu_weight_type type, const char *suffix,
                        char out[KERNEL_NAME_BYTES])
{
    (void)snprintf(out, KERNEL_NAME_BYTES, "%s_%s%s", prefix, TYPE_NAMES[type], suffix); /* ours */
}

const char *gpu_weight_type_name(enum gpu_weight_type type)
{
    return TYPE_NAMES[type];
}

/* The kernel PREFIX_TYPESUFFIX. */
static int find_kernel(struct gpu_backend *gpu, const char *prefix, enum gpu_weight_type type,
                       const char *suffix, const struct gpu_kernel **out, struct err *err)
{
    char name[KERNEL_NAME_BYTES];

    kernel_name(prefix, type, suffix, name);
    *out = gpu_find_kernel(gpu->context, name, err);
    return *out == NULL ? -1 : 0;
}

static int find_type(struct gpu_backend *gpu, enum gpu_weight_type id, struct err *err)
{
    static const char *const SUFFIXES[GPU_MATVEC_COUNT] = {"_r1", "_r2", "_r4", "_r8"};
    static const char *const MMA_SUFFIXES[GPU_MMA_COUNT] = {"_x64", "_x128"};
    struct gpu_type *type = &gpu->types[id];

    if (type->is_found)
        return 0;
    if (find_kernel(gpu, "repack", id, "", &type->repack, err) != 0 ||
        find_kernel(gpu, "embed", id, "", &type->embed, err) != 0 ||
        find_kernel(gpu, "matmul", id, "", &type->matmul, err) != 0)
        return -1;
    for (int i = 0; i < GPU_MATVEC_COUNT; i++) {
        if (find_kernel(gpu, "matvec", id, SUFFIXES[i], &type->matvec[i], err) != 0)
            return -1;
    }
    for (int i = 0; i < GPU_MMA_COUNT; i++) {
        char mma[KERNEL_NAME_BYTES];

        kernel_name("mma", id, MMA_SUFFIXES[i], mma);
        type->mma[i] = gpu_find_optional_kernel(gpu->context, mma);
    }
    type->id = id;
    type->is_found = true;
    return 0;
}

/* ---- rows on their way ---- */

/* A buffer that no copy reads any more, of BYTES. */
static struct gpu_staging *next_staging(struct gpu_backend *gpu, uint64_t bytes, struct err *err)
{
    struct gpu_staging *staging = &gpu->staging[gpu->next_staging];

    gpu->next_staging = (gpu->next_staging + 1) % GPU_STAGING_COUNT;
    if (staging->event == NULL)
        staging->event = gpu_event_new(gpu->context, err);
    else if (gpu_event_wait(gpu->context, staging->event, err) != 0)
        return NULL;
    if (staging->event == NULL || gpu_area_reserve(gpu, &staging->area, bytes, err) != 0)
        return NULL;
    return staging;
}

void gpu_staging_release(struct gpu_backend *gpu)
{
    for (uint32_t i = 0; i < GPU_STAGING_COUNT; i++) {
        struct gpu_staging *staging = &gpu->staging[i];
        struct err ignored = ERR_INIT;

        if (staging->event == NULL)
            continue;
        (void)gpu_event_wait(gpu->context, staging->event, &ignored); /* a failure comes again */
        gpu_event_free(gpu->context, staging->event);
        staging->event = NULL;
        gpu_area_release(gpu, &staging->area);
    }
}

/* Rows from ROW_BEGIN on, to the device and into their planes. The raw rows lie in the work area,
 * which the kernel has read before the next copy to it begins: all is in order on one stream. */
static int send_rows(struct gpu_backend *gpu, const struct backend_weight *weight,
                     uint32_t row_begin, uint32_t row_count, struct err *err)
{
    const struct backend_matrix *matrix = &weight->matrix;
    uint64_t row_bytes = quant_row_bytes(matrix->type, matrix->columns);
    struct gpu_staging *staging = next_staging(gpu, row_bytes * row_count, err);
    enum gpu_weight_type type = gpu_weight_type_of(matrix->type);
    struct gpu_format format = gpu_format_of(type);
    struct args_repack args = {
        .to = weight->planes,
        .row_begin = row_begin,
        .row_count = row_count,
        .raw_row_bytes = (uint32_t)row_bytes,
    };
    const uint32_t blocks[3] = {
        gpu_blocks(gpu_chunks(&format, matrix->columns), GPU_EMBED_THREADS / GPU_TILE_ROWS),
        gpu_tiles(row_count), 1};

    if (staging == NULL || gpu_area_reserve(gpu, &gpu->work, row_bytes * row_count, err) != 0)
        return -1;
    memcpy(staging->area.memory, (const char *)matrix->data + row_bytes * row_begin,
           row_bytes * row_count);
    args.raw = gpu->work.memory;
    if (gpu_upload(gpu->context, gpu->work.memory, staging->area.memory, row_bytes * row_count,
                   err) != 0 ||
        gpu_event_record(gpu->context, staging->event, err) != 0)
        return -1;
    return gpu_launch(gpu->context, gpu->types[type].repack, blocks, GPU_EMBED_THREADS, &args, err);
}

/* ---- weights ---- */

static uint64_t planes_bytes(const struct backend_matrix *matrix)
{
    return gpu_weight_bytes(gpu_weight_type_of(matrix->type), matrix->rows, matrix->columns);
}

static int make_planes(struct gpu_backend *gpu, struct backend_weight *weight, struct err *err)
{
    const struct backend_matrix *matrix = &weight->matrix;
    uint64_t tile_bytes = quant_row_bytes(matrix->type, matrix->columns) * GPU_TILE_ROWS;
    uint64_t tiles = STAGING_BYTES > tile_bytes ? STAGING_BYTES / tile_bytes : 1;
    uint64_t piece = tiles * GPU_TILE_ROWS;
    enum gpu_weight_type type = gpu_weight_type_of(matrix->type);

    if (find_type(gpu, type, err) != 0)
        return -1;
    weight->memory = gpu_alloc(gpu->context, planes_bytes(matrix), err);
    if (weight->memory == NULL)
        return -1;
    weight->planes = gpu_planes_at(type, weight->memory, matrix->rows, matrix->columns);
    for (uint32_t row = 0; row < matrix->rows;) {
        uint32_t left = matrix->rows - row;
        uint32_t count = left < piece ? left : (uint32_t)piece;

        if (send_rows(gpu, weight, row, count, err) != 0)
            return -1;
        row += count;
    }
    gpu->has_quantised_weights = gpu->has_quantised_weights || !gpu_is_float_weight(weight);
    if (gpu->types[type].largest == NULL ||
        planes_bytes(&gpu->types[type].largest->matrix) < planes_bytes(matrix))
        gpu->types[type].largest = weight;
    return 0;
}

static int make_floats(struct gpu_backend *gpu, struct backend_weight *weight, struct err *err)
{
    uint32_t columns = weight->matrix.columns;
    uint64_t bytes = columns * sizeof(float);
    AUTO_FREE float *values = xmalloc(bytes);

    weight->floats = gpu_alloc(gpu->context, bytes, err);
    if (weight->floats == NULL)
        return -1;
    quant_decode(weight->matrix.type, weight->matrix.data, values, columns);
    if (gpu_upload(gpu->context, weight->floats, values, bytes, err) != 0)
        return -1;
    return gpu_sync(gpu->context, err); /* VALUES go */
}

uint64_t gpu_matrix_bytes(const struct backend *backend, const struct backend_matrix *matrix)
{
    return matrix->rows == 1 ? gpu_aligned(matrix->columns * sizeof(float))
                             : gpu_aligned(planes_bytes(matrix));
}

struct backend_weight *gpu_weight_new(struct backend *backend, const struct backend_matrix *matrix,
                                      struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    struct backend_weight *weight = xcalloc(1, sizeof(*weight));
    int result = 0;

    weight->matrix = *matrix;
    result = matrix->rows == 1 ? make_floats(gpu, weight, err) : make_planes(gpu, weight, err);
    if (result != 0) {
        gpu_weight_free(backend, weight);
        return NULL;
    }
    return weight;
}

void gpu_weight_free(struct backend *backend, struct backend_weight *weight)
{
    struct gpu_backend *gpu = gpu_of(backend);

    if (weight == NULL)
        return;
    if (weight->memory != NULL) {
        struct gpu_type *type = &gpu->types[gpu_weight_type_of(weight->matrix.type)];

        if (type->largest == weight)
            type->largest = NULL;
        gpu_free(gpu->context, weight->memory);
    }
    gpu_free(gpu->context, weight->floats);
    free(weight);
}

int gpu_weight_planes(struct gpu_backend *gpu, const struct backend_weight *weight,
                      struct gpu_planes *out, struct err *err)
{
    /* Only here does a weight change that a step reads: it is this file's. */
    struct backend_weight *own = (struct backend_weight *)(uintptr_t)weight;

    if (weight->memory == NULL && make_planes(gpu, own, err) != 0) {
        gpu_free(gpu->context, own->memory);
        own->memory = NULL; /* half of them are none */
        return -1;
    }
    *out = weight->planes;
    return 0;
}

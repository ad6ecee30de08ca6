/* Owns the making and freeing of a GPU backend: which device, and its kernels by name. */
#include "hip/backend/gpu.h"

#include "common/attr.h"
#include "common/mem.h"
#include "common/paths.h"
#include "hip/backend/gpu_backend.h"

#include <stdlib.h>

static void gpu_backend_free(struct backend *backend)
{
    struct gpu_backend *gpu = gpu_of(backend);

    if (gpu->context != NULL) {
        gpu_staging_release(gpu);
#define AREA(name, is_pinned, summary) gpu_area_release(gpu, &gpu->name);
#include "hip/backend/gpu_areas.def"
#undef AREA
        gpu_close(gpu->context);
    }
    if (gpu->library != NULL)
        gpu_library_close(gpu->library);
    free(gpu->tune_folder);
    free(gpu);
}

static const struct backend_ops GPU_OPS = {
    .has_own_memory = true,
    .has_kv_q8_0 = true,
    .picks_from_tokens = GPU_PICKS_FROM_TOKENS,
    .free = gpu_backend_free,
    .measure_memory = gpu_measure_memory,
    .launch_count = gpu_backend_launch_count,
    .memory_available = gpu_memory_available,
    .scratch_bytes = gpu_scratch_bytes,
    .scratch_reserve = gpu_scratch_reserve,
    .weight_bytes = gpu_matrix_bytes,
    .weight_new = gpu_weight_new,
    .weight_free = gpu_weight_free,
    .tune = gpu_tune,
    .buffer_new = gpu_buffer_new,
    .buffer_free = gpu_buffer_free,
    .buffer_write = gpu_buffer_write,
    .buffer_read = gpu_buffer_read,
    .kv_bytes = gpu_kv_bytes,
    .kv_new = gpu_kv_new,
    .kv_free = gpu_kv_free,
    .step_begin = gpu_step_begin,
    .embed = gpu_embed,
    .rope_table = gpu_rope_table,
    .norm = gpu_norm,
    .matmul = gpu_matmul,
    .rope_kv = gpu_rope_kv,
    .attention = gpu_attention,
    .head = gpu_head,
    .step_end = gpu_step_end,
};

/* Those for matrix units. */
static void find_mma_kernels(struct gpu_backend *gpu)
{
    const struct {
        const char *name;
        const struct gpu_kernel **out;
    } kernels[] = {
        {"prompt_attention_64", &gpu->kernels.kv[KV_TYPE_F16].prompt_attention_64},
        {"prompt_attention_128", &gpu->kernels.kv[KV_TYPE_F16].prompt_attention_128},
        {"prompt_attention_64_q8", &gpu->kernels.kv[KV_TYPE_Q8_0].prompt_attention_64},
        {"prompt_attention_128_q8", &gpu->kernels.kv[KV_TYPE_Q8_0].prompt_attention_128},
    };

    for (size_t i = 0; i < ARRAY_COUNT(kernels); i++)
        *kernels[i].out = gpu_find_optional_kernel(gpu->context, kernels[i].name);
}

static int find_kernels(struct gpu_backend *gpu, struct err *err)
{
    const struct {
        const char *name;
        const struct gpu_kernel **out;
    } kernels[] = {
        {"rope_table", &gpu->kernels.rope_table},
        {"norm", &gpu->kernels.norm},
        {"quantise", &gpu->kernels.quantise},
        {"gate", &gpu->kernels.gate},
        {"attention_combine", &gpu->kernels.attention_combine},
        {"rope_kv", &gpu->kernels.kv[KV_TYPE_F16].rope_kv},
        {"rope_kv_q8", &gpu->kernels.kv[KV_TYPE_Q8_0].rope_kv},
        {"attention", &gpu->kernels.kv[KV_TYPE_F16].attention},
        {"attention_q8", &gpu->kernels.kv[KV_TYPE_Q8_0].attention},
        {"top_slices", &gpu->kernels.top_slices},
        {"top_merge", &gpu->kernels.top_merge},
    };

    for (size_t i = 0; i < ARRAY_COUNT(kernels); i++) {
        *kernels[i].out = gpu_find_kernel(gpu->context, kernels[i].name, err);
        if (*kernels[i].out == NULL)
            return -1;
    }
    find_mma_kernels(gpu);
    return 0;
}

static void release_backend(struct gpu_backend **gpu)
{
    if (*gpu != NULL)
        gpu_backend_free(&(*gpu)->backend);
}

/* Of LIBRARY, which it takes over; NULL: err says why there is none. TAKEN is the context of a
 * device that may not be it; NULL: none. */
static struct backend *gpu_backend_open(struct gpu_library *library, const char *name,
                                        bool keeps_measures, const struct gpu_context *taken,
                                        struct err *err)
{
    __attribute__((cleanup(release_backend))) struct gpu_backend *gpu = xcalloc(1, sizeof(*gpu));
    uint32_t index = 0;

    gpu->backend.ops = &GPU_OPS;
    gpu->tune_folder = keeps_measures ? paths_cache_dir() : NULL;
#define AREA(area, pinned, summary) gpu->area.is_pinned = pinned;
#include "hip/backend/gpu_areas.def"
#undef AREA
    for (uint32_t i = 0; i < GPU_STAGING_COUNT; i++)
        gpu->staging[i].area.is_pinned = true;
    gpu->library = library;
    if (gpu->library == NULL || gpu_device_find(gpu->library, name, &index, err) != 0 ||
        gpu_device(gpu->library, index)->reason[0] != '\0') {
        if (!err_is_set(err))
            (void)err_set(err, ERR_DEVICE, "%s", gpu_device(gpu->library, index)->reason);
        err->kind = ERR_CONFIG; /* nothing has broken: what was asked for is not there */
        return NULL;
    }
    if (taken != NULL && gpu_context_info(taken) == gpu_device(gpu->library, index))
        return err_set_null(err, ERR_USAGE, "it is the same GPU, at %s",
                            gpu_device(gpu->library, index)->pci);
    gpu->context = gpu_open(gpu->library, index, err);
    if (gpu->context == NULL || find_kernels(gpu, err) != 0)
        return NULL;
    return &take_ptr(gpu)->backend;
}

struct backend *gpu_backend_new(const char *library_path, const char *name, struct err *err)
{
    struct gpu_library *library =
        library_path != NULL ? gpu_library_open_file(library_path, err) : gpu_library_open(err);

    return gpu_backend_open(library, name, library_path == NULL, NULL, err);
}

struct backend *gpu_backend_new_beside(struct backend *other, const char *name, struct err *err)
{
    const struct gpu_backend *gpu = gpu_of(other);

    return gpu_backend_open(gpu_library_share(gpu->library), name, gpu->tune_folder != NULL,
                            gpu->context, err);
}

bool gpu_is_backend(const struct backend *backend)
{
    return backend->ops == &GPU_OPS;
}

struct gpu_context *gpu_backend_context(struct backend *backend)
{
    return gpu_of(backend)->context;
}

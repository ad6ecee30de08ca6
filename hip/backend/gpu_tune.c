/* Owns how many waves share a row of weights in matvec: measured on the device with the model's own
 * weights, once for each type, and kept in a file, so that a text stays the same from one start to
 * the next. Whatever goes wrong here costs speed and nothing else. */
#include "hip/backend/gpu_backend.h"

#include "common/attr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TUNE_MAX_MS = 1000, /* of all types together: a start shall not wait for it */
    TUNE_LAUNCHES = 5,  /* of which the fastest counts: others may use the device, too */
    TUNE_FILE_MAX_BYTES = 16 * 1024,
    TUNE_FILE_MODE = 0644,
    TUNE_FOLDER_MODE = 0755,
};

/* ---- the file ---- */

/* Kernels of another version, or another device, have figures of their own. */
static char *tune_path(const struct gpu_backend *gpu)
{
    const struct gpu_info *info = gpu_context_info(gpu->context);
    AUTO_FREE char *name =
        xasprintf("gpu-%s-%s-%s.json", info->pci, info->architecture, RBEE_VERSION);

    return paths_join(gpu->tune_folder, name);
}

/* {"waves":{"Q4_0":4,…}}, for types of which nothing is known yet: what is not there, or is no
 * number of waves, is measured. */
static void tune_read(struct gpu_backend *gpu)
{
    AUTO_FREE char *path = tune_path(gpu);
    AUTO_BUF struct buf text = BUF_INIT(TUNE_FILE_MAX_BYTES);
    AUTO_JSON json_t *file = NULL;
    struct err ignored = ERR_INIT;
    const json_t *waves = NULL;

    if (io_read_file(path, &text, &ignored) < 0)
        return;
    file = json_parse(text.data, text.len, TUNE_FILE_MAX_BYTES, &ignored);
    waves = json_object_get(file, "waves");
    for (int i = 0; i < GPU_WEIGHT_TYPE_COUNT; i++) {
        int64_t count = 0;

        err_clear(&ignored);
        if (json_is_object(waves) && gpu->types[i].waves == 0 &&
            json_read_integer(waves, gpu_weight_type_name((enum gpu_weight_type)i), 1,
                              gpu_waves_max(gpu), &count, &ignored) == 0)
            gpu->types[i].waves = (uint32_t)count;
    }
}

static void tune_write(const struct gpu_backend *gpu)
{
    AUTO_FREE char *path = tune_path(gpu);
    AUTO_JSON json_t *waves = json_object();
    AUTO_JSON json_t *file = NULL;
    AUTO_FREE char *text = NULL;
    struct err err = ERR_INIT;
    AUTO_IO_ATOMIC struct io_atomic to = IO_ATOMIC_INIT;

    for (int i = 0; i < GPU_WEIGHT_TYPE_COUNT; i++) {
        if (gpu->types[i].waves != 0)
            (void)json_object_set_new(waves, gpu_weight_type_name((enum gpu_weight_type)i),
                                      json_integer(gpu->types[i].waves));
    }
    file = json_pack("{s:O}", "waves", waves);
    text = json_to_text(file);
    if (io_make_folders(gpu->tune_folder, TUNE_FOLDER_MODE, &err) < 0 ||
        io_atomic_begin(&to, path, TUNE_FILE_MODE, &err) < 0 ||
        io_write_all(to.fd, text, strlen(text), &err) < 0 || io_atomic_commit(&to, &err) < 0)
        log_event(LOG_DEBUG, "tuning_not_kept", "reason=%s", err.message);
}

/* ---- measuring ---- */

/* One row of activations, whatever its numbers are, and where the product goes: in the areas of
 * steps, which are as large as the model needs. */
static int tune_args(struct gpu_backend *gpu, const struct backend_weight *weight,
                     struct args_product *out, struct err *err)
{
    uint32_t columns = weight->matrix.columns;
    uint64_t x_bytes = gpu_aligned((uint64_t)columns * sizeof(float));
    uint64_t bytes = x_bytes + (uint64_t)weight->matrix.rows * sizeof(float);

    if (gpu_area_reserve(gpu, &gpu->work, bytes, err) != 0 ||
        gpu_zero(gpu->context, gpu->work.memory, x_bytes, err) != 0)
        return -1;
    *out = (struct args_product){.epilogue = BACKEND_STORE, .weight_count = 1};
    out->x = gpu->work.memory;
    out->outs[0] = (float *)((char *)gpu->work.memory + x_bytes);
    out->weights[0] = weight->planes;
    if (gpu_is_float_weight(weight))
        return 0;
    return gpu_quantised_place(gpu, 1, columns, &out->quantised, err);
}

/* Of the fastest of some launches, behind one that warms up. */
static int tune_time_us(struct gpu_backend *gpu, const struct gpu_type *type,
                        struct args_product *args, uint32_t waves, double *out_us, struct err *err)
{
    *out_us = INFINITY;
    for (int i = 0; i <= TUNE_LAUNCHES; i++) {
        double us = 0.0;

        if (gpu_event_record(gpu->context, gpu->tune_events[0], err) != 0 ||
            gpu_launch_matvec(gpu, type, args, 0, 1, waves, err) != 0 ||
            gpu_event_record(gpu->context, gpu->tune_events[1], err) != 0 ||
            gpu_sync(gpu->context, err) != 0 ||
            gpu_event_elapsed_us(gpu->context, gpu->tune_events[0], gpu->tune_events[1], &us,
                                 err) != 0)
            return -1;
        if (i > 0 && us < *out_us)
            *out_us = us;
    }
    return 0;
}

static int tune_type(struct gpu_backend *gpu, struct gpu_type *type, struct err *err)
{
    uint32_t most = gpu_waves_max(gpu);
    double best_us = INFINITY;
    struct args_product args;

    if (tune_args(gpu, type->largest, &args, err) != 0)
        return -1;
    for (uint32_t waves = 1; waves <= most; waves *= 2) {
        double us = 0.0;

        if (tune_time_us(gpu, type, &args, waves, &us, err) != 0)
            return -1;
        if (us < best_us) {
            best_us = us;
            type->waves = waves;
        }
    }
    log_event(LOG_DEBUG, "tuned", "type=%s waves=%u us=%d", gpu_weight_type_name(type->id),
              type->waves, (int)best_us);
    return 0;
}

/* Those of the model that no file told; how many, or -1. */
static int tune_measure(struct gpu_backend *gpu, struct err *err)
{
    uint64_t end_ms = clock_monotonic_ms() + TUNE_MAX_MS;
    int count = 0;

    for (int i = 0; i < 2; i++) {
        gpu->tune_events[i] = gpu_event_new(gpu->context, err);
        if (gpu->tune_events[i] == NULL)
            return -1;
    }
    for (int i = 0; i < GPU_WEIGHT_TYPE_COUNT; i++) {
        struct gpu_type *type = &gpu->types[i];

        if (type->largest == NULL || type->waves != 0)
            continue;
        count++;
        if (clock_monotonic_ms() >= end_ms)
            type->waves = gpu_waves_max(gpu); /* and so it stays */
        else if (tune_type(gpu, type, err) != 0)
            return -1;
    }
    return count;
}

void gpu_tune(struct backend *backend)
{
    struct gpu_backend *gpu = gpu_of(backend);
    struct err err = ERR_INIT;
    int count = 0;

    assert(gpu->step == NULL);
    if (gpu->tune_folder == NULL)
        return;
    tune_read(gpu);
    count = tune_measure(gpu, &err);
    for (int i = 0; i < 2; i++) {
        if (gpu->tune_events[i] != NULL)
            gpu_event_free(gpu->context, gpu->tune_events[i]);
        gpu->tune_events[i] = NULL;
    }
    if (count > 0) {
        tune_read(gpu); /* what somebody else has measured meanwhile is kept */
        tune_write(gpu);
    } else if (count < 0) { /* and the first step will say so */
        log_event(LOG_DEBUG, "tuning_failed", "reason=%s", err.message);
    }
}

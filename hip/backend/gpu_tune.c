/* Owns the shapes of products' blocks (enum gpu_tuned): measured on the device with the model's own
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
#include "hip/model/model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TUNE_MAX_MS = 1500, /* of all together: a start shall not wait for it */
    TUNE_FILE_MAX_BYTES = 16 * 1024,
    TUNE_FILE_MODE = 0644,
    TUNE_FOLDER_MODE = 0755,
};

/* How a figure of enum gpu_tuned is found. */
struct tuning {
    const char *name;   /* in the file, and in the log */
    uint32_t row_count; /* of activations, or as many as there is room for */
    uint32_t launches;  /* of which the fastest counts: others may use the device, too */
    uint32_t (*choices)(const struct gpu_backend *gpu, const struct gpu_type *type,
                        uint32_t columns, uint32_t out[GPU_CHOICES_MAX]);
    int (*launch)(struct gpu_backend *gpu, const struct gpu_type *type, struct args_product *args,
                  uint32_t row_begin, uint32_t row_count, uint32_t choice, struct err *err);
};

static uint32_t waves_choices(const struct gpu_backend *gpu, const struct gpu_type *type,
                              uint32_t columns, uint32_t out[GPU_CHOICES_MAX])
{
    uint32_t count = 0;

    for (uint32_t waves = 1; waves <= gpu_waves_max(gpu); waves *= 2)
        out[count++] = waves;
    return count;
}

static const struct tuning TUNINGS[GPU_TUNED_COUNT] = {
    [GPU_TUNED_WAVES] = {"waves", 1, 5, waves_choices, gpu_launch_matvec},
    [GPU_TUNED_PROMPT_ROWS] = {"prompt_rows", SESSION_BATCH_MAX_ROWS, 2, gpu_prompt_choices,
                               gpu_launch_prompts},
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

/* No block has more, whatever stands in a file. */
static int64_t tuned_max(const struct gpu_backend *gpu, enum gpu_tuned tuned)
{
    return tuned == GPU_TUNED_WAVES ? gpu_waves_max(gpu) : GPU_MMA_X_ROWS_MAX;
}

/* {"waves":{"Q4_0":4,…},"prompt_rows":{"Q4_0":128,…}}, for types of which nothing is known yet:
 * what is not there, or is more than a block can have, is measured. */
static void tune_read(struct gpu_backend *gpu)
{
    AUTO_FREE char *path = tune_path(gpu);
    AUTO_BUF struct buf text = BUF_INIT(TUNE_FILE_MAX_BYTES);
    AUTO_JSON json_t *file = NULL;
    struct err ignored = ERR_INIT;

    if (io_read_file(path, &text, &ignored) < 0)
        return;
    file = json_parse(text.data, text.len, TUNE_FILE_MAX_BYTES, &ignored);
    for (int i = 0; i < GPU_WEIGHT_TYPE_COUNT * GPU_TUNED_COUNT; i++) {
        enum gpu_tuned tuned = (enum gpu_tuned)(i % GPU_TUNED_COUNT);
        struct gpu_type *type = &gpu->types[i / GPU_TUNED_COUNT];
        const char *name = gpu_weight_type_name((enum gpu_weight_type)(i / GPU_TUNED_COUNT));
        const json_t *figures = json_object_get(file, TUNINGS[tuned].name);
        int64_t figure = 0;

        err_clear(&ignored);
        if (json_is_object(figures) && type->tuned[tuned] == 0 &&
            json_read_integer(figures, name, 1, tuned_max(gpu, tuned), &figure, &ignored) == 0)
            type->tuned[tuned] = (uint32_t)figure;
    }
}

/* What is known, of all types. */
static json_t *tune_to_json(const struct gpu_backend *gpu)
{
    json_t *file = json_object();

    for (int tuned = 0; tuned < GPU_TUNED_COUNT; tuned++) {
        json_t *figures = json_object();

        for (int i = 0; i < GPU_WEIGHT_TYPE_COUNT; i++) {
            if (gpu->types[i].tuned[tuned] != 0)
                (void)json_object_set_new(figures, gpu_weight_type_name((enum gpu_weight_type)i),
                                          json_integer(gpu->types[i].tuned[tuned]));
        }
        (void)json_object_set_new(file, TUNINGS[tuned].name, figures);
    }
    return file;
}

static void tune_write(const struct gpu_backend *gpu)
{
    AUTO_FREE char *path = tune_path(gpu);
    AUTO_JSON json_t *file = tune_to_json(gpu);
    AUTO_FREE char *text = json_to_text(file);
    struct err err = ERR_INIT;
    AUTO_IO_ATOMIC struct io_atomic to = IO_ATOMIC_INIT;

    if (io_make_folders(gpu->tune_folder, TUNE_FOLDER_MODE, &err) < 0 ||
        io_atomic_begin(&to, path, TUNE_FILE_MODE, &err) < 0 ||
        io_write_all(to.fd, text, strlen(text), &err) < 0 || io_atomic_commit(&to, &err) < 0)
        log_event(LOG_DEBUG, "tuning_not_kept", "reason=%s", err.message);
}

/* ---- measuring ---- */

/* A product to measure, in areas of steps, which are as large as the model needs: whatever numbers
 * lie there, and as many rows of both sides as there is room for. */
struct trial {
    struct args_product args;
    uint32_t row_count;
};

static int trial_new(struct gpu_backend *gpu, const struct backend_weight *weight,
                     uint32_t row_count, struct trial *out, struct err *err)
{
    uint32_t columns = weight->matrix.columns;
    uint64_t x_bytes = 0;
    uint64_t width = 0;

    while (row_count > 1 && (gpu_quantised_bytes(row_count, columns) > gpu->quantised.bytes ||
                             (uint64_t)2 * row_count * columns * sizeof(float) > gpu->work.bytes))
        row_count /= 2;
    x_bytes = gpu_aligned((uint64_t)row_count * columns * sizeof(float));
    width =
        gpu->work.bytes > x_bytes ? (gpu->work.bytes - x_bytes) / (row_count * sizeof(float)) : 0;
    width = width / GPU_TILE_ROWS * GPU_TILE_ROWS;
    if (width == 0 || width > weight->matrix.rows)
        width = weight->matrix.rows;
    *out = (struct trial){.row_count = row_count,
                          .args = {.epilogue = BACKEND_STORE, .weight_count = 1}};
    if (gpu_area_reserve(gpu, &gpu->work, x_bytes + row_count * width * sizeof(float), err) != 0 ||
        gpu_zero(gpu->context, gpu->work.memory, x_bytes, err) != 0)
        return -1;
    out->args.x = gpu->work.memory;
    out->args.outs[0] = (float *)((char *)gpu->work.memory + x_bytes);
    out->args.weights[0] = weight->planes;
    out->args.weights[0].rows = (uint32_t)width;
    if (columns % GPU_GROUP_COLUMNS != 0)
        return 0; /* of floats */
    return gpu_quantised_place(gpu, row_count, columns, &out->args.quantised, err);
}

/* Of the fastest of some launches, behind one that warms up; fewer, when time is up. */
static int trial_time_us(struct gpu_backend *gpu, const struct gpu_type *type,
                         const struct tuning *tuning, struct trial *trial, uint32_t choice,
                         uint64_t end_ms, double *out_us, struct err *err)
{
    *out_us = INFINITY;
    for (uint32_t i = 0; i <= tuning->launches && clock_monotonic_ms() < end_ms; i++) {
        double us = 0.0;

        if (gpu_event_record(gpu->context, gpu->tune_events[0], err) != 0 ||
            tuning->launch(gpu, type, &trial->args, 0, trial->row_count, choice, err) != 0 ||
            gpu_event_record(gpu->context, gpu->tune_events[1], err) != 0 ||
            gpu_event_elapsed_us(gpu->context, gpu->tune_events[0], gpu->tune_events[1], &us,
                                 err) != 0)
            return -1;
        if (i > 0 && us < *out_us)
            *out_us = us;
    }
    return 0;
}

/* The last choice, if there is no time for any: a block as large as it can be. */
static int tune_one(struct gpu_backend *gpu, struct gpu_type *type, enum gpu_tuned tuned,
                    uint64_t end_ms, struct err *err)
{
    const struct tuning *tuning = &TUNINGS[tuned];
    uint32_t choices[GPU_CHOICES_MAX];
    uint32_t count = tuning->choices(gpu, type, type->largest->matrix.columns, choices);
    double best_us = INFINITY;
    struct trial trial;

    if (trial_new(gpu, type->largest, tuning->row_count, &trial, err) != 0)
        return -1;
    type->tuned[tuned] = choices[count - 1];
    for (uint32_t i = 0; i < count; i++) {
        double us = 0.0;

        if (trial_time_us(gpu, type, tuning, &trial, choices[i], end_ms, &us, err) != 0)
            return -1;
        if (us < best_us) {
            best_us = us;
            type->tuned[tuned] = choices[i];
        }
    }
    log_event(LOG_DEBUG, "tuned", "type=%s figure=%s value=%u us=%d rows=%u",
              gpu_weight_type_name(type->id), tuning->name, type->tuned[tuned],
              isfinite(best_us) ? (int)best_us : -1, trial.row_count);
    return 0;
}

/* Those of the model that no file told; how many, or -1. What rows that decode need comes first. */
static int tune_measure(struct gpu_backend *gpu, struct err *err)
{
    uint64_t end_ms = clock_monotonic_ms() + TUNE_MAX_MS;
    int count = 0;

    for (int i = 0; i < 2; i++) {
        gpu->tune_events[i] = gpu_event_new(gpu->context, err);
        if (gpu->tune_events[i] == NULL)
            return -1;
    }
    for (int i = 0; i < GPU_TUNED_COUNT * GPU_WEIGHT_TYPE_COUNT; i++) {
        struct gpu_type *type = &gpu->types[i % GPU_WEIGHT_TYPE_COUNT];
        enum gpu_tuned tuned = (enum gpu_tuned)(i / GPU_WEIGHT_TYPE_COUNT);

        if (type->largest == NULL || type->tuned[tuned] != 0)
            continue;
        count++;
        if (tune_one(gpu, type, tuned, end_ms, err) != 0)
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

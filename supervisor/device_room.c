/* Owns what a device has room for, as it is measured and as it was told; has it measured and told
 * anew when that is old. What follows from the room, room.h decides. */
#include "common/clock.h"
#include "common/host_memory.h"
#include "supervisor/device.h"
#include "supervisor/gpu/record.h"
#include "supervisor/gpu/survey.h"
#include "supervisor/supervisor.h"

/* A GPU is read every second while somebody waits for room there. */
enum { GPU_MEASURE_MAX_AGE_MS = 2 * READER_QUIET_MS };

static int64_t device_known_bytes(uint64_t bytes)
{
    return bytes < ROOM_UNLIMITED ? (int64_t)bytes : ROOM_UNLIMITED;
}

/* Of the machine's own memory, what is free is not all that counts: weights lie in the page cache,
 * which is free to whoever asks, and two models that share it would read them from the disk for
 * each token. */
static void device_host_room(const struct device *device, struct room *out)
{
    int64_t limit_bytes = config_number(device->supervisor->config, CONFIG_limits_memory);
    struct host_memory memory = {UINT64_MAX, UINT64_MAX};

    if (limit_bytes > 0)
        memory.total_bytes = (uint64_t)limit_bytes;
    else
        host_memory_read(&memory);
    out->budget_bytes = device_known_bytes(memory.total_bytes);
    out->available_bytes = device_known_bytes(memory.available_bytes);
}

/* The GPU, as it was read last; NULL: it is not read, or that is too long ago. */
static const struct gpu *device_gpu(const struct device *device)
{
    const struct gpu *gpu = gpu_table_find(&device->supervisor->gpus.table, device->name, NULL);
    int64_t age_ms = gpu == NULL ? 0 : (int64_t)clock_monotonic_ms() - gpu->read_ms;

    return gpu != NULL && gpu->state == GPU_ACTIVE && age_ms <= GPU_MEASURE_MAX_AGE_MS ? gpu : NULL;
}

/* As a worker program has told it, which was before the workers that are there now: what is free
 * follows from what they say themselves. What others held of it then they may hold no more: once
 * that is old, the next start asks again. */
static void device_told_room(const struct device *device, struct room *out)
{
    const struct gpu *gpu = gpu_table_find(&device->supervisor->gpus.table, device->name, NULL);

    if (gpu == NULL || gpu->ability.memory_bytes <= 0)
        return;
    out->budget_bytes = gpu->ability.memory_bytes;
    if (gpu->ability.foreign_bytes > 0)
        out->budget_bytes -= gpu->ability.foreign_bytes;
    if (gpu->ability.foreign_bytes > 0 && !survey_refusal_holds(device->supervisor))
        survey_outdate(device->supervisor);
}

/* What is nobody's of ours there is taken. A GPU of which nothing is known limits nothing. */
static void device_gpu_room(const struct device *device, struct room *out)
{
    const struct gpu *gpu = device_gpu(device);
    const double *values = gpu == NULL ? NULL : gpu->figures.values;
    int64_t foreign_bytes = gpu == NULL ? -1 : gpu_foreign_bytes(device->supervisor, gpu);

    out->budget_bytes = out->available_bytes = ROOM_UNLIMITED;
    reader_asked(&device->supervisor->gpus); /* who waits for room looks at it again soon */
    if (gpu == NULL || !gpu_figures_knows(&gpu->figures, GPU_FIGURE_MEMORY_TOTAL)) {
        device_told_room(device, out);
        return;
    }
    out->budget_bytes = (int64_t)values[GPU_FIGURE_MEMORY_TOTAL];
    if (gpu_figures_knows(&gpu->figures, GPU_FIGURE_MEMORY_USED))
        out->available_bytes = out->budget_bytes - (int64_t)values[GPU_FIGURE_MEMORY_USED];
    if (foreign_bytes > 0)
        out->budget_bytes -= foreign_bytes;
}

void device_room(const struct device *device, struct room *out)
{
    if (device->is_gpu)
        device_gpu_room(device, out);
    else
        device_host_room(device, out);
}

bool device_is_asleep(const struct device *device)
{
    const struct gpu *gpu = gpu_table_find(&device->supervisor->gpus.table, device->name, NULL);

    return gpu != NULL && gpu->state == GPU_ASLEEP;
}

bool device_measure_is_old(const struct device *device)
{
    const struct gpu *gpu = device->is_gpu ? device_gpu(device) : NULL;
    int64_t round_ms = device->supervisor->gpus.round_ms;

    /* What was read in a round was measured after its beginning. */
    return gpu != NULL && (round_ms <= device->ended_ms || gpu->read_ms < round_ms);
}

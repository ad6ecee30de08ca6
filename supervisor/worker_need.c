/* Owns how much memory a worker takes: as it was told, as it was the last time, or as its model
 * says; and how that is divided where it has two devices. */
#include "common/device_name.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <string.h>

static bool worker_is_known_with(const struct worker *worker, const struct worker_options *options,
                                 const struct model_stamp *stamp)
{
    const struct worker_known *known = &worker->known;

    return known->memory_bytes > 0 && known->options.context_tokens == options->context_tokens &&
           known->options.slots == options->slots &&
           strcmp(known->options.kv_type, options->kv_type) == 0 &&
           strcmp(known->options.device, options->device) == 0 &&
           model_stamp_equal(&known->stamp, stamp);
}

const struct model_need *worker_described_need(const struct worker *worker)
{
    const char *path = worker_path(worker);
    const struct model *model = NULL;

    if (worker->model[0] != '\0')
        model = model_find(worker->supervisor, worker->model);
    else if (path != NULL)
        model = model_find_path(worker->supervisor, path);
    return model == NULL ? &worker->described : &model->need;
}

static struct model_stamp worker_next_stamp(const struct worker *worker)
{
    const char *path = worker_path(worker);
    struct model_stamp stamp = {0};
    struct err ignored = ERR_INIT; /* a file that is not there is the start's to find */

    if (path != NULL && path[0] != '\0')
        (void)model_stamp_of(path, &stamp, &ignored);
    return stamp;
}

/* What it took the last time, if it is the same again; else what its description says; else, as for
 * a command, the size of the file. */
int64_t worker_need_bytes(const struct worker *worker)
{
    struct worker_options options = worker_next_options(worker);
    struct model_need need = model_need_kept_as(worker_described_need(worker), options.kv_type);
    struct model_stamp stamp = worker_next_stamp(worker);

    if (worker_is_known_with(worker, &options, &stamp))
        return worker->known.memory_bytes;
    if (worker->command != NULL || need.fixed_bytes == 0)
        return stamp.size_bytes;
    return model_need_bytes(&need, options.context_tokens, options.slots);
}

static bool worker_is_known_divided(const struct worker *worker)
{
    struct worker_options options = worker_next_options(worker);
    struct model_stamp stamp = worker_next_stamp(worker);
    struct device_names names;

    device_names_split(worker->known.options.device, &names);
    return names.count == SPLIT_PARTS && worker_is_known_with(worker, &options, &stamp);
}

/* What it has been seen to take more, or less, than its description says is the layers'. */
void worker_split_need(const struct worker *worker, struct split_need *out)
{
    struct worker_options options = worker_next_options(worker);
    struct model_need need = {0};
    int64_t parts_bytes = 0;

    if (worker->command == NULL)
        need = model_need_kept_as(worker_described_need(worker), options.kv_type);
    model_split_need(&need, options.context_tokens, options.slots, worker_need_bytes(worker), out);
    if (!worker_is_known_divided(worker))
        return;
    /* Of what a model says of itself a sum may be beyond counting. */
    if (!__builtin_add_overflow(out->part_bytes[0], out->part_bytes[1], &parts_bytes) &&
        worker->known.memory_bytes > parts_bytes)
        out->layers_bytes = worker->known.memory_bytes - parts_bytes;
}

void worker_need_learn(struct worker *worker)
{
    if (worker->state == LIFE_READY && worker->facts.memory_bytes > 0)
        worker->known = (struct worker_known){.memory_bytes = worker->facts.memory_bytes,
                                              .options = worker->running,
                                              .stamp = worker->stamp};
}

/* A worker that has told only how much it is in all holds of each device what was planned; one that
 * could use none of its GPUs, and said that it runs on the CPU, holds nothing there. */
int64_t worker_bytes_on(const struct worker *worker, const struct device *device)
{
    const struct worker_facts *facts = &worker->facts;

    if (device->is_gpu && facts->device[0] != '\0' && !device_name_is_gpu(facts->device))
        return 0;
    if (worker->devices.count == 1)
        return facts->memory_bytes > 0 ? facts->memory_bytes : worker->need.bytes[0];
    for (size_t i = 0; i < worker->devices.count; i++) {
        if (worker->devices.devices[i] == device)
            return facts->device_bytes[i] > 0 ? facts->device_bytes[i] : worker->need.bytes[i];
    }
    return 0;
}

const struct device *worker_device_of(const struct worker *worker, const struct gpu *gpu)
{
    for (size_t i = 0; i < worker->devices.count; i++) {
        const struct device *device = worker->devices.devices[i];

        if (gpu_table_find(&worker->supervisor->gpus.table, device->name, NULL) == gpu)
            return device;
    }
    return NULL;
}

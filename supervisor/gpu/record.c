/* Owns the GPU record, and whose a process on a GPU is. Changes nothing. */
#include "supervisor/gpu/record.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/records.h"
#include "supervisor/gpu/survey.h"
#include "supervisor/supervisor.h"

/* A worker leads a group of its own, in which is what it has started. */
static bool use_is_of(const struct gpu_use *use, const struct worker *worker)
{
    pid_t pid = worker->process.pid;

    return pid > 0 && (use->pid == pid || use->group == pid);
}

static const struct worker *worker_of_use(const struct supervisor *supervisor,
                                          const struct gpu_use *use)
{
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (use_is_of(use, worker))
            return worker;
    }
    return NULL;
}

static bool use_is_of_worker(const void *owner, const struct gpu_use *use)
{
    return worker_of_use(owner, use) != NULL;
}

static bool gpu_has_use_of(const struct gpu *gpu, const struct worker *worker)
{
    for (size_t i = 0; i < gpu->use_count; i++) {
        if (use_is_of(&gpu->uses[i], worker))
            return true;
    }
    return false;
}

/* A worker that is ready on it holds memory there; a driver that does not show it (amdgpu's before
 * it counted compute) leaves unknown whose the rest is. */
static bool gpu_misses_worker(const struct supervisor *supervisor, const struct gpu *gpu)
{
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (worker->state == LIFE_READY && worker_device_of(worker, gpu) != NULL &&
            !gpu_has_use_of(gpu, worker))
            return true;
    }
    return false;
}

int64_t gpu_foreign_bytes(const struct supervisor *supervisor, const struct gpu *gpu)
{
    int64_t own_bytes = gpu_held_bytes(gpu, use_is_of_worker, supervisor);
    int64_t used_bytes = 0;

    if (own_bytes < 0 || !gpu_figures_knows(&gpu->figures, GPU_FIGURE_MEMORY_USED) ||
        gpu_misses_worker(supervisor, gpu))
        return -1;
    used_bytes = (int64_t)gpu->figures.values[GPU_FIGURE_MEMORY_USED];
    return used_bytes > own_bytes ? used_bytes - own_bytes : 0;
}

static json_t *use_to_json(const struct supervisor *supervisor, const struct gpu_use *use)
{
    const struct worker *worker = worker_of_use(supervisor, use);
    json_t *object = json_pack("{s:i, s:s?}", "pid", (int)use->pid, "worker",
                               worker == NULL ? NULL : worker->name);

    (void)json_object_set_new(object, "memory_bytes",
                              use->memory_bytes < 0 ? json_null()
                                                    : json_integer(use->memory_bytes));
    (void)json_object_set_new(object, "command", json_text_or_null(use->command));
    record_check(RECORD_GPU_PROCESS, object);
    return object;
}

static json_t *uses_to_json(const struct supervisor *supervisor, const struct gpu *gpu)
{
    json_t *list = NULL;

    if (!gpu->knows_uses)
        return json_null();
    list = json_array();
    for (size_t i = 0; i < gpu->use_count; i++)
        (void)json_array_append_new(list, use_to_json(supervisor, &gpu->uses[i]));
    return list;
}

/* ---- what of ours runs there ---- */

static json_t *gpu_workers(const struct supervisor *supervisor, const struct device *device)
{
    json_t *names = json_array();
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (device != NULL && device_set_has(&worker->devices, device) &&
            life_has_process(worker->state))
            (void)json_array_append_new(names, json_string(worker->name));
    }
    return names;
}

/* Unknown is null: no worker program has been asked, or it did not answer. */
static void gpu_record_ability(const struct supervisor *supervisor, const struct gpu *gpu,
                               json_t *record)
{
    const struct survey *survey = &supervisor->survey;
    bool is_known = survey_has_answered(supervisor);
    const char *reason = is_known ? survey_reason(supervisor, gpu) : survey->failure.message;

    (void)json_object_set_new(record, "architecture", json_text_or_null(gpu->ability.architecture));
    (void)json_object_set_new(record, "usable",
                              is_known ? json_boolean(gpu->ability.is_usable) : json_null());
    (void)json_object_set_new(record, "unusable_reason", json_text_or_null(reason));
    if (json_is_null(json_object_get(record, "memory_total_bytes")) &&
        gpu->ability.memory_bytes > 0)
        (void)json_object_set_new(record, "memory_total_bytes",
                                  json_integer(gpu->ability.memory_bytes));
}

json_t *gpu_record(struct supervisor *supervisor, size_t index)
{
    const struct gpu *gpu = supervisor->gpus.table.gpus[index];
    const struct device *device = device_find(supervisor, gpu->pci);
    enum breaker_state breaker = device == NULL ? BREAKER_CLOSED : device->breaker.state;
    int64_t age_ms = (int64_t)clock_monotonic_ms() - gpu->read_ms;
    int64_t foreign_bytes = gpu_foreign_bytes(supervisor, gpu);
    AUTO_FREE char *id = xasprintf("gpu:%zu", index);
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:s}", "id", id, "state", gpu_state_name(gpu->state),
                  "pci_address", gpu->pci, "breaker", breaker_state_name(breaker));

    (void)json_object_set_new(record, "name", json_text_or_null(gpu->name));
    (void)json_object_set_new(record, "vendor", json_text_or_null(gpu->vendor));
    (void)json_object_set_new(record, "pcie_link", json_text_or_null(gpu->pcie_link));
    gpu_figures_to_json(&gpu->figures, record);
    gpu_record_ability(supervisor, gpu, record);
    (void)json_object_set_new(record, "workers", gpu_workers(supervisor, device));
    (void)json_object_set_new(record, "foreign_memory_bytes",
                              foreign_bytes < 0 ? json_null() : json_integer(foreign_bytes));
    (void)json_object_set_new(record, "processes", uses_to_json(supervisor, gpu));
    (void)json_object_set_new(record, "age_ms",
                              gpu->read_ms < 0 ? json_null() : json_integer(age_ms));
    record_check(RECORD_GPU, record);
    return record;
}

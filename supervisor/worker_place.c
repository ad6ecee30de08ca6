/* Owns where a worker runs: from the name of a device, as people give it, to the device of a start.
 * What a GPU is called, gpu.h has; which can be used, survey.h; whether there is room, room.h. */
#include "common/log.h"
#include "supervisor/choice.h"
#include "supervisor/gpu/survey.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <stdio.h>
#include <string.h>

enum {
    PLACE_LIST_MAX_BYTES = 320, /* of the GPUs that there are, or why there is none, in a message */
};

/* ---- in words ---- */

/* "gpu:0 is 0000:03:00.0, Radeon; gpu:1 is …", or why there is none. */
static void place_list(const struct supervisor *supervisor, char out[PLACE_LIST_MAX_BYTES])
{
    const struct gpu_table *table = &supervisor->gpus.table;
    const char *reason = supervisor->survey.reason;
    size_t len = 0;

    (void)snprintf(out, PLACE_LIST_MAX_BYTES, "there is none%s%s", reason[0] == '\0' ? "" : ": ",
                   reason);
    for (size_t i = 0; i < table->count && len < PLACE_LIST_MAX_BYTES; i++) {
        const struct gpu *gpu = table->gpus[i];

        /* Cut where it is too long: rbee gpu ls has them all. */
        len += (size_t)snprintf(out + len, PLACE_LIST_MAX_BYTES - len, "%sgpu:%zu is %s%s%s",
                                i == 0 ? "" : "; ", i, gpu->pci, gpu->name[0] == '\0' ? "" : ", ",
                                gpu->name);
    }
}

static int place_refuse_unknown(const struct supervisor *supervisor, const char *name,
                                struct err *err)
{
    char list[PLACE_LIST_MAX_BYTES];

    place_list(supervisor, list);
    return err_set(err, ERR_WORKER_CONFIG, "there is no GPU %s; %s", name, list);
}

static int place_refuse_unusable(const struct supervisor *supervisor, const struct gpu *gpu,
                                 struct err *err)
{
    return err_set(err, ERR_WORKER_CONFIG, "gpu:%s%s%s%s cannot run models: %s", gpu->pci,
                   gpu->name[0] == '\0' ? "" : " (", gpu->name, gpu->name[0] == '\0' ? "" : ")",
                   survey_reason(supervisor, gpu));
}

/* None of them can be used: the reason of the first stands for all. */
static int place_refuse_all(const struct supervisor *supervisor, struct err *err)
{
    const struct gpu_table *table = &supervisor->gpus.table;

    if (table->count == 0)
        return place_refuse_unknown(supervisor, "that could be used", err);
    return place_refuse_unusable(supervisor, table->gpus[0], err);
}

/* ---- the choice ---- */

static int place_check_one(const struct supervisor *supervisor, const char *name, struct err *err)
{
    const struct gpu_table *table = &supervisor->gpus.table;
    const struct gpu *gpu = gpu_table_find(table, name, NULL);

    if (gpu != NULL)
        return gpu->ability.is_usable ? 0 : place_refuse_unusable(supervisor, gpu, err);
    if (strcmp(name, DEVICE_NAME_ANY_GPU) != 0)
        return place_refuse_unknown(supervisor, name, err);
    for (size_t i = 0; i < table->count; i++) {
        if (table->gpus[i]->ability.is_usable)
            return 0;
    }
    return place_refuse_all(supervisor, err);
}

static bool place_is_same(const struct supervisor *supervisor, const char *a, const char *b)
{
    const struct gpu *gpu = gpu_table_find(&supervisor->gpus.table, a, NULL);

    return strcmp(a, b) == 0 ||
           (gpu != NULL && gpu_table_find(&supervisor->gpus.table, b, NULL) == gpu);
}

static bool place_is_one_twice(const struct supervisor *supervisor,
                               const struct device_names *names)
{
    return names->count == DEVICE_NAMES_MAX_COUNT &&
           place_is_same(supervisor, names->names[0], names->names[1]);
}

static int place_check(const struct supervisor *supervisor, const char *text, struct err *err)
{
    struct device_names names;

    device_names_split(text, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (place_check_one(supervisor, names.names[i], err) != 0)
            return -1;
    }
    if (place_is_one_twice(supervisor, &names))
        return err_set(err, ERR_WORKER_CONFIG, "%s and %s are the same GPU: two must differ",
                       names.names[0], names.names[1]);
    return 0;
}

struct place_best {
    struct device_set devices;
    struct choice choice;
};

static void place_consider(const struct worker *worker, const struct device_set *devices,
                           struct place_best *best)
{
    struct choice choice = {.device_count = devices->count,
                            .takes_starts = device_set_open(devices) == NULL};

    if (choice.takes_starts)
        choice.verdict = worker_room_try(worker, devices, &choice.free_bytes);
    if (choice_is_better(&choice, &best->choice))
        *best = (struct place_best){.devices = *devices, .choice = choice};
}

/* Two of one vendor: one process has one vendor's library. */
static void place_consider_with(const struct worker *worker, size_t first, struct place_best *best)
{
    const struct gpu_table *table = &worker->supervisor->gpus.table;
    const struct gpu *gpu = table->gpus[first];

    for (size_t i = first + 1; i < table->count; i++) {
        const struct gpu *other = table->gpus[i];
        struct device_set devices;

        if (!other->ability.is_usable || strcmp(other->vendor, gpu->vendor) != 0)
            continue;
        devices = device_set_of(device_get(worker->supervisor, gpu->pci));
        device_set_add(&devices, device_get(worker->supervisor, other->pci));
        place_consider(worker, &devices, best);
    }
}

/* The one with room, most free memory first; of equals the first; or two, where none alone has it.
 * Whoever has evicted others stays with what that has made free. */
static struct device_set place_choose(const struct worker *worker)
{
    const struct gpu_table *table = &worker->supervisor->gpus.table;
    struct place_best best = {0};

    if (worker->postponed.room.has_evicted && device_set_is_gpu(&worker->devices))
        return worker->devices;
    for (size_t i = 0; i < table->count; i++) {
        struct device_set devices;

        if (!table->gpus[i]->ability.is_usable)
            continue;
        devices = device_set_of(device_get(worker->supervisor, table->gpus[i]->pci));
        place_consider(worker, &devices, &best);
    }
    for (size_t i = 0; choice_may_be_two(&best.choice) && i < table->count; i++) {
        if (table->gpus[i]->ability.is_usable)
            place_consider_with(worker, i, &best);
    }
    return best.devices;
}

/* A GPU that was usable, or has just failed, may be in the middle of a reset; and what we start
 * ourselves, as at boot, may be there before its driver. */
static bool place_may_come_one(struct supervisor *supervisor, const char *name)
{
    const struct device *device = device_find(supervisor, name);

    return survey_has_seen(supervisor, name) ||
           (device != NULL && device->breaker.failure_count > 0);
}

/* Of two, each may come or is there. */
static bool place_may_come(const struct worker *worker, enum recovery_asker asker)
{
    struct supervisor *supervisor = worker->supervisor;
    struct err ignored = ERR_INIT;
    struct device_names names;

    device_names_split(worker->next_running.device, &names);
    if (place_is_one_twice(supervisor, &names))
        return false;
    for (size_t i = 0; i < names.count && asker != RECOVERY_OURSELVES; i++) {
        if (place_check_one(supervisor, names.names[i], &ignored) != 0 &&
            !place_may_come_one(supervisor, names.names[i]))
            return false;
    }
    return true;
}

static enum worker_place place_refuse(const struct worker *worker, enum recovery_asker asker,
                                      int64_t *out_until_ms, struct err *why)
{
    if (!place_may_come(worker, asker))
        return WORKER_PLACE_REFUSED;
    why->kind = ERR_DEVICE;
    *out_until_ms = survey_miss(worker->supervisor);
    return WORKER_PLACE_UNKNOWN;
}

static enum worker_place place_on_gpu(struct worker *worker, enum recovery_asker asker,
                                      struct device_set *out, int64_t *out_until_ms,
                                      struct err *why)
{
    struct supervisor *supervisor = worker->supervisor;
    const char *name = worker->next_running.device;
    enum survey_state state = SURVEY_PENDING;

    /* One that takes no start is refused by its own name, and no driver is asked for that. */
    *out = device_set_find(supervisor, name);
    if (device_set_open(out) != NULL)
        return WORKER_PLACE_FOUND;
    if (supervisor->gpus.has_looked) /* numbers follow from what both tell */
        state = survey_ask(supervisor, out_until_ms);
    if (state == SURVEY_KNOWN && place_check(supervisor, name, why) != 0) {
        if (survey_refusal_holds(supervisor))
            return place_refuse(worker, asker, out_until_ms, why);
        survey_outdate(supervisor);
        state = survey_ask(supervisor, out_until_ms);
    }
    if (state == SURVEY_PENDING)
        return WORKER_PLACE_PENDING;
    if (state == SURVEY_FAILED) {
        survey_explain(supervisor, why);
        return WORKER_PLACE_UNKNOWN;
    }
    *out = strcmp(name, DEVICE_NAME_ANY_GPU) == 0 ? place_choose(worker)
                                                  : device_set_get(supervisor, name);
    return WORKER_PLACE_FOUND;
}

/* Where a command runs is for the command to know: its device is a name that it shares with others.
 */
static bool place_is_given(const struct worker *worker, const char *device)
{
    return worker->command != NULL || !device_name_is_gpu(device);
}

bool worker_chooses_gpu(const struct worker *worker)
{
    const char *name = worker->next_running.device;

    return !place_is_given(worker, name) && strcmp(name, DEVICE_NAME_ANY_GPU) == 0;
}

/* Who may choose was placed where it seemed best, and takes any. */
bool worker_may_run_on(const struct worker *worker, const struct device *device)
{
    return device_set_has(&worker->devices, device) ||
           (device->is_gpu && worker_chooses_gpu(worker));
}

enum worker_place worker_place(struct worker *worker, enum recovery_asker asker,
                               struct device_set *out, int64_t *out_until_ms, struct err *why)
{
    struct worker_options *options = &worker->next_running;
    enum worker_place place = WORKER_PLACE_FOUND;

    if (place_is_given(worker, options->device)) {
        *out = device_set_get(worker->supervisor, options->device);
        return WORKER_PLACE_FOUND;
    }
    place = place_on_gpu(worker, asker, out, out_until_ms, why);
    if (place == WORKER_PLACE_FOUND || place == WORKER_PLACE_PENDING || !options->allow_cpu)
        return place;
    log_event(LOG_WARN, "device_replaced", "worker=%s wanted=%s used=cpu reason=%s", worker->name,
              options->device, why->message);
    memcpy(options->device, DEVICE_NAME_CPU, sizeof(DEVICE_NAME_CPU));
    options->kv_type[0] = '\0'; /* what the CPU can keep */
    *out = device_set_get(worker->supervisor, DEVICE_NAME_CPU);
    return WORKER_PLACE_FOUND;
}

int worker_check_place(const struct worker *worker, struct err *err)
{
    if (place_is_given(worker, worker->running.device))
        return 0;
    if (place_check(worker->supervisor, worker->next_running.device, err) != 0)
        return -1; /* of two names that are one GPU's only one is left by now */
    return place_check(worker->supervisor, worker->running.device, err);
}

void worker_explain_place(const struct worker *worker, struct err *out)
{
    const struct supervisor *supervisor = worker->supervisor;

    if (!survey_has_answered(supervisor) ||
        place_check(supervisor, worker->next_running.device, out) == 0)
        survey_explain(supervisor, out);
    out->kind = ERR_DEVICE;
}

static bool place_is_among(const struct supervisor *supervisor, const char *name,
                           const struct device_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (place_is_same(supervisor, name, names->names[i]))
            return true;
    }
    return false;
}

/* Of two, in either order: which has the first layers makes no difference to who asks. */
bool worker_is_on(const struct worker *worker, const char *text)
{
    const char *device =
        worker->facts.device[0] != '\0' ? worker->facts.device : worker->running.device;
    struct device_names asked;
    struct device_names names;

    device_names_split(text, &asked);
    device_names_split(device_name_or_cpu(device), &names);
    if (strcmp(text, DEVICE_NAME_ANY_GPU) == 0)
        return device_name_is_gpu(device);
    for (size_t i = 0; i < asked.count; i++) {
        if (!place_is_among(worker->supervisor, asked.names[i], &names))
            return false;
    }
    return asked.count == names.count;
}

/* ---- again ---- */

static bool place_is_awaited(const struct worker *worker)
{
    return (worker->state == LIFE_WAITING || worker->state == LIFE_OPEN) &&
           (worker->postponed.answer == DEVICE_PENDING ||
            worker->postponed.answer == DEVICE_UNKNOWN);
}

void worker_place_look_again(struct supervisor *supervisor)
{
    struct worker *worker = NULL;

    if (supervisor->is_stopping)
        return;
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (place_is_awaited(worker))
            worker_restart_due(worker);
    }
}

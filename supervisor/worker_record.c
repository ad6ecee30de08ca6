/* Owns what the API tells of a worker: its record, its speed. */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/records.h"
#include "supervisor/worker.h"

#include <string.h>

enum { MS_PER_SECOND = 1000 };

void worker_count_token(struct worker *worker, uint64_t now_ms)
{
    uint64_t second = now_ms / MS_PER_SECOND;
    size_t index = second % WORKER_RATE_SECONDS;

    if (worker->rate_second[index] != second)
        worker->rate_tokens[index] = 0;
    worker->rate_second[index] = second;
    worker->rate_tokens[index]++;
}

/* Over the last whole seconds: the one that runs is left out, it has only begun. */
static double worker_tokens_per_second(const struct worker *worker, uint64_t now_ms)
{
    uint64_t second = now_ms / MS_PER_SECOND;
    unsigned tokens = 0;

    for (size_t i = 0; i < WORKER_RATE_SECONDS; i++) {
        if (worker->rate_second[i] < second &&
            worker->rate_second[i] + WORKER_RATE_SECONDS > second)
            tokens += worker->rate_tokens[i];
    }
    return (double)tokens / (WORKER_RATE_SECONDS - 1);
}

static json_t *known_number(int64_t value)
{
    return value > 0 ? json_integer(value) : json_null();
}

static void worker_record_process(const struct worker *worker, json_t *record, uint64_t now_ms)
{
    bool has_process = life_has_process(worker->state) && worker->process.pid > 0;
    bool is_ready = worker->process.ready_ms != 0;
    json_t *speed = is_ready ? json_real(worker_tokens_per_second(worker, now_ms)) : json_null();
    json_t *uptime =
        has_process ? json_integer((json_int_t)(now_ms - worker->process.spawned_ms)) : json_null();

    (void)json_object_set_new(record, "pid", known_number(worker->process.pid));
    (void)json_object_set_new(record, "instance", json_text_or_null(worker->process.instance));
    (void)json_object_set_new(record, "memory_bytes", known_number(worker->facts.memory_bytes));
    (void)json_object_set_new(record, "tokens_per_second", speed);
    (void)json_object_set_new(record, "uptime_ms", uptime);
    (void)json_object_set_new(record, "load_done_bytes",
                              has_process ? known_number(worker->load.done_bytes) : json_null());
    (void)json_object_set_new(record, "load_total_bytes",
                              has_process ? known_number(worker->load.total_bytes) : json_null());
}

/* What a worker without a process waits for; NULL: nothing. */
static const char *worker_waits_for(const struct worker *worker)
{
    if (worker->state != LIFE_WAITING && worker->state != LIFE_OPEN)
        return NULL;
    switch (worker->postponed.answer) {
    case DEVICE_OPEN:
        return "device";
    case DEVICE_STORM:
        return "storm_guard";
    case DEVICE_LOADING:
        return "other_load";
    case DEVICE_ROOM:
    case DEVICE_NO_ROOM:
        return "room";
    case DEVICE_PENDING:
    case DEVICE_UNKNOWN:
        return "gpu_list";
    case DEVICE_GO:
        break;
    }
    return worker->state == LIFE_OPEN ? "breaker" : "back_off";
}

static void worker_record_recovery(const struct worker *worker, json_t *record, int64_t now_ms)
{
    const struct recovery *recovery = &worker->recovery;
    bool is_waiting = worker->state == LIFE_WAITING || worker->state == LIFE_OPEN;
    int64_t due_ms = is_waiting ? worker_recovery_due_ms(worker) : INT64_MAX;
    int64_t left_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    bool has_fault = recovery->fault != FAULT_NONE;

    (void)json_object_set_new(record, "restarts", json_integer(recovery->restart.total));
    (void)json_object_set_new(record, "attempt", json_integer(recovery->restart.attempt));
    (void)json_object_set_new(record, "breaker",
                              json_string(breaker_state_name(recovery->breaker.state)));
    (void)json_object_set_new(record, "next_retry_ms",
                              due_ms == INT64_MAX ? json_null() : json_integer(left_ms));
    (void)json_object_set_new(record, "waits_for", json_text_or_null(worker_waits_for(worker)));
    (void)json_object_set_new(record, "held_reason", json_text_or_null(worker->held_reason));
    (void)json_object_set_new(record, "degraded", json_boolean(recovery->is_reduced));
    (void)json_object_set_new(record, "pinned", json_boolean(worker->is_pinned));
    (void)json_object_set_new(record, "last_fault",
                              has_fault ? json_string(fault_name(recovery->fault)) : json_null());
}

const char *worker_shown_device(const struct worker *worker, char name[DEVICE_NAMES_MAX_BYTES + 1])
{
    struct device_set devices = worker->devices;

    if (worker->facts.device[0] != '\0')
        return worker->facts.device;
    if (life_has_process(worker->state) || worker->command != NULL)
        return life_has_process(worker->state) ? worker->running.device : worker->options.device;
    if (devices.count == 0 || worker->state == LIFE_DOWN)
        devices = device_set_find_all(worker->supervisor, worker->options.device);
    if (!device_set_is_gpu(&devices))
        return worker->options.device;
    device_set_write_name(&devices, name);
    return name;
}

static const char *worker_shown_model(const struct worker *worker)
{
    const char *slash = strrchr(worker->model_path, '/');

    if (worker->model[0] != '\0')
        return worker->model;
    return slash == NULL ? worker->model_path : slash + 1;
}

/* What a person should know of the worker and that is no failure. */
static json_t *worker_warnings(const struct worker *worker)
{
    json_t *warnings = json_array();
    AUTO_FREE char *warning = worker_command_warning(worker);
    const char *note = worker->load.note;

    if (warning != NULL)
        (void)json_array_append_new(warnings, json_string(warning));
    if (note[0] != '\0')
        (void)json_array_append_new(warnings, json_text_lossy(note, strlen(note)));
    return warnings;
}

json_t *worker_record(struct worker *worker)
{
    uint64_t now_ms = clock_monotonic_ms();
    int64_t context = worker->facts.context_tokens > 0 ? worker->facts.context_tokens
                                                       : worker->options.context_tokens;
    char device[DEVICE_NAMES_MAX_BYTES + 1];
    json_t *record = json_object();

    worker_record_recovery(worker, record, (int64_t)now_ms);
    (void)json_object_set_new(record, "name", json_string(worker->name));
    (void)json_object_set_new(record, "state", json_string(life_state_name(worker->state)));
    (void)json_object_set_new(record, "desired", json_string(worker->wanted_up ? "up" : "down"));
    (void)json_object_set_new(record, "model", json_text_or_null(worker_shown_model(worker)));
    (void)json_object_set_new(record, "device",
                              json_text_or_null(worker_shown_device(worker, device)));
    (void)json_object_set_new(record, "context_tokens", known_number(context));
    (void)json_object_set_new(record, "in_flight", json_integer(worker->in_flight_count));
    (void)json_object_set_new(record, "queued", json_integer(worker->queued_count));
    (void)json_object_set_new(record, "autostart", json_boolean(worker->is_autostart));
    (void)json_object_set_new(record, "last_exit", json_text_or_null(worker->last_exit));
    (void)json_object_set_new(record, "last_stderr", json_text_or_null(worker->last_words));
    (void)json_object_set_new(record, "warnings", worker_warnings(worker));
    worker_record_process(worker, record, now_ms);
    record_check(RECORD_WORKER, record);
    return record;
}

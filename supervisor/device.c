/* Owns the devices and their breakers: carries out what guard.c and breaker.c decide. Knows of a
 * worker only that it is one. */
#include "supervisor/device.h"

#include "common/clock.h"
#include "common/host_memory.h"
#include "common/mem.h"
#include "common/token.h"
#include "supervisor/breaker_text.h"
#include "supervisor/gpu/record.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"
#include "supervisor/worker.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

/* A GPU is read every second while somebody waits for room there. */
enum { GPU_MEASURE_MAX_AGE_MS = 2 * READER_QUIET_MS };

static const char CPU[] = "cpu";
static const char GPU_PREFIX[] = "gpu:";

struct device *device_find(struct supervisor *supervisor, const char *name)
{
    struct device *device = NULL;

    if (name[0] == '\0')
        name = CPU;
    TAILQ_FOREACH(device, &supervisor->devices, link)
    {
        if (strcmp(device->name, name) == 0)
            return device;
    }
    return NULL;
}

/* ---- transitions ---- */

/* Tells what has become of the breaker since BEFORE, and wakes those whose start hangs on it. */
static void device_breaker_changed(struct device *device, const struct breaker *before)
{
    journal_device_breaker(device, before);
    if (device->breaker.state != BREAKER_HALF_OPEN)
        device->probe = NULL;
    device_arm(device);
    worker_device_changed(device->supervisor, device);
}

static void device_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct device *device = arg;
    struct breaker before = device->breaker;

    if (breaker_tick(&device->breaker, (int64_t)clock_monotonic_ms()))
        device_breaker_changed(device, &before);
    else
        device_arm(device); /* the event loop's clock and ours may differ by a millisecond */
}

void device_arm(struct device *device)
{
    timer_arm_at(device->timer,
                 device->breaker.state == BREAKER_OPEN ? device->breaker.until_ms : INT64_MAX);
}

/* A turn of the loop of its own: what has changed is complete by then. */
static void device_on_room(evutil_socket_t fd, short what, void *arg)
{
    worker_room_look_again(arg);
}

struct device *device_get(struct supervisor *supervisor, const char *name)
{
    struct device *device = device_find(supervisor, name);

    if (device != NULL)
        return device;
    device = xcalloc(1, sizeof(*device));
    device->supervisor = supervisor;
    (void)snprintf(device->name, sizeof(device->name), "%s", name[0] == '\0' ? CPU : name);
    device->is_gpu = strncmp(device->name, GPU_PREFIX, strlen(GPU_PREFIX)) == 0;
    breaker_init(&device->breaker);
    device->breaker_reason = xstrdup("");
    device->timer = evtimer_new(supervisor->base, device_on_timer, device);
    device->room = evtimer_new(supervisor->base, device_on_room, device);
    TAILQ_INSERT_TAIL(&supervisor->devices, device, link);
    return device;
}

void devices_release(struct supervisor *supervisor)
{
    while (!TAILQ_EMPTY(&supervisor->devices)) {
        struct device *device = TAILQ_FIRST(&supervisor->devices);

        TAILQ_REMOVE(&supervisor->devices, device, link);
        event_free(device->timer);
        event_free(device->room);
        free(device->breaker_reason);
        free(device);
    }
}

/* ---- starts ---- */

enum device_answer device_ask(const struct device *device, int64_t now_ms, int64_t *out_until_ms)
{
    if (device->lost_count > 0 || !breaker_allows_start(&device->breaker)) {
        *out_until_ms =
            device->breaker.state == BREAKER_OPEN ? device->breaker.until_ms : INT64_MAX;
        return DEVICE_OPEN;
    }
    switch (guard_ask(&device->guard, &device->supervisor->policy.guard, now_ms, out_until_ms)) {
    case GUARD_STORM:
        return DEVICE_STORM;
    case GUARD_LOADING:
        return DEVICE_LOADING;
    case GUARD_GO:
        break;
    }
    return DEVICE_GO;
}

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

/* What is nobody's of ours there is taken. A GPU that tells nothing limits nothing. */
static void device_gpu_room(const struct device *device, struct room *out)
{
    const struct gpu *gpu = device_gpu(device);
    const double *values = gpu == NULL ? NULL : gpu->figures.values;
    int64_t foreign_bytes = gpu == NULL ? -1 : gpu_foreign_bytes(device->supervisor, gpu);

    out->budget_bytes = out->available_bytes = ROOM_UNLIMITED;
    reader_asked(&device->supervisor->gpus); /* who waits for room looks at it again soon */
    if (gpu == NULL || !gpu_figures_knows(&gpu->figures, GPU_FIGURE_MEMORY_TOTAL))
        return;
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

void device_on_start(struct device *device, struct worker *worker, int64_t now_ms)
{
    const struct breaker before = device->breaker;

    guard_on_start(&device->guard, now_ms);
    device->loading = worker;
    breaker_on_start(&device->breaker);
    if (!device->breaker.has_probe)
        return;
    device->probe = worker;
    journal_device_breaker(device, &before); /* a supervisor that dies meanwhile finds it */
}

void device_on_load_end(struct device *device, const struct worker *worker)
{
    if (device->loading != worker)
        return;
    device->loading = NULL;
    guard_on_load_end(&device->guard);
    worker_device_changed(device->supervisor, device);
}

/* A GPU's window is as long as it is: slow loads stretch that of a worker alone. */
static void device_record(struct device *device, enum fault_class fault, int64_t now_ms)
{
    const struct breaker_failure failure = {.at_ms = now_ms, .fault = fault};

    (void)breaker_record(&device->breaker, &device->supervisor->policy.device, &failure,
                         token_random());
}

void device_on_end(struct device *device, const struct worker *worker, enum fault_class fault,
                   int64_t now_ms)
{
    struct breaker before = device->breaker;

    device->ended_ms = now_ms;
    if (!device->is_gpu) {
        device_on_load_end(device, worker);
        return;
    }
    /* Before others hear that the load is over: this may be the failure that lets none of them
     * start. */
    if (fault_is_of_device(fault))
        device_record(device, fault, now_ms);
    else if (device->probe == worker)
        (void)breaker_on_no_verdict(&device->breaker, &device->supervisor->policy.device, now_ms,
                                    token_random());
    if (device->breaker.state != before.state)
        device_breaker_changed(device, &before);
    device_on_load_end(device, worker);
}

void device_on_probe_stable(struct device *device, const struct worker *worker, int64_t now_ms)
{
    struct breaker before = device->breaker;

    if (device->probe == worker && breaker_on_probe_stable(&device->breaker, now_ms))
        device_breaker_changed(device, &before);
}

void device_on_stable(struct device *device)
{
    if (device->breaker.state == BREAKER_CLOSED)
        breaker_on_stable(&device->breaker);
}

/* The CPU is never lost: a process that hangs in the kernel on it costs its own worker alone. */
void device_on_lost(struct device *device)
{
    if (device->is_gpu)
        device->lost_count++;
}

void device_on_found(struct device *device)
{
    struct breaker before = device->breaker;

    if (!device->is_gpu || --device->lost_count > 0)
        return;
    (void)breaker_trip(&device->breaker, &device->supervisor->policy.device, BREAKER_BY_LOST,
                       (int64_t)clock_monotonic_ms(), token_random());
    (void)breaker_half_open(&device->breaker, BREAKER_BY_LOST);
    device_breaker_changed(device, &before);
}

void device_remember(struct supervisor *supervisor, const char *name,
                     const struct breaker_failure *failure)
{
    struct device *device = device_get(supervisor, name);

    if (device->is_gpu)
        breaker_remember(&device->breaker, failure);
}

/* ---- people ---- */

static void device_set_reason(struct device *device, const char *reason)
{
    free(device->breaker_reason);
    device->breaker_reason = xstrdup(reason);
}

void device_force_open(struct device *device, const char *reason)
{
    struct breaker before = device->breaker;

    device_set_reason(device, reason);
    (void)breaker_force_open(&device->breaker);
    device_breaker_changed(device, &before);
}

void device_reset(struct device *device)
{
    struct breaker before = device->breaker;

    device_set_reason(device, "");
    (void)breaker_reset(&device->breaker, (int64_t)clock_monotonic_ms());
    device_breaker_changed(device, &before);
}

void device_explain(const struct device *device, struct err *out)
{
    if (device->lost_count > 0) {
        err_fill(out, ERR_CIRCUIT_OPEN,
                 "%s is lost: a process on it survived KILL and is not gone yet", device->name);
        return;
    }
    breaker_explain(&device->breaker, device->name, device->breaker_reason, out);
}

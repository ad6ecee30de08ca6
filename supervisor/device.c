/* Owns the devices and their breakers: carries out what guard.c and breaker.c decide. Knows of a
 * worker only that it is one. */
#include "supervisor/device.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/token.h"
#include "supervisor/breaker_text.h"
#include "supervisor/gpu/survey.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"
#include "supervisor/worker.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

static struct device *device_called(struct supervisor *supervisor, const char *name)
{
    struct device *device = NULL;

    TAILQ_FOREACH(device, &supervisor->devices, link)
    {
        if (strcmp(device->name, name) == 0)
            return device;
    }
    return NULL;
}

/* NAME as the device of that name is called: a GPU by its address once it is known. */
static void device_write_name(const struct supervisor *supervisor, const char *name,
                              char out[DEVICE_NAME_MAX_BYTES + 1])
{
    const struct gpu *gpu = gpu_table_find(&supervisor->gpus.table, name, NULL);

    static_assert(GPU_NAME_BYTES <= DEVICE_NAME_MAX_BYTES + 1, "an address is a name");
    if (gpu != NULL)
        gpu_write_name(gpu, out);
    else
        (void)snprintf(out, DEVICE_NAME_MAX_BYTES + 1, "%s", device_name_or_cpu(name));
}

/* A GPU that has just become known may still be there by the name it was given. */
struct device *device_find(struct supervisor *supervisor, const char *name)
{
    char own_name[DEVICE_NAME_MAX_BYTES + 1];
    struct device *device = NULL;

    device_write_name(supervisor, name, own_name);
    device = device_called(supervisor, own_name);
    return device != NULL ? device : device_called(supervisor, name);
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
    device_write_name(supervisor, name, device->name);
    device->is_gpu = device_name_is_gpu(device->name);
    breaker_init(&device->breaker);
    device->breaker_reason = xstrdup("");
    device->timer = evtimer_new(supervisor->base, device_on_timer, device);
    device->room = evtimer_new(supervisor->base, device_on_room, device);
    TAILQ_INSERT_TAIL(&supervisor->devices, device, link);
    return device;
}

static void device_free(struct device *device)
{
    TAILQ_REMOVE(&device->supervisor->devices, device, link);
    event_free(device->timer);
    event_free(device->room);
    free(device->breaker_reason);
    free(device);
}

void devices_release(struct supervisor *supervisor)
{
    while (!TAILQ_EMPTY(&supervisor->devices))
        device_free(TAILQ_FIRST(&supervisor->devices));
}

/* ---- names ---- */

/* What was counted before a GPU was known by its address: an open breaker stays open. */
static void device_take_over(struct device *device, struct device *old)
{
    const struct breaker before = device->breaker;
    struct breaker *breaker = &device->breaker;
    const struct breaker *other = &old->breaker;

    if (breaker->state == BREAKER_CLOSED && other->state != BREAKER_CLOSED) {
        *breaker = *other;
        other = &before;
        free(device->breaker_reason);
        device->breaker_reason = old->breaker_reason;
        old->breaker_reason = NULL;
    }
    for (size_t i = 0; i < other->failure_count; i++)
        breaker_remember(breaker, &other->failures[i]);
    if (breaker->state == before.state)
        return;
    device_arm(device); /* it has been told and counted by its old name */
    worker_device_changed(device->supervisor, device);
}

/* Nobody runs on it: whoever rests there goes along. False: somebody does. */
static bool device_leave_to(struct device *old, struct device *device)
{
    struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &old->supervisor->workers, link)
    {
        if (device_set_has(&worker->devices, old) && life_has_process(worker->state))
            return false;
    }
    TAILQ_FOREACH(worker, &old->supervisor->workers, link)
    {
        device_set_replace(&worker->devices, old, device);
    }
    return true;
}

static void device_adopt(struct device *device)
{
    struct supervisor *supervisor = device->supervisor;
    char old_name[DEVICE_NAME_MAX_BYTES + 1];
    char name[DEVICE_NAME_MAX_BYTES + 1];
    struct device *known = NULL;

    memcpy(old_name, device->name, sizeof(old_name));
    device_write_name(supervisor, old_name, name);
    if (!device->is_gpu || strcmp(name, old_name) == 0)
        return;
    known = device_called(supervisor, name);
    if (known == NULL) {
        memcpy(device->name, name, sizeof(name));
        known = device;
    } else if (device_leave_to(device, known)) {
        device_take_over(known, device);
        device_free(device);
    } else {
        return; /* a command's process: the next time */
    }
    log_event(LOG_INFO, "device_known", "name=%s device=%s", old_name, known->name);
    journal_device_renamed(known, old_name);
}

void devices_adopt(struct supervisor *supervisor)
{
    const struct gpu_table *table = &supervisor->gpus.table;
    struct device *next = NULL;

    for (struct device *device = TAILQ_FIRST(&supervisor->devices); device != NULL; device = next) {
        next = TAILQ_NEXT(device, link);
        device_adopt(device);
    }
    for (size_t i = 0; i < table->count; i++)
        (void)device_get(supervisor, table->gpus[i]->pci);
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
    if (fault_is_of_device(fault)) {
        device_record(device, fault, now_ms);
        survey_outdate(device->supervisor); /* it may not be what it was */
    } else if (device->probe == worker)
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

void device_remember(struct device *device, const struct breaker_failure *failure)
{
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

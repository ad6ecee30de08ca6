/* Owns the loop and the order in which everything begins and ends. Knows no route and no worker's
 * inside. */
#include "supervisor/supervisor.h"

#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/records.h"
#include "db/requests.h"
#include "supervisor/doors.h"
#include "supervisor/journal.h"
#include "supervisor/reload.h"
#include "supervisor/stored.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    STATE_MODE = 0700,
    /* A socket that was removed is there again within 10 s. */
    UPKEEP_S = 3,
    /* What the last replies have to leave us; their bytes are with the kernel already. */
    FAREWELL_MS = 2000,
    FAREWELL_LOOK_MS = 10,
    /* What a killed process takes to go, its memory with it, on a machine that is busy. */
    STOP_SLACK_MS = 20000,
    MS_PER_DAY = 24 * 60 * 60 * 1000,
};

static const int SIGNALS[SUPERVISOR_SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP};

/* ---- the stop ---- */

static bool supervisor_has_process(const struct supervisor *supervisor)
{
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (life_has_process(worker->state) && worker->state != LIFE_LOST)
            return true;
    }
    return false;
}

static void supervisor_farewell_later(struct supervisor *supervisor)
{
    const struct timeval after = {.tv_usec = FAREWELL_LOOK_MS * 1000};

    (void)evtimer_add(supervisor->farewell, &after); /* fails only without memory */
}

/* Requests that were held (waits for a state) have been answered by the last state change. */
static void supervisor_on_farewell(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    if (supervisor->farewell_ends_ms == 0) {
        supervisor->farewell_ends_ms = clock_monotonic_ms() + FAREWELL_MS;
        feed_end_all(supervisor);
        log_streams_end_all(supervisor);
        doors_stop(supervisor);
    }
    if (doors_client_count(supervisor) > 0 && clock_monotonic_ms() < supervisor->farewell_ends_ms)
        supervisor_farewell_later(supervisor);
    else
        (void)event_base_loopbreak(supervisor->base); /* always succeeds on a loop that runs */
}

static void supervisor_leave_if_done(struct supervisor *supervisor)
{
    if (supervisor->is_stopping && supervisor->farewell_ends_ms == 0 &&
        !supervisor_has_process(supervisor))
        supervisor_farewell_later(supervisor);
}

/* Those whose file is still being read have no worker yet, and must not start one now. */
static void supervisor_fail_resolving(struct supervisor *supervisor)
{
    struct err cause = ERR_INIT;
    struct request *next = NULL;

    err_fill(&cause, ERR_BUSY, "the supervisor is stopping");
    for (struct request *request = TAILQ_FIRST(&supervisor->requests); request != NULL;
         request = next) {
        next = TAILQ_NEXT(request, in_registry);
        if (request->state == REQUEST_RESOLVING)
            request_fail(request, &cause);
    }
}

/* Answers, TERM, KILL and what a process takes to end by that, and the last replies. */
static uint64_t supervisor_stop_max_ms(const struct supervisor *supervisor, uint64_t drain_ms)
{
    return drain_ms + (uint64_t)config_number(supervisor->config, CONFIG_life_term_grace) +
           STOP_SLACK_MS + FAREWELL_MS;
}

void supervisor_stop(struct supervisor *supervisor, uint64_t drain_ms)
{
    struct worker *worker = NULL;

    if (!supervisor->is_stopping) {
        log_event(LOG_INFO, "stopping", "drain_ms=%llu", (unsigned long long)drain_ms);
        supervisor->stopping_since_ms = clock_monotonic_ms();
    }
    supervisor->is_stopping = true;
    notify_stopping(&supervisor->notify, supervisor_stop_max_ms(supervisor, drain_ms));
    supervisor_fail_resolving(supervisor);
    pull_end_all(supervisor);
    verify_end_all(supervisor);
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        worker_stop(worker, WORKER_STOP_SHUTDOWN, drain_ms);
    }
    supervisor_leave_if_done(supervisor);
}

void supervisor_worker_changed(struct supervisor *supervisor, struct worker *worker)
{
    request_pump(worker);
    waiter_check(worker);
    supervisor_leave_if_done(supervisor);
}

/* ---- what the loop tells ---- */

/* Refused or not, it is over afterwards: systemd counts on a READY=1. */
static void supervisor_reload(struct supervisor *supervisor)
{
    notify_reloading(&supervisor->notify);
    reload(supervisor);
    notify_ready(&supervisor->notify);
}

static void supervisor_on_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *supervisor = arg;
    uint64_t drain_ms = (uint64_t)config_number(supervisor->config, CONFIG_life_drain);

    if (number == SIGHUP) {
        if (!supervisor->is_stopping) /* who stops opens nothing any more */
            supervisor_reload(supervisor);
        return;
    }
    /* Who asks twice does not want to wait for answers. */
    supervisor_stop(supervisor, supervisor->is_stopping ? 0 : drain_ms);
}

static void supervisor_on_store(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    store_dispatch(supervisor->store);
    shown_check(supervisor);
    audit_check(supervisor);
}

static void supervisor_on_health(void *owner, const struct err *err)
{
    struct supervisor *supervisor = owner;

    supervisor->store_health = *err;
    if (err_is_set(err))
        log_event(LOG_ERROR, "store_failing", "error=%s", err->message);
    else
        log_event(LOG_WARN, "store_works_again", "queued=%zu",
                  store_queued_count(supervisor->store));
    for (int log = 0; log < FEED_LOG_COUNT; log++)
        feed_wake(supervisor, (enum feed_log)log);
}

static void supervisor_on_lost(void *owner, const struct err *err)
{
    struct supervisor *supervisor = owner;

    metrics_count(&supervisor->metrics, METRIC_STORE_ROWS_LOST, 0);
    log_event(LOG_ERROR, "store_row_lost", "error=%s", err->message);
}

static void supervisor_tell_status(struct supervisor *supervisor)
{
    unsigned ready_count = 0;
    unsigned worker_count = 0;
    unsigned request_count = 0;
    const struct worker *worker = NULL;
    const struct request *request = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        worker_count++;
        ready_count += worker->state == LIFE_READY;
    }
    TAILQ_FOREACH(request, &supervisor->requests, in_registry)
    {
        request_count++;
    }
    notify_status(&supervisor->notify, ready_count, worker_count, request_count);
}

static void supervisor_on_upkeep(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;

    if (supervisor->farewell_ends_ms == 0)
        doors_upkeep(supervisor);
    feed_retry(supervisor);
    audit_upkeep(supervisor);
    supervisor_tell_status(supervisor);
    if (supervisor->own_log.path != NULL)
        log_file_redirect(&supervisor->own_log, STDERR_FILENO);
}

/* ---- beginning ---- */

static void supervisor_find_places(struct supervisor *supervisor)
{
    const char *program = config_text(supervisor->config, CONFIG_supervisor_worker_program);

    supervisor->state_dir = paths_state_dir();
    supervisor->runtime_dir = paths_runtime_dir();
    supervisor->listener.path = doors_socket_path(supervisor);
    supervisor->worker_program =
        program[0] == '\0' ? paths_sibling_program("rbee-worker") : xstrdup(program);
}

static int supervisor_make_folders(struct supervisor *supervisor, struct err *err)
{
    AUTO_FREE char *logs = paths_join(supervisor->state_dir, "logs");

    if (io_make_folders(supervisor->state_dir, STATE_MODE, err) != 0 ||
        io_make_folders(logs, STATE_MODE, err) != 0 ||
        io_make_folders(supervisor->runtime_dir, STATE_MODE, err) != 0)
        return -1;
    return 0;
}

/* A daemon's stderr is /dev/null: then the log goes to a file of its own. */
static bool supervisor_has_no_stderr(void)
{
    struct stat status;

    return fstat(STDERR_FILENO, &status) != 0 ||
           (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3));
}

static void supervisor_open_log(struct supervisor *supervisor)
{
    if (!supervisor_has_no_stderr())
        return;
    log_file_init(&supervisor->own_log, paths_join(supervisor->state_dir, "logs/rbeed.log"));
    log_file_redirect(&supervisor->own_log, STDERR_FILENO);
}

static int supervisor_open_store(struct supervisor *supervisor, struct err *err)
{
    AUTO_FREE char *path = paths_join(supervisor->state_dir, "rbee.db");
    struct store_report report = {0};

    supervisor->store = store_open(path, &report, err);
    if (supervisor->store == NULL)
        return -1;
    if (report.was_corrupt) {
        const char *name = strrchr(report.corrupt_path, '/');

        supervisor->set_aside = xstrdup(name == NULL ? report.corrupt_path : name + 1);
        log_event(LOG_ERROR, "store_corrupt", "set_aside=%s error=%s", report.corrupt_path,
                  report.corrupt_cause.message);
    }
    return 0;
}

static int supervisor_end_interrupted(struct supervisor *supervisor, struct err *err)
{
    const struct request_teller teller = {
        .on_request = supervisor->audit.is_on ? audit_request_interrupted : NULL,
        .owner = supervisor};
    int64_t count = 0;

    if (requests_end_interrupted(supervisor->store, teller, &count, err) != 0)
        return -1;
    if (count > 0)
        log_event(LOG_WARN, "requests_interrupted", "count=%lld", (long long)count);
    return 0;
}

static int supervisor_start_store(struct supervisor *supervisor, struct err *err)
{
    const struct store_listener listener = {
        .on_health = supervisor_on_health, .on_lost = supervisor_on_lost, .owner = supervisor};
    const struct store_retention retention = {
        .keep_ms = config_number(supervisor->config, CONFIG_limits_keep_days) * MS_PER_DAY,
        .keep_rows = config_number(supervisor->config, CONFIG_limits_keep_rows),
    };

    store_set_retention(supervisor->store, retention);
    if (store_start(supervisor->store, &listener, err) != 0)
        return -1;
    supervisor->store_event = event_new(supervisor->base, store_fd(supervisor->store),
                                        EV_READ | EV_PERSIST, supervisor_on_store, supervisor);
    (void)event_add(supervisor->store_event, NULL); /* fails only without memory */
    audit_tell_opened(supervisor);
    if (supervisor->set_aside != NULL)
        journal_event(supervisor, "store_corrupt", "", "",
                      json_pack("{s:s}", "set_aside", supervisor->set_aside));
    return 0;
}

static void supervisor_watch(struct supervisor *supervisor)
{
    const struct timeval upkeep = {.tv_sec = UPKEEP_S};

    for (size_t i = 0; i < SUPERVISOR_SIGNAL_COUNT; i++) {
        supervisor->signals[i] =
            evsignal_new(supervisor->base, SIGNALS[i], supervisor_on_signal, supervisor);
        (void)event_add(supervisor->signals[i], NULL); /* fails only without memory */
    }
    supervisor->upkeep =
        event_new(supervisor->base, -1, EV_PERSIST, supervisor_on_upkeep, supervisor);
    (void)event_add(supervisor->upkeep, &upkeep);
    supervisor->farewell = evtimer_new(supervisor->base, supervisor_on_farewell, supervisor);
    supervisor->clock_mover = clock_mover_new(supervisor->base);
    notify_watch(&supervisor->notify, supervisor->base);
}

/* The lock comes before everything that another supervisor could be using. */
static int supervisor_begin(struct supervisor *supervisor, struct err *err)
{
    if (doors_prepare(supervisor, err) != 0)
        return -1;
    supervisor_find_places(supervisor);
    if (supervisor_make_folders(supervisor, err) != 0 ||
        lock_acquire(&supervisor->lock, supervisor->state_dir, supervisor->listener.path, err) != 0)
        return -1;
    supervisor_open_log(supervisor);
    if (supervisor_open_store(supervisor, err) != 0 || audit_begin(supervisor, err) != 0 ||
        supervisor_end_interrupted(supervisor, err) != 0 || models_load(supervisor, err) != 0 ||
        worker_load_all(supervisor, err) != 0 || stored_load(supervisor, err) != 0 ||
        supervisor_start_store(supervisor, err) != 0)
        return -1;
    stored_restore(supervisor);
    if (doors_open(supervisor, err) != 0)
        return -1;
    watcher_start(&supervisor->watcher, supervisor->base);
    reader_start(&supervisor->gpus, supervisor);
    supervisor_watch(supervisor);
    log_event(LOG_INFO, "started", "version=%s pid=%d socket=%s", RBEE_VERSION, (int)getpid(),
              supervisor->listener.path);
    worker_start_wanted(supervisor);
    return 0;
}

struct supervisor *supervisor_new(struct config *config, struct err *err)
{
    struct supervisor *supervisor = xcalloc(1, sizeof(*supervisor));

    supervisor->config = config;
    supervisor->lock.fd = -1;
    supervisor->own_log.fd = -1;
    supervisor->handed.unix_fd = supervisor->handed.tcp_fd = -1;
    notify_init(&supervisor->notify);
    supervisor->started_ms = clock_monotonic_ms();
    clock_boot_id(supervisor->boot_id);
    policy_read(config, &supervisor->policy);
    TAILQ_INIT(&supervisor->devices);
    watcher_init(&supervisor->watcher);
    reader_init(&supervisor->gpus);
    TAILQ_INIT(&supervisor->models);
    TAILQ_INIT(&supervisor->workers);
    TAILQ_INIT(&supervisor->requests);
    TAILQ_INIT(&supervisor->waiters);
    TAILQ_INIT(&supervisor->shown);
    TAILQ_INIT(&supervisor->feeds);
    log_streams_init(&supervisor->log_streams);
    TAILQ_INIT(&supervisor->inquiries);
    TAILQ_INIT(&supervisor->describes);
    TAILQ_INIT(&supervisor->fetch_children);
    TAILQ_INIT(&supervisor->pulls);
    TAILQ_INIT(&supervisor->verifies);
    supervisor->base = event_base_new();
    if (supervisor->base == NULL) {
        supervisor_free(supervisor);
        return err_set_null(err, ERR_INTERNAL, "make an event loop: %m");
    }
    if (supervisor_begin(supervisor, err) != 0) {
        supervisor_free(supervisor);
        return NULL;
    }
    return supervisor;
}

/* The last event of a run that ends in order: the next one reads it (stored.c). */
static void supervisor_tell_stopped(struct supervisor *supervisor)
{
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t took_ms = now_ms - supervisor->stopping_since_ms;

    log_event(LOG_INFO, "stopped", "uptime_ms=%llu took_ms=%llu",
              (unsigned long long)(now_ms - supervisor->started_ms), (unsigned long long)took_ms);
    journal_event(supervisor, STORED_STOPPED_KIND, "", "",
                  json_pack("{s:I}", "took_ms", (json_int_t)took_ms));
    audit_tell_closed(supervisor);
}

int supervisor_run(struct supervisor *supervisor, struct err *err)
{
    notify_ready(&supervisor->notify);
    supervisor_tell_status(supervisor);
    if (event_base_dispatch(supervisor->base) < 0)
        return err_set(err, ERR_INTERNAL, "the event loop failed: %m");
    supervisor_tell_stopped(supervisor);
    return 0;
}

/* ---- end ---- */

static void supervisor_free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

/* The socket goes first and the lock last: who finds no socket may start another supervisor, who
 * gets the lock finds everything written. */
void supervisor_free(struct supervisor *supervisor)
{
    if (supervisor == NULL)
        return;
    doors_close(supervisor);
    describe_cancel_all(supervisor);
    inquiry_end_all(supervisor);
    fetch_child_end_all(supervisor);
    while (!TAILQ_EMPTY(&supervisor->workers))
        worker_free(TAILQ_FIRST(&supervisor->workers));
    devices_release(supervisor);
    watcher_release(&supervisor->watcher);
    reader_release(&supervisor->gpus);
    models_release(supervisor);
    supervisor_free_event(supervisor->store_event);
    store_close(supervisor->store);
    audit_release(&supervisor->audit);
    for (size_t i = 0; i < SUPERVISOR_SIGNAL_COUNT; i++)
        supervisor_free_event(supervisor->signals[i]);
    supervisor_free_event(supervisor->upkeep);
    supervisor_free_event(supervisor->farewell);
    clock_mover_free(supervisor->clock_mover);
    notify_release(&supervisor->notify);
    if (supervisor->base != NULL)
        event_base_free(supervisor->base);
    log_file_release(&supervisor->own_log);
    lock_release(&supervisor->lock);
    free(supervisor->state_dir);
    free(supervisor->runtime_dir);
    free(supervisor->worker_program);
    free(supervisor->set_aside);
    breaker_rows_release(&supervisor->stored_breakers);
    free(supervisor);
}

/* ---- status ---- */

static void supervisor_add_reason(json_t *reasons, const char *text)
{
    (void)json_array_append_new(reasons, json_text_lossy(text, strlen(text)));
}

/* A hold is a person's will, and no fault: it shows in the worker's record. */
static void supervisor_add_worker_reasons(const struct worker *worker, json_t *reasons)
{
    bool has_process = life_has_process(worker->state);
    struct err why = ERR_INIT;

    if (worker->state == LIFE_OPEN || worker->recovery.breaker.state == BREAKER_FORCED_OPEN)
        worker_explain_open(worker, &why);
    else if (worker->state == LIFE_FAILED || worker->state == LIFE_LOST ||
             (!has_process && worker->has_failed && !worker->recovery.is_held))
        worker_explain(worker, &why);
    else if (has_process && worker->recovery.is_reduced)
        err_fill(&why, ERR_NO_MEMORY,
                 "worker %s ran out of memory, and runs with a context of %lld and %lld slots; "
                 "rbee worker restart %s tries it with all again",
                 worker->name, (long long)worker->running.context_tokens,
                 (long long)worker->running.slots, worker->name);
    if (err_is_set(&why))
        supervisor_add_reason(reasons, why.message);
}

static void supervisor_add_device_reasons(const struct device *device, json_t *reasons)
{
    struct err why = ERR_INIT;

    if (device->breaker.state == BREAKER_CLOSED && device->lost_count == 0)
        return;
    device_explain(device, &why);
    supervisor_add_reason(reasons, why.message);
}

/* What is not well with what everybody needs. */
static void supervisor_add_own_reasons(struct supervisor *supervisor, json_t *reasons)
{
    if (err_is_set(&supervisor->store_health))
        supervisor_add_reason(reasons, supervisor->store_health.message);
    if (supervisor->set_aside != NULL) {
        AUTO_FREE char *text = xasprintf("the database was corrupt: it is kept as %s, and a new "
                                         "one was begun",
                                         supervisor->set_aside);

        supervisor_add_reason(reasons, text);
    }
    audit_add_reasons(supervisor, reasons);
    if (supervisor->is_journal_refused)
        supervisor_add_reason(reasons, "the database takes no more rows");
    if (err_is_set(&supervisor->watcher.failure))
        supervisor_add_reason(reasons, supervisor->watcher.failure.message);
    if (supervisor->listener.has_failed)
        supervisor_add_reason(reasons, "the socket is gone and cannot be made again");
}

/* Why not all is well, each with what helps; empty when it is. */
static json_t *supervisor_reasons(struct supervisor *supervisor)
{
    json_t *reasons = json_array();
    const struct worker *worker = NULL;
    const struct device *device = NULL;

    supervisor_add_own_reasons(supervisor, reasons);
    TAILQ_FOREACH(device, &supervisor->devices, link)
    {
        supervisor_add_device_reasons(device, reasons);
    }
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        supervisor_add_worker_reasons(worker, reasons);
    }
    return reasons;
}

/* What a person should know although all is well. */
static json_t *supervisor_warnings(struct supervisor *supervisor)
{
    json_t *warnings = json_array();
    AUTO_FREE char *door = doors_warning(supervisor);
    AUTO_FREE char *gpus = reader_warning(&supervisor->gpus);
    struct worker *worker = NULL;

    if (door != NULL)
        supervisor_add_reason(warnings, door);
    if (gpus != NULL)
        supervisor_add_reason(warnings, gpus);
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        AUTO_FREE char *warning = worker_command_warning(worker);

        if (warning != NULL)
            supervisor_add_reason(warnings, warning);
    }
    return warnings;
}

json_t *supervisor_record(struct supervisor *supervisor)
{
    json_t *record = json_object();
    json_t *reasons = supervisor_reasons(supervisor);
    json_t *workers = json_array();
    json_t *requests = json_array();
    const char *state = json_array_size(reasons) > 0 ? "degraded" : "ok";
    const char *socket = supervisor->listener.path; /* a path, so bytes: not always UTF-8 */
    const char *listen = supervisor->tcp.name;
    uint64_t uptime_ms = clock_monotonic_ms() - supervisor->started_ms;
    struct worker *worker = NULL;
    struct request *request = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        (void)json_array_append_new(workers, worker_record(worker));
    }
    TAILQ_FOREACH(request, &supervisor->requests, in_registry)
    {
        (void)json_array_append_new(requests, request_record(request));
    }
    (void)json_object_set_new(record, "state",
                              json_string(supervisor->is_stopping ? "stopping" : state));
    (void)json_object_set_new(record, "pid", json_integer(getpid()));
    (void)json_object_set_new(record, "version", json_string(RBEE_VERSION));
    (void)json_object_set_new(record, "uptime_ms", json_integer((json_int_t)uptime_ms));
    (void)json_object_set_new(record, "socket", json_text_lossy(socket, strlen(socket)));
    (void)json_object_set_new(record, "listen", json_text_or_null(listen));
    (void)json_object_set_new(record, "reasons", reasons);
    (void)json_object_set_new(record, "warnings", supervisor_warnings(supervisor));
    (void)json_object_set_new(record, "workers", workers);
    (void)json_object_set_new(record, "requests", requests);
    record_check(RECORD_STATUS, record);
    return record;
}

/* Owns the shape of what is written down: from the structs of the supervisor to rows of db/. */
#include "supervisor/journal.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "db/events.h"
#include "db/requests.h"
#include "db/workers.h"
#include "supervisor/stored.h"
#include "supervisor/supervisor.h"

static void journal_judge(struct supervisor *supervisor, int result, const struct err *err)
{
    if (result != 0 && !supervisor->is_journal_refused)
        log_event(LOG_ERROR, "store_refused", "error=%s", err->message);
    supervisor->is_journal_refused = result != 0;
}

int journal_worker_awaited(const struct worker *worker, struct store_done done)
{
    struct err err = ERR_INIT;
    struct worker_row row = {
        .name = worker->name,
        .desired = worker->asked_up ? "up" : "down",
        .state = life_state_name(worker->state),
        .model = worker->model,
        .model_path = worker->model_path,
        .device = worker->options.device,
        .context_tokens = worker->options.context_tokens,
        .threads = worker->options.threads,
        .slots = worker->options.slots,
        .kv_type = worker->options.kv_type,
        .allow_cpu = worker->options.allow_cpu,
        .autostart = worker->is_autostart,
        .instance = worker->process.instance,
        .pid = worker->process.pid,
        .start_time_ticks = (int64_t)worker->process.start_ticks,
        .boot_id = worker->supervisor->boot_id,
        .last_exit = worker->last_exit,
        .last_stderr = worker->last_words,
        .held_reason = worker->held_reason,
        .held_ms = worker->held_ms,
        .degraded_context = worker->reduced.context_tokens,
        .degraded_slots = worker->reduced.slots,
        .pin = worker->is_pinned,
        .updated_ms = clock_wall_ms(),
    };
    int result = 0;

    stored_recovery(&worker->recovery, &row);
    result = workers_put(worker->supervisor->store, &row, done, &err);
    journal_judge(worker->supervisor, result, &err);
    return result;
}

void journal_worker(const struct worker *worker)
{
    (void)journal_worker_awaited(worker, STORE_NOBODY); /* journal_judge() has said it */
}

static int journal_breaker(struct supervisor *supervisor, const struct breaker *breaker,
                           struct breaker_row row, struct store_done done)
{
    struct err err = ERR_INIT;
    int result = 0;

    row.boot_id = supervisor->boot_id;
    stored_breaker(breaker, &row);
    result = breakers_put(supervisor->store, &row, done, &err);
    journal_judge(supervisor, result, &err);
    return result;
}

/* WORKER or DEVICE is "". */
struct journal_breaker_event {
    const char *worker;
    const char *device;
    const char *reason;
    const struct breaker *before;
    const struct breaker *now;
};

static void journal_transition(struct supervisor *supervisor,
                               const struct journal_breaker_event *event)
{
    const struct breaker *now = event->now;
    const char *from = breaker_state_name(event->before->state);
    const char *to = breaker_state_name(now->state);
    const char *cause = breaker_cause_name(now->cause);

    metrics_count_opening(&supervisor->metrics,
                          event->worker[0] != '\0' ? METRIC_BREAKER_WORKER : METRIC_BREAKER_DEVICE,
                          event->before, now);
    if (now->state == event->before->state)
        return;
    log_event(now->state == BREAKER_CLOSED ? LOG_INFO : LOG_WARN, "breaker",
              "worker=%s device=%s from=%s to=%s cause=%s trips=%lld reason=%s", event->worker,
              event->device, from, to, cause, (long long)now->trip_count, event->reason);
    journal_event(supervisor, "breaker", event->worker, "",
                  json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "device", event->device, "from",
                            from, "to", to, "cause", cause, "trips", (json_int_t)now->trip_count,
                            "open_time_ms", (json_int_t)now->open_time_ms, "reason",
                            event->reason));
    audit_breaker_changed(supervisor, event->worker, event->device, event->before, now,
                          event->reason);
}

void journal_worker_breaker(const struct worker *worker, const struct breaker *before)
{
    AUTO_FREE char *key = xasprintf("worker:%s", worker->name);
    const struct breaker *now = &worker->recovery.breaker;
    const struct breaker_row row = {
        .key = key, .last_words = worker->last_words, .reason = worker->breaker_reason};

    (void)journal_breaker(worker->supervisor, now, row, STORE_NOBODY); /* it is said already */
    journal_transition(worker->supervisor, &(struct journal_breaker_event){
                                               .worker = worker->name,
                                               .device = "",
                                               .reason = worker->breaker_reason,
                                               .before = before,
                                               .now = now,
                                           });
}

int journal_device_awaited(const struct device *device, struct store_done done)
{
    const struct breaker_row row = {
        .key = device->name, .last_words = "", .reason = device->breaker_reason};

    return journal_breaker(device->supervisor, &device->breaker, row, done);
}

void journal_device_breaker(const struct device *device, const struct breaker *before)
{
    (void)journal_device_awaited(device, STORE_NOBODY); /* journal_judge() has said it */
    journal_transition(device->supervisor, &(struct journal_breaker_event){
                                               .worker = "",
                                               .device = device->name,
                                               .reason = device->breaker_reason,
                                               .before = before,
                                               .now = &device->breaker,
                                           });
}

void journal_device_renamed(const struct device *device, const char *old_name)
{
    struct err err = ERR_INIT;

    (void)journal_device_awaited(device, STORE_NOBODY); /* journal_judge() has said it */
    journal_judge(device->supervisor,
                  breakers_remove(device->supervisor->store, old_name, STORE_NOBODY, &err), &err);
}

void journal_worker_removed(struct supervisor *supervisor, const char *name)
{
    AUTO_FREE char *key = xasprintf("worker:%s", name);
    struct err err = ERR_INIT;

    journal_judge(supervisor, workers_remove(supervisor->store, name, STORE_NOBODY, &err), &err);
    journal_judge(supervisor, breakers_remove(supervisor->store, key, STORE_NOBODY, &err), &err);
}

void journal_request(struct request *request, const char *outcome)
{
    struct store *store = request->supervisor->store;
    struct err err = ERR_INIT;
    bool has_ended = outcome[0] != '\0';
    /* An end that took its begin's place would be on disk before what the audit trail tells of the
     * request: who dies in between would leave a trail without an end, and a request that has one.
     */
    struct store_place *place = request->supervisor->audit.is_on ? NULL : &request->row;
    struct request_row row = {
        .id = request->id,
        .request_id = request->label,
        .worker = request->worker == NULL ? "" : request->worker->name,
        .model = request->worker == NULL ? "" : request->worker->model,
        .submitted_ms = request->submitted_ms,
        .started_ms = request->started_ms,
        .ended_ms = has_ended ? clock_wall_ms() : 0,
        .outcome = outcome,
        .stop_reason = request->stop_reason,
        .prompt_tokens = request->prompt_tokens < 0 ? 0 : request->prompt_tokens,
        .completion_tokens = request->token_count,
    };

    journal_judge(request->supervisor,
                  has_ended ? requests_put_end(store, &row, &request->row, &err)
                            : requests_put_begin(store, &row, place, &err),
                  &err);
}

void journal_event(struct supervisor *supervisor, const char *kind, const char *worker,
                   const char *request, json_t *details)
{
    AUTO_JSON json_t *owned = details == NULL ? json_object() : details;
    AUTO_FREE char *text = json_to_text(owned);
    struct err err = ERR_INIT;
    struct event_row row = {
        .at_ms = clock_wall_ms(),
        .kind = kind,
        .worker = worker,
        .request = request,
        .details = text,
    };

    journal_judge(supervisor, events_append(supervisor->store, &row, STORE_NOBODY, NULL, &err),
                  &err);
    feed_wake(supervisor, FEED_EVENTS);
}

void journal_failure(const struct worker *worker, const struct device_set *devices,
                     enum fault_class fault, int64_t load_ms, int64_t now_ms)
{
    char device[DEVICE_NAMES_MAX_BYTES + 1];
    struct err err = ERR_INIT;
    struct failure_row row = {
        .at_ms = clock_wall_ms(),
        .at_mono_ms = now_ms,
        .boot_id = worker->supervisor->boot_id,
        .worker = worker->name,
        .device = device,
        .class = fault_name(fault),
        .exit = worker->last_exit,
        .last_words = worker->last_words,
        .instance = worker->process.instance,
        .load_ms = load_ms,
        .wait_ms = worker->failed_wait_ms,
        .is_drill = worker_is_in_drill(worker),
    };

    device_set_write_name(devices, device);
    journal_judge(worker->supervisor,
                  failures_append(worker->supervisor->store, &row, STORE_NOBODY, NULL, &err), &err);
}

/* Owns the registry of workers and the one function that changes a worker's state, with what it
 * does about it. How a process is made, watched and ended is in the other worker_*.c. */
#include "supervisor/worker.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/units.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

/* ---- the spawn ---- */

/* Ties a row on its way to the disk to the worker whose process may be made once it is there: an
 * attempt that was not written down would be forgotten by a supervisor that is killed right after.
 */
struct worker_ticket {
    struct worker *worker; /* NULL: nobody waits for the row any more */
};

static void worker_drop_ticket(struct worker *worker)
{
    if (worker->ticket != NULL)
        worker->ticket->worker = NULL; /* its row comes back, and frees it */
    worker->ticket = NULL;
}

/* ---- registry ---- */

struct worker *worker_find(struct supervisor *supervisor, const char *name)
{
    struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (strcmp(worker->name, name) == 0)
            return worker;
    }
    return NULL;
}

/* In the order of names, as every list of them is shown. */
static void worker_insert(struct worker *worker)
{
    struct worker *after = NULL;

    TAILQ_FOREACH(after, &worker->supervisor->workers, link)
    {
        if (strcmp(after->name, worker->name) > 0)
            break;
    }
    if (after != NULL)
        TAILQ_INSERT_BEFORE(after, worker, link);
    else
        TAILQ_INSERT_TAIL(&worker->supervisor->workers, worker, link);
}

struct worker *worker_new(struct supervisor *supervisor, const char *name, const char *model,
                          const char *path)
{
    struct worker *worker = xcalloc(1, sizeof(*worker));
    AUTO_FREE char *log_name = xasprintf("logs/%s.log", name);

    worker->supervisor = supervisor;
    memcpy(worker->name, name, strlen(name) + 1);
    worker->model = xstrdup(model);
    worker->model_path = xstrdup(path);
    worker->dialect = &DIALECT_NATIVE;
    worker->last_exit = xstrdup("");
    worker->last_words = xstrdup("");
    worker->held_reason = xstrdup("");
    worker->breaker_reason = xstrdup("");
    worker->state_since_ms = (int64_t)clock_monotonic_ms();
    recovery_init(&worker->recovery);
    worker->process.pidfd = -1;
    worker->process.socket_fd = -1;
    TAILQ_INIT(&worker->queue);
    TAILQ_INIT(&worker->in_flight);
    worker_output_init(&worker->output, paths_join(supervisor->state_dir, log_name));
    worker_deadline_init(worker);
    worker_insert(worker);
    return worker;
}

void worker_free(struct worker *worker)
{
    TAILQ_REMOVE(&worker->supervisor->workers, worker, link);
    worker_drop_ticket(worker);
    worker_process_release(worker);
    worker_output_release(&worker->output);
    event_free(worker->deadline);
    free(worker->model);
    free(worker->model_path);
    if (worker->command != NULL)
        command_line_release(worker->command);
    free(worker->command);
    free(worker->health);
    free(worker->last_exit);
    free(worker->last_words);
    free(worker->held_reason);
    free(worker->breaker_reason);
    free(worker);
}

/* Without a process it may still be waited for: it was to be started again. */
void worker_remove(struct worker *worker)
{
    struct err why = ERR_INIT;

    err_fill(&why, ERR_WORKER_NOT_FOUND, "worker %s has been removed", worker->name);
    worker_lapse(worker);
    request_fail_waiting(worker, &why);
    waiter_fail(worker, &why);
    journal_worker_removed(worker->supervisor, worker->name);
    worker_free(worker);
}

void worker_set_model(struct worker *worker, const char *model, const char *path)
{
    free(worker->model);
    free(worker->model_path);
    worker->model = xstrdup(model);
    worker->model_path = xstrdup(path);
    worker->stamp = (struct model_stamp){0};
    worker->described = (struct model_need){0};
}

const char *worker_path(const struct worker *worker)
{
    struct model *model = NULL;

    if (worker->model[0] == '\0')
        return worker->model_path;
    model = model_find(worker->supervisor, worker->model);
    return model == NULL ? NULL : model->path;
}

/* ---- its life ---- */

static enum fault_class worker_spawn_fault(const struct err *err)
{
    switch (err->kind) {
    case ERR_MODEL_NOT_FOUND:
    case ERR_NO_FILE:
    case ERR_CONFIG:
    case ERR_WORKER_CONFIG:
        return FAULT_CONFIG;
    default:
        return FAULT_CRASH;
    }
}

static void worker_spawn_failed(struct worker *worker, const struct err *err)
{
    free(worker->last_exit);
    free(worker->last_words);
    worker->last_exit = xstrdup("could not be started");
    worker->last_words = xstrdup(err->message);
    worker_ended(worker, worker_spawn_fault(err), err);
}

/* The process of a start has been made: its state says so already, its pid comes here. */
static void worker_tell_spawned(const struct worker *worker)
{
    log_event(LOG_INFO, "worker_spawned", "name=%s pid=%d instance=%s attempt=%lld", worker->name,
              (int)worker->process.pid, worker->process.instance,
              (long long)worker->recovery.restart.attempt);
    journal_event(worker->supervisor, "worker_spawned", worker->name, "",
                  json_pack("{s:i, s:s, s:I}", "pid", (int)worker->process.pid, "instance",
                            worker->process.instance, "attempt",
                            (json_int_t)worker->recovery.restart.attempt));
    audit_worker_spawned(worker);
}

static void worker_spawn_now(struct worker *worker)
{
    struct err err = ERR_INIT;

    if (worker_spawn(worker, &err) != 0) {
        worker_spawn_failed(worker, &err);
        return;
    }
    worker_watch_begin(worker);
    worker_tell_spawned(worker);
    worker_arm_deadline(worker);
    journal_worker(worker);
    waiter_check(worker);
}

/* On disk, or the disk refuses: then counting goes on in memory, and the row is still on its way.
 */
static void worker_on_recorded(void *owner, const struct err *err)
{
    struct worker_ticket *ticket = owner;
    struct worker *worker = ticket->worker;

    free(ticket);
    if (worker == NULL)
        return;
    worker->ticket = NULL;
    worker_spawn_now(worker);
}

struct worker_options worker_next_options(const struct worker *worker)
{
    struct worker_options next = worker->next_running;

    if (worker->command == NULL && device_set_is_gpu(&worker->devices))
        device_set_write_name(&worker->devices, next.device);
    if (!worker->recovery.is_reduced)
        return next;
    if (next.context_tokens == 0 || next.context_tokens > worker->reduced.context_tokens)
        next.context_tokens = worker->reduced.context_tokens;
    if (next.slots == 0 || next.slots > worker->reduced.slots)
        next.slots = worker->reduced.slots;
    return next;
}

void worker_begin(struct worker *worker)
{
    struct err err = ERR_INIT;
    struct worker_ticket *ticket = NULL;

    worker->running = worker_next_options(worker);
    worker->stop_cause = WORKER_STOP_ASKED;
    worker->starts_again = false;
    worker->has_failed = false;
    if (worker_check_place(worker, &err) != 0 || worker_spawn_prepare(worker, &err) != 0) {
        worker_spawn_failed(worker, &err);
        return;
    }
    ticket = xcalloc(1, sizeof(*ticket));
    ticket->worker = worker;
    worker->ticket = ticket;
    if (journal_worker_awaited(worker, (struct store_done){worker_on_recorded, ticket}) == 0)
        return;
    worker_drop_ticket(worker);
    free(ticket);
    worker_spawn_now(worker);
}

static void worker_serve(struct worker *worker)
{
    worker_live_begin(worker);
    worker_watch_load_end(worker);
    worker->process.ready_ms = clock_monotonic_ms();
    worker->idle_since_ms = worker->process.ready_ms;
    recovery_on_ready(&worker->recovery, (int64_t)worker->process.ready_ms);
    device_set_on_load_end(&worker->devices, worker);
}

/* What waits for it fails, of what keeps it from coming. */
static void worker_refuse(struct worker *worker, const struct err *cause)
{
    struct err why = ERR_INIT;

    if (worker->state == LIFE_OPEN || worker->state == LIFE_HELD || cause == NULL)
        worker_explain(worker, &why);
    else
        why = *cause;
    request_fail_waiting(worker, &why);
}

/* The process is gone: what hung on it fails. What waits goes on waiting if it comes again. */
static void worker_settle(struct worker *worker, const struct err *cause)
{
    bool starts_again = worker->starts_again;

    request_fail_running(worker, cause);
    if (!worker_may_come(worker) && !starts_again)
        worker_refuse(worker, cause);
    worker_process_release(worker);
    if (!starts_again)
        return;
    waiter_check(worker); /* it has stopped, if only for a moment */
    worker->starts_again = false;
    /* A back-off that has just begun is shortened by a person alone. */
    if (worker->state != LIFE_WAITING || worker->again_asker == RECOVERY_PERSON)
        worker_try_start(worker, worker->again_asker);
}

static void worker_end(struct worker *worker, int signal, const struct err *cause)
{
    worker_live_end(worker);
    /* After a fault that we have judged the decision about what waits comes with the exit. */
    if (!worker->starts_again && !worker->process.was_judged)
        request_fail_waiting(worker, cause);
    request_fail_running(worker, cause);
    worker_watch_load_end(worker);
    worker->stage_since_ms = (int64_t)clock_monotonic_ms();
    if (worker->process.pid <= 0) { /* it was not made yet */
        worker_drop_ticket(worker);
        worker_ended(worker, worker->process.fault, cause);
        return;
    }
    worker->process.is_killed = signal == SIGKILL;
    metrics_count(&worker->supervisor->metrics, METRIC_WORKER_SIGNALS,
                  signal == SIGKILL ? METRIC_SIGNAL_KILL : METRIC_SIGNAL_TERM);
    if (signal == SIGKILL)
        audit_worker_killed(worker, cause == NULL ? "" : cause->message);
    worker_signal(worker, signal);
}

static void worker_give_up(struct worker *worker, const struct err *cause)
{
    worker->has_failed = true;
    worker->starts_again = false;
    request_fail_waiting(worker, cause);
    request_fail_running(worker, cause);
    device_set_on_lost(&worker->devices);
    device_set_on_load_end(&worker->devices, worker); /* others on a CPU need not wait for it */
}

static void worker_drain(struct worker *worker, const struct err *cause)
{
    worker->stage_since_ms = (int64_t)clock_monotonic_ms();
    request_fail_waiting(worker, cause);
    if (worker->in_flight_count == 0)
        worker_step(worker, LIFE_ON_DRAINED, cause);
}

static void worker_act(struct worker *worker, enum life_action action, const struct err *cause)
{
    switch (action) {
    case LIFE_NONE:
        break;
    case LIFE_SPAWN:
        worker_begin(worker);
        break;
    case LIFE_SERVE:
        worker_serve(worker);
        break;
    case LIFE_DRAIN:
        worker_drain(worker, cause);
        break;
    case LIFE_TERMINATE:
        worker_end(worker, SIGTERM, cause);
        break;
    case LIFE_KILL:
        worker_end(worker, SIGKILL, cause);
        break;
    case LIFE_GIVE_UP:
        worker_give_up(worker, cause);
        break;
    case LIFE_SETTLE:
        worker_settle(worker, cause);
        break;
    case LIFE_REFUSE:
        worker_refuse(worker, cause);
        break;
    }
}

static void worker_tell(const struct worker *worker, enum life_state from, enum life_event event,
                        const struct err *cause)
{
    const char *why = cause == NULL ? "" : cause->message;
    json_t *details =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "from", life_state_name(from), "to",
                  life_state_name(worker->state), "event", life_event_name(event), "pid",
                  (int)worker->process.pid, "instance", worker->process.instance, "cause",
                  json_text_lossy(why, strlen(why)));

    if (life_has_process(from) && !life_has_process(worker->state)) {
        (void)json_object_set_new(details, "exit",
                                  json_text_lossy(worker->last_exit, strlen(worker->last_exit)));
        (void)json_object_set_new(
            details, "fault",
            json_string(fault_name(worker->has_failed ? worker->recovery.fault : FAULT_NONE)));
        (void)json_object_set_new(details, "drill",
                                  json_boolean(worker->has_failed && worker_is_in_drill(worker)));
        (void)json_object_set_new(details, "stderr", worker_output_lines(&worker->output));
    }
    log_event(worker->has_failed ? LOG_WARN : LOG_INFO, "worker",
              "name=%s from=%s to=%s event=%s pid=%d cause=%s", worker->name, life_state_name(from),
              life_state_name(worker->state), life_event_name(event), (int)worker->process.pid,
              why);
    journal_event(worker->supervisor, "worker_state", worker->name, "", details);
    audit_worker_step(worker, from, cause);
}

void worker_step(struct worker *worker, enum life_event event, const struct err *cause)
{
    const struct life_rule *rule = life_step(worker->state, event);
    enum life_state from = worker->state;

    if (rule == NULL)
        return;
    worker->state = rule->to;
    if (from != rule->to)
        worker->state_since_ms = (int64_t)clock_monotonic_ms();
    worker_tell(worker, from, event, cause);
    worker_act(worker, rule->action, cause);
    worker_arm_deadline(worker);
    journal_worker(worker);
    worker_room_changed(worker);
    supervisor_worker_changed(worker->supervisor, worker);
}

void worker_requests_changed(struct worker *worker)
{
    struct err cause = ERR_INIT;

    if (worker->in_flight_count == 0 && worker->queued_count == 0)
        worker->idle_since_ms = clock_monotonic_ms();
    if (worker->state == LIFE_DRAINING && worker->in_flight_count == 0) {
        worker_explain_stop(worker, &cause);
        worker_step(worker, LIFE_ON_DRAINED, &cause);
        return;
    }
    request_pump(worker);
    worker_live_load_changed(worker);
    worker_arm_deadline(worker);
    waiter_check(worker); /* for it to be idle */
    worker_room_changed(worker);
}

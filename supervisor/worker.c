/* Owns the registry of workers and the one function that changes a worker's state. How a process
 * is made, watched and ended is in the other worker_*.c. */
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
    worker->last_exit = xstrdup("");
    worker->last_words = xstrdup("");
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
    worker_process_release(worker);
    worker_output_release(&worker->output);
    event_free(worker->deadline);
    free(worker->model);
    free(worker->model_path);
    free(worker->last_exit);
    free(worker->last_words);
    free(worker);
}

void worker_remove(struct worker *worker)
{
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

static void worker_begin(struct worker *worker)
{
    struct err err = ERR_INIT;

    worker->starts_again = false;
    worker->has_failed = false;
    if (worker_spawn(worker, &err) == 0) {
        worker_watch_begin(worker);
        return;
    }
    free(worker->last_exit);
    free(worker->last_words);
    worker->last_exit = xstrdup("could not be started");
    worker->last_words = xstrdup(err.message);
    worker_step(worker, LIFE_ON_SPAWN_FAILED, &err);
}

/* What runs ends with its process, whatever comes after it; what waits may wait for the next. */
static void worker_fail_requests(struct worker *worker, const struct err *cause)
{
    if (!worker->starts_again)
        request_fail_waiting(worker, cause);
    request_fail_running(worker, cause);
}

/* The process is gone: what hung on it fails, and a start that waited for this goes on. */
static void worker_settle(struct worker *worker, const struct err *cause)
{
    worker_fail_requests(worker, cause);
    worker_process_release(worker);
    if (!worker->starts_again)
        return;
    waiter_check(worker); /* it has stopped, if only for a moment */
    worker_step(worker, worker->wanted_up ? LIFE_ON_START : LIFE_ON_REQUESTED, NULL);
}

static void worker_bury(struct worker *worker, const struct err *cause)
{
    worker->has_failed = true;
    worker->starts_again = false;
    worker_fail_requests(worker, cause);
    worker_process_release(worker);
}

static void worker_end(struct worker *worker, int signal, const struct err *cause)
{
    worker_fail_requests(worker, cause);
    worker_watch_load_end(worker);
    worker->process.is_killed = signal == SIGKILL;
    worker_signal(worker, signal);
}

static void worker_give_up(struct worker *worker, const struct err *cause)
{
    worker->has_failed = true;
    worker->starts_again = false;
    worker_fail_requests(worker, cause);
}

static void worker_act(struct worker *worker, enum life_action action, const struct err *cause)
{
    switch (action) {
    case LIFE_NONE:
        break;
    case LIFE_SPAWN:
        worker->running = worker->next_running;
        worker->stop_cause = WORKER_STOP_ASKED;
        worker_begin(worker);
        break;
    case LIFE_SERVE:
        worker_watch_load_end(worker);
        worker->process.ready_ms = clock_monotonic_ms();
        worker->idle_since_ms = worker->process.ready_ms;
        break;
    case LIFE_DRAIN:
        request_fail_waiting(worker, cause);
        if (worker->in_flight_count == 0)
            worker_step(worker, LIFE_ON_DRAINED, cause);
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
    case LIFE_BURY:
        worker_bury(worker, cause);
        break;
    case LIFE_SETTLE:
        worker_settle(worker, cause);
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

    if (event == LIFE_ON_EXITED || event == LIFE_ON_EXITED_CONFIG)
        (void)json_object_set_new(details, "stderr", worker_output_lines(&worker->output));
    log_event(worker->has_failed ? LOG_WARN : LOG_INFO, "worker",
              "name=%s from=%s to=%s event=%s pid=%d cause=\"%s\"", worker->name,
              life_state_name(from), life_state_name(worker->state), life_event_name(event),
              (int)worker->process.pid, why);
    journal_event(worker->supervisor, "worker_state", worker->name, "", details);
}

void worker_step(struct worker *worker, enum life_event event, const struct err *cause)
{
    const struct life_rule *rule = life_step(worker->state, event);
    enum life_state from = worker->state;

    if (rule == NULL)
        return;
    worker->state = rule->to;
    worker_tell(worker, from, event, cause);
    worker_act(worker, rule->action, cause);
    worker_arm_deadline(worker);
    journal_worker(worker);
    supervisor_worker_changed(worker->supervisor, worker);
}

/* ---- wishes ---- */

static int worker_check_number(const struct worker *worker, const char *what, int64_t asked,
                               int64_t running, int64_t effective, struct err *err)
{
    if (asked == 0 || asked == running || asked == effective)
        return 0;
    if (running == 0)
        running = effective;
    if (running == 0)
        return err_set(err, ERR_CONFLICT,
                       "worker %s runs with its own %s, not %" PRId64 ": stop it first",
                       worker->name, what, asked);
    return err_set(err, ERR_CONFLICT,
                   "worker %s runs with %s %" PRId64 ", not %" PRId64 ": stop it first",
                   worker->name, what, running, asked);
}

/* Which process serves next is known, and with which options. */
static bool worker_has_chosen(const struct worker *worker)
{
    return worker->state == LIFE_STARTING || worker->state == LIFE_READY || worker->starts_again;
}

int worker_check_options(const struct worker *worker, const struct worker_options *asked,
                         struct err *err)
{
    static const struct worker_facts NONE = {0}; /* of a process that is still to come */
    const struct worker_options *running =
        worker->starts_again ? &worker->next_running : &worker->running;
    const struct worker_facts *facts = worker->starts_again ? &NONE : &worker->facts;
    const char *device = facts->device[0] != '\0' ? facts->device : running->device;

    if (!worker_has_chosen(worker))
        return 0;
    if (worker_check_number(worker, "context", asked->context_tokens, running->context_tokens,
                            facts->context_tokens, err) != 0 ||
        worker_check_number(worker, "threads", asked->threads, running->threads, 0, err) != 0 ||
        worker_check_number(worker, "slots", asked->slots, running->slots, facts->slots, err) != 0)
        return -1;
    if (asked->device[0] != '\0' && strcmp(asked->device, device) != 0)
        return err_set(err, ERR_CONFLICT, "worker %s runs on device %s, not %s: stop it first",
                       worker->name, device[0] == '\0' ? "cpu" : device, asked->device);
    return 0;
}

static struct worker_options worker_options_over(const struct worker_options *base,
                                                 const struct worker_options *asked)
{
    struct worker_options out = *base;

    if (asked->context_tokens != 0)
        out.context_tokens = asked->context_tokens;
    if (asked->threads != 0)
        out.threads = asked->threads;
    if (asked->slots != 0)
        out.slots = asked->slots;
    if (asked->device[0] != '\0')
        memcpy(out.device, asked->device, sizeof(out.device));
    out.allow_cpu = base->allow_cpu || asked->allow_cpu;
    return out;
}

static void worker_start(struct worker *worker, enum life_event event,
                         const struct worker_options *options)
{
    if (worker->starts_again)
        return; /* who waits for that start has been promised its options */
    worker->next_running = *options;
    if (worker->state == LIFE_DRAINING || worker->state == LIFE_STOPPING)
        worker->starts_again = true;
    else
        worker_step(worker, event, NULL);
}

int worker_want_up(struct worker *worker, const struct worker_options *asked, struct err *err)
{
    if (worker->state == LIFE_LOST)
        return err_set(err, ERR_WORKER_FAILED, "worker %s survived KILL and is not gone yet",
                       worker->name);
    if (worker_check_options(worker, asked, err) != 0)
        return -1;
    worker->options = worker_options_over(&worker->options, asked);
    worker->asked_up = worker->wanted_up = true;
    worker_start(worker, LIFE_ON_START, &worker->options);
    worker_arm_deadline(worker); /* it does not stop for idleness any more */
    journal_worker(worker);
    return 0;
}

void worker_request_start(struct worker *worker, const struct worker_options *asked)
{
    struct worker_options options = worker_options_over(&worker->options, asked);

    worker_start(worker, LIFE_ON_REQUESTED, &options);
}

void worker_want_down(struct worker *worker, bool force)
{
    struct err cause = ERR_INIT;

    worker->asked_up = worker->wanted_up = false;
    journal_worker(worker);
    if (!force) {
        worker_stop(worker, WORKER_STOP_ASKED,
                    (uint64_t)config_number(worker->supervisor->config, CONFIG_life_drain));
        return;
    }
    err_fill(&cause, ERR_WORKER_DRAINING, "worker %s has been stopped by force", worker->name);
    worker->stop_cause = WORKER_STOP_ASKED;
    worker_take_back_restart(worker, &cause);
    worker_step(worker, LIFE_ON_FORCE, &cause);
}

void worker_recheck_model(struct worker *worker)
{
    struct model_stamp now = {0};
    struct err ignored = ERR_INIT;
    const char *path = worker_path(worker);

    if (worker->state != LIFE_FAILED || path == NULL || model_stamp_of(path, &now, &ignored) != 0)
        return;
    if (!model_stamp_equal(&now, &worker->stamp))
        worker_step(worker, LIFE_ON_MODEL_CHANGED, NULL);
}

void worker_view(const struct worker *worker, bool may_start, struct scheduler_view *out)
{
    *out = (struct scheduler_view){
        .state = worker->state,
        .is_idle_stop = worker->stop_cause == WORKER_STOP_IDLE,
        .starts_again = worker->starts_again,
        .in_flight_count = worker->in_flight_count,
        .slot_count = (unsigned)worker->facts.slots,
        .queued_count = worker->queued_count,
        .queue_max_count = (unsigned)config_number(worker->supervisor->config, CONFIG_limits_queue),
        .may_start = may_start,
    };
}

void worker_explain(const struct worker *worker, struct err *out)
{
    const char *state = life_state_name(worker->state);

    if (!worker->has_failed && worker->state != LIFE_FAILED) {
        err_fill(out, ERR_WORKER_DOWN, "worker %s is %s: rbee worker start %s", worker->name, state,
                 worker->name);
        return;
    }
    err_fill(out, ERR_WORKER_FAILED, "worker %s is %s: %s%s%s", worker->name, state,
             worker->last_exit, worker->last_words[0] == '\0' ? "" : ": ", worker->last_words);
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
    worker_arm_deadline(worker);
}

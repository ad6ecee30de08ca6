/* Owns the shape of what is written down: from the structs of the supervisor to rows of db/. */
#include "supervisor/journal.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "db/events.h"
#include "db/requests.h"
#include "db/workers.h"
#include "supervisor/supervisor.h"

static void journal_judge(struct supervisor *supervisor, int result, const struct err *err)
{
    if (result != 0 && !supervisor->is_journal_refused)
        log_event(LOG_ERROR, "store_refused", "error=%s", err->message);
    supervisor->is_journal_refused = result != 0;
}

void journal_worker(const struct worker *worker)
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
        .allow_cpu = worker->options.allow_cpu,
        .autostart = worker->is_autostart,
        .instance = worker->process.instance,
        .pid = worker->process.pid,
        .start_time_ticks = (int64_t)worker->process.start_ticks,
        .boot_id = worker->supervisor->boot_id,
        .last_exit = worker->last_exit,
        .last_stderr = worker->last_words,
        .updated_ms = clock_wall_ms(),
    };

    journal_judge(worker->supervisor,
                  workers_put(worker->supervisor->store, &row, STORE_NOBODY, &err), &err);
}

void journal_worker_removed(struct supervisor *supervisor, const char *name)
{
    struct err err = ERR_INIT;

    journal_judge(supervisor, workers_remove(supervisor->store, name, STORE_NOBODY, &err), &err);
}

void journal_request(const struct request *request, const char *outcome)
{
    struct err err = ERR_INIT;
    bool has_ended = outcome[0] != '\0';
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
                  requests_put(request->supervisor->store, &row, STORE_NOBODY, &err), &err);
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
}

/* Owns what is known of workers before any has started: the configuration, and what the store kept
 * from the last supervisor. The configuration wins where both speak. */
#include "common/log.h"
#include "common/mem.h"
#include "db/workers.h"
#include "supervisor/journal.h"
#include "supervisor/stored.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of a supervisor that was killed: nobody else removes them. */
static void worker_remove_files(struct supervisor *supervisor, const struct worker_row *row)
{
    AUTO_FREE char *socket_path = worker_runtime_path(supervisor, row->instance, "sock");
    AUTO_FREE char *token_path = worker_runtime_path(supervisor, row->instance, "token");

    if (row->instance[0] == '\0' || strchr(row->instance, '/') != NULL)
        return;
    (void)unlink(socket_path); /* most were removed in good order */
    (void)unlink(token_path);  /* likewise; most have none */
}

static void worker_take_options(struct worker *worker, const struct worker_row *row)
{
    worker->options.context_tokens = row->context_tokens;
    worker->options.threads = row->threads;
    worker->options.slots = row->slots;
    worker->options.allow_cpu = row->allow_cpu;
    (void)snprintf(worker->options.device, sizeof(worker->options.device), "%s", row->device);
    (void)snprintf(worker->options.kv_type, sizeof(worker->options.kv_type), "%s", row->kv_type);
}

static void worker_restore_row(struct supervisor *supervisor, const struct worker_row *row)
{
    struct worker *worker = NULL;

    worker_remove_files(supervisor, row);
    if (!config_name_is_valid(row->name)) {
        log_event(LOG_WARN, "worker_row_ignored", "name=%s", row->name);
        return;
    }
    worker = worker_new(supervisor, row->name, row->model, row->model_path);
    worker->asked_up = strcmp(row->desired, "up") == 0;
    worker->wanted_up = worker->asked_up;
    worker_take_options(worker, row);
    free(worker->last_exit);
    free(worker->last_words);
    worker->last_exit = xstrdup(row->last_exit);
    worker->last_words = xstrdup(row->last_stderr);
    worker->reduced.context_tokens = row->degraded_context;
    worker->reduced.slots = row->degraded_slots;
    worker->held_ms = row->held_ms;
    free(worker->held_reason);
    worker->held_reason = xstrdup(row->held_reason);
    stored_restore_recovery(row, supervisor->boot_id, &worker->recovery);
}

static void worker_configure(struct supervisor *supervisor, size_t index)
{
    const struct config *config = supervisor->config;
    const char *name = config_worker_name(config, index);
    const char *model = config_worker_text(config, index, CONFIG_WORKER_model);
    const char *device = config_worker_text(config, index, CONFIG_WORKER_device);
    struct worker *worker = worker_find(supervisor, name);
    const char *command = config_worker_text(config, index, CONFIG_WORKER_command);
    bool is_path = model[0] == '/';

    if (model[0] == '\0' && command[0] == '\0')
        model = name;
    if (worker == NULL)
        worker = worker_new(supervisor, name, "", "");
    worker_set_model(worker, is_path ? "" : model, is_path ? model : "");
    worker->is_configured = true;
    worker->is_autostart = config_worker_number(config, index, CONFIG_WORKER_autostart) != 0;
    worker->wanted_up = worker->asked_up || worker->is_autostart;
    worker->options = (struct worker_options){
        .context_tokens = config_worker_number(config, index, CONFIG_WORKER_context),
        .threads = config_worker_number(config, index, CONFIG_WORKER_threads),
        .slots = config_worker_number(config, index, CONFIG_WORKER_slots),
    };
    worker->is_pinned = config_worker_number(config, index, CONFIG_WORKER_pin) != 0;
    (void)snprintf(worker->options.device, sizeof(worker->options.device), "%s", device);
    (void)snprintf(worker->options.kv_type, sizeof(worker->options.kv_type), "%s",
                   config_worker_text(config, index, CONFIG_WORKER_kv_type));
    if (command[0] != '\0')
        worker_set_command(worker, command,
                           config_worker_text(config, index, CONFIG_WORKER_health));
}

int worker_load_all(struct supervisor *supervisor, struct err *err)
{
    struct worker_rows rows = {0};

    if (workers_load_all(supervisor->store, &rows, err) != 0)
        return err_wrap(err, "read the workers");
    worker_orphan_end(&rows, supervisor->boot_id);
    for (size_t i = 0; i < rows.count; i++)
        worker_restore_row(supervisor, &rows.rows[i]);
    worker_rows_release(&rows);
    for (size_t i = 0; i < config_worker_count(supervisor->config); i++)
        worker_configure(supervisor, i);
    return 0;
}

bool worker_is_passing(const struct worker *worker)
{
    return worker->model[0] == '\0' && !worker->is_configured && !worker->wanted_up &&
           !worker->recovery.is_held && worker->recovery.breaker.state != BREAKER_FORCED_OPEN;
}

/* A command without a model, which is not in the configuration any more. */
static bool worker_has_nothing(const struct worker *worker)
{
    return worker->command == NULL && worker->model[0] == '\0' && worker->model_path[0] == '\0';
}

/* Such a worker ends with the supervisor that ran it: the next
 * request makes it anew. Once the store takes rows. */
static void worker_drop_passing(struct supervisor *supervisor)
{
    struct worker *next = NULL;

    for (struct worker *worker = TAILQ_FIRST(&supervisor->workers); worker != NULL; worker = next) {
        next = TAILQ_NEXT(worker, link);
        if (worker_is_passing(worker) || worker_has_nothing(worker))
            worker_remove(worker);
    }
}

/* The file as it was when the worker failed, as far as that is known: it counts as another one when
 * it has been mended while no supervisor ran. */
static struct model_stamp worker_failed_stamp(const struct worker *worker)
{
    static const struct model_stamp UNKNOWN;
    const struct model *model = model_find(worker->supervisor, worker->model);

    return model == NULL ? UNKNOWN : model->stamp;
}

/* A failed worker that is wanted up gets its chance: what was wrong may be mended, as after a
 * person's start. One that only requests want stays failed until its file is another. */
void worker_start_wanted(struct supervisor *supervisor)
{
    struct worker *worker = NULL;
    struct err cause = ERR_INIT;

    err_fill(&cause, ERR_WORKER_DOWN, "as the last supervisor left it");
    worker_drop_passing(supervisor);
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (worker->recovery.has_failed_for_good)
            worker->stamp = worker_failed_stamp(worker);
        worker_come_to_rest(worker, &cause);
    }
}

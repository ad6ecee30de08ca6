/* Owns the way from a name to a worker. Knows nothing of slots and queues: request_admit() does. */
#include "supervisor/resolve.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>

enum {
    RESOLVE_NAMES_MAX_COUNT = 8, /* in a message; more are not read by anyone */
    RESOLVE_NAMES_MAX_BYTES = 320,
};

/* A request whose model file is being described. */
struct resolve {
    struct request *request;
    struct describe *describe;
    char *path;
    char name[CONFIG_NAME_MAX_BYTES + 1];
    struct model_stamp stamp;
    bool is_registered; /* a model of the registry whose file has changed */
};

/* ---- names ---- */

/* Calls each with every name that may stand behind -m, once; WORKER is NULL for a model alone. */
static void resolve_each_name(struct supervisor *supervisor,
                              void (*each)(void *owner, const struct worker *worker,
                                           const char *name),
                              void *owner)
{
    struct worker *worker = NULL;
    struct model *model = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        each(owner, worker, worker->name);
    }
    TAILQ_FOREACH(model, &supervisor->models, link)
    {
        if (worker_find(supervisor, model->name) == NULL)
            each(owner, NULL, model->name);
    }
}

struct resolve_names {
    const char *asked; /* only names close to it; NULL: all */
    const char *first;
    size_t count;
    char text[RESOLVE_NAMES_MAX_BYTES]; /* "a, b, c" */
};

static void resolve_collect_name(void *owner, const struct worker *worker, const char *name)
{
    struct resolve_names *names = owner;
    size_t len = strlen(names->text);

    if (names->asked != NULL && !nearest_is_close(names->asked, name))
        return;
    if (names->count++ == 0)
        names->first = name;
    if (names->count <= RESOLVE_NAMES_MAX_COUNT)
        (void)snprintf(names->text + len, sizeof(names->text) - len, "%s%s", len > 0 ? ", " : "",
                       name);
}

static void resolve_collect_given_name(void *owner, const struct worker *worker, const char *name)
{
    if (worker == NULL || !worker_is_passing(worker))
        resolve_collect_name(owner, worker, name);
}

static int resolve_refuse_unknown(struct supervisor *supervisor, const char *name, struct err *err)
{
    struct resolve_names close = {.asked = name};
    struct resolve_names all = {0};

    resolve_each_name(supervisor, resolve_collect_name, &close);
    resolve_each_name(supervisor, resolve_collect_name, &all);
    if (close.count > 0)
        return err_set(err, ERR_MODEL_NOT_FOUND,
                       "no model or worker is called %s; did you mean %s?", name, close.text);
    if (all.count > 0)
        return err_set(err, ERR_MODEL_NOT_FOUND, "no model or worker is called %s; there is: %s",
                       name, all.text);
    return err_set(err, ERR_MODEL_NOT_FOUND,
                   "no model or worker is called %s, and there is none: rbee model add FILE, or "
                   "rbee model pull hf:ORG/REPO",
                   name);
}

static void resolve_collect_worker_name(void *owner, const struct worker *worker, const char *name)
{
    if (worker != NULL)
        resolve_collect_name(owner, worker, name);
}

struct worker *resolve_known_worker(struct supervisor *supervisor, const char *name,
                                    struct err *err)
{
    struct worker *worker = worker_find(supervisor, name);
    struct resolve_names close = {.asked = name};

    if (worker != NULL)
        return worker;
    if (model_find(supervisor, name) != NULL)
        return err_set_null(err, ERR_WORKER_NOT_FOUND,
                            "there is no worker %s: model %s has none yet (rbee worker start %s)",
                            name, name, name);
    resolve_each_name(supervisor, resolve_collect_worker_name, &close);
    if (close.count > 0)
        return err_set_null(err, ERR_WORKER_NOT_FOUND, "there is no worker %s; did you mean %s?",
                            name, close.text);
    return err_set_null(err, ERR_WORKER_NOT_FOUND, "there is no worker %s", name);
}

/* The default, else the only name there is that somebody has given. */
static const char *resolve_default(struct supervisor *supervisor, struct err *err)
{
    const char *configured = config_text(supervisor->config, CONFIG_supervisor_default_model);
    struct resolve_names all = {0};

    if (configured[0] != '\0')
        return configured;
    resolve_each_name(supervisor, resolve_collect_given_name, &all);
    if (all.count == 1)
        return all.first;
    if (all.count == 0)
        return err_set_null(err, ERR_MODEL_NOT_FOUND,
                            "there is no model yet: rbee model add FILE, or rbee model "
                            "pull hf:ORG/REPO");
    return err_set_null(err, ERR_MODEL_NOT_FOUND, "which model? there is: %s", all.text);
}

/* ---- files ---- */

/* WORKER, with another model from its next start on. Not one that somebody has given the model it
 * has, or that runs with it: who asks for a file must never hear another one. */
static struct worker *resolve_take_over(struct worker *worker, const char *model, const char *path,
                                        struct err *err)
{
    if (worker->is_configured || worker->wanted_up || life_has_process(worker->state))
        return err_set_null(err, ERR_CONFLICT,
                            "worker %s is there already, with another model file: stop it, or give "
                            "this file another name with rbee model add --name",
                            worker->name);
    worker_set_model(worker, model, path);
    return worker;
}

/* The worker that serves a model of the registry under the model's name. */
static struct worker *resolve_place_model(struct supervisor *supervisor, const struct model *model,
                                          struct err *err)
{
    struct worker *worker = worker_find(supervisor, model->name);
    const char *path = NULL;

    if (worker == NULL)
        return worker_new(supervisor, model->name, model->name, "");
    path = worker_path(worker);
    if (path != NULL && strcmp(path, model->path) == 0)
        return worker;
    return resolve_take_over(worker, model->name, "", err);
}

/* The worker that serves the file PATH under NAME without the registry knowing of it. */
static struct worker *resolve_place_path(struct supervisor *supervisor, const char *name,
                                         const char *path, struct err *err)
{
    struct worker *worker = worker_find(supervisor, name);

    if (model_find(supervisor, name) != NULL)
        return err_set_null(err, ERR_CONFLICT,
                            "a model called %s is there already, with another file: add this one "
                            "under another name",
                            name);
    if (worker == NULL)
        return worker_new(supervisor, name, "", path);
    if (strcmp(worker->model_path, path) == 0)
        return worker;
    return resolve_take_over(worker, "", path, err);
}

static void resolve_free(struct resolve *resolve)
{
    resolve->request->resolve = NULL;
    free(resolve->path);
    free(resolve);
}

/* The worker for the file that has been described; the registry learns what it is now. */
static struct worker *resolve_finish(struct resolve *resolve, const json_t *record, struct err *err)
{
    struct supervisor *supervisor = resolve->request->supervisor;
    AUTO_JSON json_t *details = NULL;
    struct model_facts facts = {.path = resolve->path, .stamp = &resolve->stamp};
    struct worker *worker = NULL;

    if (!resolve->is_registered) {
        worker = resolve_place_path(supervisor, resolve->name, resolve->path, err);
        if (worker != NULL)
            worker->described = model_need_of(record);
        return worker;
    }
    details = json_deep_copy(record);
    facts.details = details;
    worker = worker_find(supervisor, resolve->name);
    if (worker == NULL)
        return err_set_null(err, ERR_MODEL_NOT_FOUND, "worker %s has been removed", resolve->name);
    if (model_find(supervisor, worker->model) != NULL &&
        model_put(supervisor, worker->model, &facts, STORE_NOBODY, err) == NULL)
        return NULL;
    return worker;
}

static void resolve_on_described(void *owner, const json_t *record, const struct err *failure)
{
    struct resolve *resolve = owner;
    struct request *request = resolve->request;
    struct err err = ERR_INIT;
    struct worker *worker = NULL;

    if (failure != NULL)
        err = *failure;
    else
        worker = resolve_finish(resolve, record, &err);
    if (worker == NULL && request->origin != NULL) {
        const struct audit_who who = audit_who_of_origin(request->origin);

        audit_model_refused(request->supervisor, &who, request->exchange, resolve->path, &err);
    }
    resolve_free(resolve);
    if (worker == NULL) {
        request_fail(request, &err);
        return;
    }
    worker_recheck_model(worker);
    request_admit(request, worker);
}

static int resolve_describe(struct request *request, const char *name, const char *path,
                            bool is_registered, struct err *err)
{
    struct resolve *resolve = xcalloc(1, sizeof(*resolve));

    resolve->request = request;
    resolve->is_registered = is_registered;
    resolve->path = xstrdup(path);
    memcpy(resolve->name, name, strlen(name) + 1);
    request->resolve = resolve;
    if (model_stamp_of(path, &resolve->stamp, err) == 0)
        resolve->describe = describe_begin(request->supervisor, path, &resolve->stamp,
                                           resolve_on_described, resolve, err);
    if (resolve->describe == NULL) {
        resolve_free(resolve);
        return -1;
    }
    return 0;
}

void resolve_cancel(struct request *request)
{
    if (request->resolve == NULL)
        return;
    describe_cancel(request->resolve->describe);
    resolve_free(request->resolve);
}

/* A worker that runs is taken as it is; one that will be started needs its file. */
static int resolve_admit(struct request *request, struct worker *worker, struct err *err)
{
    struct model *model = model_find(request->supervisor, worker->model);

    worker_recheck_model(worker);
    if (model != NULL && !life_has_process(worker->state)) {
        switch (model_look(model)) {
        case MODEL_MISSING:
            return err_set(err, ERR_NO_FILE, "the file of model %s is gone", model->name);
        case MODEL_CHANGED:
            return resolve_describe(request, worker->name, model->path, true, err);
        case MODEL_OK:
            break;
        }
    }
    request_admit(request, worker);
    return 0;
}

/* A file that is a model of the registry is that model; another one is described first, unless it
 * is the one its worker was started with. */
static int resolve_path(struct request *request, const char *path, struct err *err)
{
    struct supervisor *supervisor = request->supervisor;
    struct model *model = model_find_path(supervisor, path);
    char name[CONFIG_NAME_MAX_BYTES + 1];
    struct model_stamp stamp = {0};
    struct worker *worker = NULL;

    if (model != NULL) {
        worker = resolve_place_model(supervisor, model, err);
        return worker == NULL ? -1 : resolve_admit(request, worker, err);
    }
    if (model_stamp_of(path, &stamp, err) != 0 || model_name_of(path, name, err) != 0)
        return -1;
    worker = worker_find(supervisor, name);
    if (worker != NULL && strcmp(worker->model_path, path) == 0 &&
        model_stamp_equal(&worker->stamp, &stamp))
        return resolve_admit(request, worker, err);
    return resolve_describe(request, name, path, false, err);
}

int resolve_request(struct request *request, const char *model, struct err *err)
{
    struct supervisor *supervisor = request->supervisor;
    struct worker *worker = NULL;

    if (model == NULL)
        model = resolve_default(supervisor, err);
    if (model == NULL)
        return -1;
    if (model[0] == '/')
        return resolve_path(request, model, err);
    worker = worker_find(supervisor, model);
    if (worker == NULL && model_find(supervisor, model) != NULL)
        worker = worker_new(supervisor, model, model, "");
    if (worker == NULL)
        return resolve_refuse_unknown(supervisor, model, err);
    return resolve_admit(request, worker, err);
}

/* ---- a person's start ---- */

static int resolve_check_model(struct supervisor *supervisor, const char *model, struct err *err)
{
    struct model_stamp ignored;

    if (model[0] == '/')
        return model_stamp_of(model, &ignored, err);
    if (model_find(supervisor, model) == NULL)
        return resolve_refuse_unknown(supervisor, model, err);
    return 0;
}

static struct worker *resolve_change_model(struct worker *worker, const char *model,
                                           struct err *err)
{
    bool is_path = model[0] == '/';

    if (strcmp(is_path ? worker->model_path : worker->model, model) == 0)
        return worker;
    if (worker->is_configured)
        return err_set_null(err, ERR_CONFLICT, "the model of worker %s is set in the configuration",
                            worker->name);
    if (life_has_process(worker->state))
        return err_set_null(err, ERR_CONFLICT, "worker %s runs with model %s, not %s", worker->name,
                            worker->model[0] == '\0' ? worker->model_path : worker->model, model);
    worker_set_model(worker, is_path ? "" : model, is_path ? model : "");
    return worker;
}

struct worker *resolve_worker(struct supervisor *supervisor, const char *name, const char *model,
                              struct err *err)
{
    struct worker *worker = worker_find(supervisor, name);
    bool is_path = model != NULL && model[0] == '/';

    if (config_name_check(name, ERR_INVALID_FIELD, err) != 0)
        return err_wrap_null(err, "worker");
    if (model != NULL && resolve_check_model(supervisor, model, err) != 0)
        return NULL;
    if (worker != NULL)
        return model == NULL ? worker : resolve_change_model(worker, model, err);
    if (model == NULL && model_find(supervisor, name) == NULL) {
        (void)resolve_refuse_unknown(supervisor, name, err);
        return NULL;
    }
    if (model == NULL)
        model = name;
    return worker_new(supervisor, name, is_path ? "" : model, is_path ? model : "");
}

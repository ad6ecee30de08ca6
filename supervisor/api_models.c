/* Routes about models. Adding one takes three steps: described by a worker, put into the registry,
 * on disk; the reply waits for the last. */
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"

#include <string.h>

struct model_add {
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange; /* NULL: the client left */
    struct describe *describe;      /* NULL: described */
    char name[CONFIG_NAME_MAX_BYTES + 1];
    char *path;
    struct model_stamp stamp;
};

/* The record as OpenAI's clients expect it: id and object before our fields. */
static json_t *api_model_object(const struct model *model)
{
    AUTO_JSON json_t *record = model_record(model);
    json_t *object = json_pack("{s:s, s:s}", "id", model->name, "object", "model");

    (void)json_object_update(object, record);
    return object;
}

int api_model_list(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = json_pack("{s:s}", "object", "list");
    json_t *list = json_array();
    struct model *model = NULL;

    TAILQ_FOREACH(model, &call->supervisor->models, link)
    {
        (void)json_array_append_new(list, api_model_object(model));
    }
    (void)json_object_set_new(body, "data", list);
    http_reply_json(call->exchange, 200, body);
    return 0;
}

static struct model *api_find_model(struct api_call *call, struct err *err)
{
    struct model *model = model_find(call->supervisor, call->parameter);

    if (model == NULL)
        return err_set_null(err, ERR_MODEL_NOT_FOUND, "there is no model %s", call->parameter);
    return model;
}

int api_model_show(struct api_call *call, struct err *err)
{
    struct model *model = api_find_model(call, err);
    AUTO_JSON json_t *body = NULL;

    if (model == NULL)
        return -1;
    body = api_model_object(model);
    http_reply_json(call->exchange, 200, body);
    return 0;
}

static void model_add_free(struct model_add *add)
{
    free(add->path);
    free(add);
}

static void model_add_on_closed(struct api_held *held)
{
    struct model_add *add = CONTAINER_OF(held, struct model_add, held);

    add->exchange = NULL;
    if (add->describe == NULL)
        return; /* the store will still tell */
    describe_cancel(add->describe);
    model_add_free(add);
}

static void model_add_reply(struct model_add *add, const struct err *failure)
{
    struct model *model = model_find(add->supervisor, add->name);
    struct err removed = ERR_INIT;
    AUTO_JSON json_t *body = NULL;

    api_release(add->exchange);
    if (failure == NULL && model == NULL) {
        err_fill(&removed, ERR_MODEL_NOT_FOUND, "model %s has been removed meanwhile", add->name);
        failure = &removed;
    }
    if (failure != NULL) {
        api_reply_error(add->exchange, failure, NULL);
        return;
    }
    body = api_model_object(model);
    http_reply_json(add->exchange, 201, body);
}

static void model_add_finish(struct model_add *add, const struct err *failure)
{
    if (add->exchange != NULL)
        model_add_reply(add, failure);
    model_add_free(add);
}

static void model_add_on_stored(void *owner, const struct err *result)
{
    model_add_finish(owner, err_is_set(result) ? result : NULL);
}

/* Told in the name of who asked; one that has left is not known any more. */
static void model_add_tell(const struct model_add *add, const struct err *failure)
{
    static const struct audit_who NOBODY;
    struct audit_who who = NOBODY;

    if (!add->supervisor->audit.is_on)
        return;
    if (add->exchange != NULL)
        who = audit_who_of_call(http_exchange_user(add->exchange));
    if (failure == NULL)
        audit_model(add->supervisor, &who, AUDIT_MODEL_ADDED, add->name);
    else
        audit_model_refused(add->supervisor, &who, add->exchange, add->path, failure);
}

static void model_add_on_described(void *owner, const json_t *record, const struct err *failure)
{
    struct model_add *add = owner;
    struct store_done done = {.on_done = model_add_on_stored, .owner = add};
    AUTO_JSON json_t *details = record == NULL ? NULL : json_deep_copy(record);
    /* The file as it is now: what was known of it before does not count any more. */
    const struct model_origin by_hand = {.source = ""};
    const struct model_facts facts = {
        .path = add->path, .stamp = &add->stamp, .details = details, .origin = &by_hand};
    struct err err = ERR_INIT;

    add->describe = NULL;
    if (failure == NULL)
        failure = model_put(add->supervisor, add->name, &facts, done, &err) == NULL ? &err : NULL;
    model_add_tell(add, failure);
    if (failure != NULL)
        model_add_finish(add, failure);
}

static int model_add_read(struct api_call *call, struct model_add *add, const json_t *body,
                          struct err *err)
{
    const char *path = NULL;
    const char *name = NULL;

    if (json_read_text(body, "path", &path, err) != 0 ||
        json_read_text(body, "name", &name, err) != 0)
        return -1;
    if (path == NULL || path[0] != '/')
        return err_set(err, ERR_INVALID_FIELD, "path must be an absolute path");
    if (name != NULL && config_name_check(name, ERR_INVALID_FIELD, err) != 0)
        return err_wrap(err, "name");
    if (name == NULL && model_name_of(path, add->name, err) != 0)
        return -1;
    if (name != NULL)
        memcpy(add->name, name, strlen(name) + 1);
    add->path = xstrdup(path);
    if (model_stamp_of(path, &add->stamp, err) != 0)
        return -1;
    /* Adding a file again reads it again. */
    return model_check_name(call->supervisor, add->name, path, err);
}

int api_model_add(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    struct model_add *add = NULL;

    if (body == NULL)
        return -1;
    add = xcalloc(1, sizeof(*add));
    add->supervisor = call->supervisor;
    add->exchange = call->exchange;
    add->held.on_closed = model_add_on_closed;
    if (model_add_read(call, add, body, err) == 0)
        add->describe = describe_begin(call->supervisor, add->path, &add->stamp,
                                       model_add_on_described, add, err);
    if (add->describe == NULL) {
        model_add_free(add);
        return -1;
    }
    api_hold(call, &add->held);
    return 0;
}

/* A worker that only a request made goes with its model; one that runs is in the way. */
int api_model_remove(struct api_call *call, struct err *err)
{
    struct model *model = api_find_model(call, err);
    struct worker *worker = NULL;
    struct worker *next = NULL;

    if (model == NULL)
        return -1;
    TAILQ_FOREACH(worker, &call->supervisor->workers, link)
    {
        if (strcmp(worker->model, model->name) == 0 && life_has_process(worker->state))
            return err_set(err, ERR_CONFLICT, "worker %s runs it: rbee worker stop %s first",
                           worker->name, worker->name);
    }
    for (worker = TAILQ_FIRST(&call->supervisor->workers); worker != NULL; worker = next) {
        next = TAILQ_NEXT(worker, link);
        if (strcmp(worker->model, model->name) == 0 && !worker->is_configured)
            worker_remove(worker);
    }
    if (model_remove(call->supervisor, model, STORE_NOBODY, err) != 0)
        return -1;
    if (call->supervisor->audit.is_on) {
        const struct audit_who who = audit_who_of_call(call);

        audit_model(call->supervisor, &who, AUDIT_MODEL_REMOVED, call->parameter);
    }
    http_reply(call->exchange, 204, NULL, NULL, 0);
    return 0;
}

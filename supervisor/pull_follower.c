/* Owns the clients of pulls: their streams, and the model that each gets. Must not know how files
 * come. */
#include "supervisor/pull_follower.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/split_name.h"
#include "supervisor/pull_private.h"
#include "supervisor/supervisor.h"

#include <string.h>

static void follower_free(struct pull_follower *follower)
{
    free(follower);
}

void pull_follower_tell(struct pull_follower *follower, const json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "type"));

    if (follower->exchange == NULL ||
        (strcmp(type, "progress") == 0 &&
         http_exchange_unsent_bytes(follower->exchange) > HTTP_UNSENT_HIGH_BYTES))
        return;
    http_stream_event(follower->exchange, event);
}

/* The client has all that it gets; with CAUSE, when it has heard that. */
static void follower_end_stream(struct pull_follower *follower, const struct err *cause)
{
    AUTO_JSON json_t *event = NULL;

    if (follower->exchange == NULL)
        return;
    if (cause != NULL) {
        event = api_error_event(follower->exchange, cause, NULL);
        pull_follower_tell(follower, event);
    }
    api_release(follower->exchange);
    http_stream_end(follower->exchange);
    follower->exchange = NULL;
}

void pull_follower_fail(struct pull_follower *follower, const struct err *cause)
{
    follower_end_stream(follower, cause);
    follower_free(follower);
}

static void follower_on_closed(struct api_held *held)
{
    struct pull_follower *follower = CONTAINER_OF(held, struct pull_follower, held);
    struct pull *pull = follower->pull;

    follower->exchange = NULL;
    if (pull == NULL)
        return; /* the store will still tell */
    pull_forget(pull, follower);
    follower_free(follower);
}

/* The download itself goes on for others; one whose model is being stored is stored anyway. */
static void follower_on_deadline(struct api_held *held)
{
    struct pull_follower *follower = CONTAINER_OF(held, struct pull_follower, held);
    struct pull *pull = follower->pull;
    struct err late = ERR_INIT;

    err_fill(&late, ERR_DEADLINE,
             "the deadline passed; what came is kept, the next pull goes on from there");
    if (pull != NULL)
        pull_forget(pull, follower);
    follower_end_stream(follower, &late);
    if (pull != NULL)
        follower_free(follower);
}

struct pull_follower *pull_follower_new(struct api_call *call, struct pull *pull, const char *name)
{
    struct pull_follower *follower = xcalloc(1, sizeof(*follower));

    follower->held.on_closed = follower_on_closed;
    follower->held.on_deadline = follower_on_deadline;
    follower->supervisor = call->supervisor;
    follower->exchange = call->exchange;
    follower->pull = pull;
    memcpy(follower->name, name, strlen(name) + 1);
    api_hold(call, &follower->held);
    http_stream_begin(call->exchange, 200, "text/event-stream");
    return follower;
}

/* Of a split model, the name without the number of the part. */
static int name_of_file(const char *path, char out[CONFIG_NAME_MAX_BYTES + 1], struct err *err)
{
    struct split_name split;
    AUTO_FREE char *whole = NULL;

    if (!split_name_read(path, &split))
        return model_name_of(path, out, err);
    whole = xasprintf("%.*s.gguf", (int)split.stem_len, path);
    return model_name_of(whole, out, err);
}

int pull_follower_check_name(struct pull_follower *follower, const char *path, struct err *err)
{
    if (follower->name[0] == '\0' && name_of_file(path, follower->name, err) != 0)
        return -1;
    if (model_check_name(follower->supervisor, follower->name, path, err) == 0)
        return 0;
    return err_wrap(err, "--name gives it another name");
}

static void follower_on_stored(void *owner, const struct err *result)
{
    struct pull_follower *follower = owner;
    struct model *model = model_find(follower->supervisor, follower->name);
    struct err removed = ERR_INIT;
    AUTO_JSON json_t *event = NULL;

    if (!err_is_set(result) && model == NULL) {
        err_fill(&removed, ERR_MODEL_NOT_FOUND, "model %s has been removed meanwhile",
                 follower->name);
        result = &removed;
    }
    if (err_is_set(result)) {
        pull_follower_fail(follower, result);
        return;
    }
    event = json_pack("{s:s, s:o}", "type", "model", "model", model_record(model));
    pull_follower_tell(follower, event);
    follower_end_stream(follower, NULL);
    follower_free(follower);
}

/* Told in the name of who asked; one that has left is not known any more. */
static void follower_audit(const struct pull_follower *follower, const struct model *model)
{
    static const struct audit_who NOBODY;
    struct audit_who who = NOBODY;

    if (!follower->supervisor->audit.is_on)
        return;
    if (follower->exchange != NULL)
        who = audit_who_of_call(http_exchange_user(follower->exchange));
    audit_model_pulled(follower->supervisor, &who, model);
}

/* Of a file that was there already, and whose sum nobody tells, what was known stays known. */
static bool follower_keeps_origin(const struct pull_follower *follower,
                                  const struct model_facts *facts)
{
    const struct model *model = model_find(follower->supervisor, follower->name);

    return facts->origin->files == NULL && model != NULL &&
           model_stamp_equal(&model->stamp, facts->stamp);
}

void pull_follower_store(struct pull_follower *follower, const struct model_facts *facts)
{
    const struct store_done done = {.on_done = follower_on_stored, .owner = follower};
    struct model_facts kept = *facts;
    struct err err = ERR_INIT;
    struct model *model = NULL;

    follower->pull = NULL;
    if (follower_keeps_origin(follower, facts))
        kept.origin = NULL;
    if (model_check_name(follower->supervisor, follower->name, facts->path, &err) == 0)
        model = model_put(follower->supervisor, follower->name, &kept, done, &err);
    if (model == NULL)
        pull_follower_fail(follower, &err);
    else
        follower_audit(follower, model);
}

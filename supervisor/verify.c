/* Owns the looks at models' files that are under way. Must not know how a sum is computed. */
#include "supervisor/verify.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "supervisor/fetch_child.h"
#include "supervisor/supervisor.h"

#include <string.h>

struct verify {
    TAILQ_ENTRY(verify) link;
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange; /* NULL: the client left, the store will still tell */
    struct fetch_child *child;      /* NULL: it has ended */
    char name[CONFIG_NAME_MAX_BYTES + 1];
    char *path;               /* of the file that is looked at */
    struct model_stamp stamp; /* as it was described */
    bool is_known;            /* there is something to compare with */
    json_t *result;           /* what rbee-fetch said last; NULL: nothing yet */
};

static void verify_free(struct verify *verify)
{
    TAILQ_REMOVE(&verify->supervisor->verifies, verify, link);
    if (verify->child != NULL)
        fetch_child_end(verify->child);
    json_decref(verify->result);
    free(verify->path);
    free(verify);
}

static void verify_on_closed(struct api_held *held)
{
    struct verify *verify = CONTAINER_OF(held, struct verify, held);

    verify->exchange = NULL;
    if (verify->child != NULL)
        verify_free(verify);
}

/* EVENT, which is taken over, is the last one. */
static void verify_end(struct verify *verify, json_t *event)
{
    AUTO_JSON json_t *owned = event;

    if (verify->exchange != NULL) {
        http_stream_event(verify->exchange, owned);
        api_release(verify->exchange);
        http_stream_end(verify->exchange);
    }
    verify_free(verify);
}

static void verify_fail(struct verify *verify, const struct err *cause)
{
    verify_end(verify,
               verify->exchange == NULL ? NULL : api_error_event(verify->exchange, cause, NULL));
}

static void verify_report(struct verify *verify)
{
    json_t *event = json_pack("{s:s, s:s, s:b}", "type", "verified", "name", verify->name, "known",
                              verify->is_known);

    (void)json_object_set(event, "good", json_object_get(verify->result, "is_good"));
    (void)json_object_set(event, "message", json_object_get(verify->result, "message"));
    (void)json_object_set(event, "files", json_object_get(verify->result, "files"));
    verify_end(verify, event);
}

static void verify_on_stored(void *owner, const struct err *result)
{
    struct verify *verify = owner;

    if (err_is_set(result))
        verify_fail(verify, result);
    else
        verify_report(verify);
}

/* ---- what rbee-fetch says ---- */

static void verify_on_line(void *owner, const json_t *line)
{
    struct verify *verify = owner;
    const char *type = json_string_value(json_object_get(line, "type"));

    if (strcmp(type, "done") == 0) {
        json_decref(verify->result);
        verify->result = json_deep_copy(line);
    } else if (http_exchange_unsent_bytes(verify->exchange) <= HTTP_UNSENT_HIGH_BYTES) {
        http_stream_event(verify->exchange, line);
    }
}

/* Whether the file is the one that was looked at, and is as it was then. */
static bool verify_is_same(const struct verify *verify, const struct model *model)
{
    return model_stamp_equal(&model->stamp, &verify->stamp) && model_look(model) == MODEL_OK;
}

/* What was found becomes what is known, if the file is still the one that was described. */
static void verify_record(struct verify *verify)
{
    const struct store_done done = {.on_done = verify_on_stored, .owner = verify};
    struct model *model = model_find(verify->supervisor, verify->name);
    struct err err = ERR_INIT;

    if (model == NULL)
        err_fill(&err, ERR_MODEL_NOT_FOUND, "model %s has been removed meanwhile", verify->name);
    else if (strcmp(model->path, verify->path) != 0)
        err_fill(&err, ERR_CONFLICT, "model %s has got another file meanwhile", verify->name);
    else if (!verify_is_same(verify, model))
        err_fill(&err, ERR_CONFLICT,
                 "the file of model %s has changed since it was added; rbee model add takes it as "
                 "it is",
                 verify->name);
    else if (model_record_files(verify->supervisor, model, json_object_get(verify->result, "files"),
                                done, &err) == 0)
        return; /* told once it is on disk */
    verify_fail(verify, &err);
}

static void verify_on_end(void *owner, const struct err *failure)
{
    struct verify *verify = owner;

    verify->child = NULL;
    if (failure != NULL)
        verify_fail(verify, failure);
    else if (!verify->is_known && json_is_true(json_object_get(verify->result, "is_good")))
        verify_record(verify);
    else
        verify_report(verify);
}

/* ---- from outside ---- */

int verify_begin(struct api_call *call, const struct model *model, struct err *err)
{
    static const struct fetch_child_events EVENTS = {.on_line = verify_on_line,
                                                     .on_end = verify_on_end};
    AUTO_JSON json_t *job = NULL;
    struct verify *verify = NULL;

    if (!utf8_is_valid(model->path, strlen(model->path)))
        return err_set(err, ERR_INVALID,
                       "the path of model %s is not UTF-8: rename what is not, and add it again",
                       model->name);
    job =
        json_pack("{s:s, s:s, s:O}", "kind", "verify", "path", model->path, "files", model->files);
    verify = xcalloc(1, sizeof(*verify));
    verify->held.on_closed = verify_on_closed;
    verify->supervisor = call->supervisor;
    verify->exchange = call->exchange;
    verify->is_known = json_array_size(model->files) > 0;
    verify->path = xstrdup(model->path);
    verify->stamp = model->stamp;
    memcpy(verify->name, model->name, sizeof(verify->name));
    TAILQ_INSERT_TAIL(&call->supervisor->verifies, verify, link);
    verify->child = fetch_child_start(call->supervisor, job, &EVENTS, verify, err);
    if (verify->child == NULL) {
        verify_free(verify);
        return -1;
    }
    api_hold(call, &verify->held);
    http_stream_begin(call->exchange, 200, "text/event-stream");
    return 0;
}

void verify_end_revoked(struct supervisor *supervisor)
{
    struct verify *next = NULL;

    for (struct verify *verify = TAILQ_FIRST(&supervisor->verifies); verify != NULL;
         verify = next) {
        struct err err = ERR_INIT;

        next = TAILQ_NEXT(verify, link);
        if (verify->child != NULL && !api_may_still(verify->exchange, &err))
            verify_fail(verify, &err);
    }
}

void verify_end_all(struct supervisor *supervisor)
{
    struct verify *next = NULL;
    struct err cause = ERR_INIT;

    err_fill(&cause, ERR_BUSY, "the supervisor is stopping");
    for (struct verify *verify = TAILQ_FIRST(&supervisor->verifies); verify != NULL;
         verify = next) {
        next = TAILQ_NEXT(verify, link);
        if (verify->child != NULL)
            verify_fail(verify, &cause);
    }
}

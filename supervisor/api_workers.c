/* Routes about workers: what they are, start, stop, wait. */
#include "common/json.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum {
    CONTEXT_MAX_TOKENS = 1048576, /* as in config_keys.def */
    THREADS_MAX_COUNT = 256,      /* as config_keys.def */
    SLOTS_MAX_COUNT = 256,        /* as in inference_fields.def */
};

static struct worker *api_find_worker(struct api_call *call, struct err *err)
{
    struct worker *worker = worker_find(call->supervisor, call->parameter);

    if (worker == NULL)
        return err_set_null(err, ERR_WORKER_NOT_FOUND, "there is no worker %s", call->parameter);
    return worker;
}

static void api_reply_worker(struct api_call *call, int status, struct worker *worker)
{
    AUTO_JSON json_t *record = worker_record(worker);

    http_reply_json(call->exchange, status, record);
}

int api_worker_list(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = json_object();
    json_t *list = json_array();
    struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &call->supervisor->workers, link)
    {
        (void)json_array_append_new(list, worker_record(worker));
    }
    (void)json_object_set_new(body, "workers", list);
    http_reply_json(call->exchange, 200, body);
    return 0;
}

int api_worker_show(struct api_call *call, struct err *err)
{
    struct worker *worker = api_find_worker(call, err);

    if (worker == NULL)
        return -1;
    api_reply_worker(call, 200, worker);
    return 0;
}

static int api_read_options(const json_t *body, struct worker_options *out, struct err *err)
{
    struct worker_options options = *out;
    const char *device = NULL;

    if (json_read_integer(body, "context", 1, CONTEXT_MAX_TOKENS, &options.context_tokens, err) ||
        json_read_integer(body, "threads", 1, THREADS_MAX_COUNT, &options.threads, err) ||
        json_read_integer(body, "slots", 1, SLOTS_MAX_COUNT, &options.slots, err) ||
        json_read_bool(body, "allow_cpu", &options.allow_cpu, err) ||
        json_read_text(body, "device", &device, err))
        return -1;
    if (device != NULL && strlen(device) > WORKER_DEVICE_MAX_BYTES)
        return err_set(err, ERR_INVALID_FIELD, "device must have at most %d characters",
                       WORKER_DEVICE_MAX_BYTES);
    if (device != NULL)
        memcpy(options.device, device, strlen(device) + 1);
    *out = options;
    return 0;
}

int api_worker_start(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    struct worker_options asked = {0};
    const char *model = NULL;
    struct worker *worker = NULL;

    if (body == NULL || json_read_text(body, "model", &model, err) != 0 ||
        api_read_options(body, &asked, err) != 0)
        return -1;
    if (call->supervisor->is_stopping)
        return err_set(err, ERR_BUSY, "the supervisor is stopping");
    worker = resolve_worker(call->supervisor, call->parameter, model, err);
    if (worker == NULL || worker_want_up(worker, &asked, err) != 0)
        return -1;
    waiter_begin(call, worker, WAITER_SPAWNED);
    return 0;
}

int api_worker_stop(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    struct worker *worker = NULL;
    bool force = false;

    if (body == NULL || json_read_bool(body, "force", &force, err) != 0)
        return -1;
    worker = api_find_worker(call, err);
    if (worker == NULL)
        return -1;
    worker_want_down(worker, force);
    api_reply_worker(call, 202, worker);
    return 0;
}

int api_worker_wait(struct api_call *call, struct err *err)
{
    struct worker *worker = api_find_worker(call, err);
    char goal[16];

    if (worker == NULL || api_read_query(call, "for", goal, sizeof(goal), err) != 0)
        return -1;
    if (strcmp(goal, "ready") == 0)
        waiter_begin(call, worker, WAITER_READY);
    else if (strcmp(goal, "stopped") == 0)
        waiter_begin(call, worker, WAITER_STOPPED);
    else
        return err_set(err, ERR_INVALID_FIELD, "for must be ready or stopped");
    return 0;
}

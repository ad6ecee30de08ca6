/* Routes about workers: what they are, start, stop, restart, hold, release, wait. */
#include "common/device_name.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/deed.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum {
    CONTEXT_MAX_TOKENS = 1048576, /* as in config_keys.def */
    THREADS_MAX_COUNT = 256,      /* as config_keys.def */
    SLOTS_MAX_COUNT = 256,        /* as in inference_fields.def */
};

struct worker *api_find_worker(const struct api_call *call, struct err *err)
{
    return resolve_known_worker(call->supervisor, call->parameter, err);
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
    shown_reply(call, body);
    return 0;
}

int api_worker_show(struct api_call *call, struct err *err)
{
    struct worker *worker = api_find_worker(call, err);
    AUTO_JSON json_t *record = worker == NULL ? NULL : worker_record(worker);

    if (record == NULL)
        return -1;
    shown_reply(call, record);
    return 0;
}

static int api_read_options(const json_t *body, struct worker_options *out, struct err *err)
{
    struct worker_options options = *out;
    const char *device = NULL;
    const char *kv_type = "";

    if (json_read_integer(body, "context", 1, CONTEXT_MAX_TOKENS, &options.context_tokens, err) ||
        json_read_integer(body, "threads", 1, THREADS_MAX_COUNT, &options.threads, err) ||
        json_read_integer(body, "slots", 1, SLOTS_MAX_COUNT, &options.slots, err) ||
        json_read_bool(body, "allow_cpu", &options.allow_cpu, err) ||
        kv_type_read(body, &kv_type, err) || json_read_text(body, "device", &device, err))
        return -1;
    memcpy(options.kv_type, kv_type, strlen(kv_type) + 1);
    if (device != NULL && device_name_check(device, ERR_INVALID_FIELD, err) < 0)
        return -1;
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

int api_worker_restart(struct api_call *call, struct err *err)
{
    struct worker *worker = api_find_worker(call, err);

    if (worker == NULL)
        return -1;
    if (call->supervisor->is_stopping)
        return err_set(err, ERR_BUSY, "the supervisor is stopping");
    if (worker_restart(worker, err) != 0)
        return -1;
    waiter_begin(call, worker, WAITER_SPAWNED);
    return 0;
}

static json_t *api_deed_record(struct supervisor *supervisor, const char *name)
{
    struct worker *worker = worker_find(supervisor, name);

    return worker == NULL ? NULL : worker_record(worker);
}

static void api_deed_hold(struct supervisor *supervisor, const char *name)
{
    struct worker *worker = worker_find(supervisor, name);

    if (worker != NULL)
        worker_hold_begin(worker);
}

int api_worker_hold(struct api_call *call, struct err *err)
{
    const struct deed_end end = {.act = api_deed_hold, .record = api_deed_record};
    AUTO_JSON json_t *body = api_read_object(call, err);
    const char *reason = body == NULL ? NULL : api_read_reason(body, err);
    struct worker *worker = reason == NULL ? NULL : api_find_worker(call, err);

    if (worker == NULL)
        return -1;
    worker_hold(worker, reason);
    deed_for_worker(call, worker, end);
    return 0;
}

int api_worker_release(struct api_call *call, struct err *err)
{
    const struct deed_end end = {.record = api_deed_record};
    struct worker *worker = api_find_worker(call, err);

    if (worker == NULL)
        return -1;
    if (!worker->recovery.is_held)
        return err_set(err, ERR_CONFLICT, "worker %s is not held; it is %s", worker->name,
                       life_state_name(worker->state));
    worker_release(worker);
    deed_for_worker(call, worker, end);
    return 0;
}

static int api_find_goal(const char *name, enum waiter_goal *out, struct err *err)
{
    static const struct {
        const char *name;
        enum waiter_goal goal;
    } GOALS[] = {
        {"ready", WAITER_READY},
        {"idle", WAITER_IDLE},
        {"stopped", WAITER_STOPPED},
        {"closed", WAITER_CLOSED},
    };

    for (size_t i = 0; i < ARRAY_COUNT(GOALS); i++) {
        if (strcmp(GOALS[i].name, name) != 0)
            continue;
        *out = GOALS[i].goal;
        return 0;
    }
    return err_set(err, ERR_INVALID_FIELD, "for must be ready, idle, stopped or closed");
}

int api_worker_wait(struct api_call *call, struct err *err)
{
    struct worker *worker = api_find_worker(call, err);
    enum waiter_goal goal = WAITER_READY;
    char name[16];

    if (worker == NULL || api_read_query(call, "for", name, sizeof(name), err) != 0 ||
        api_find_goal(name, &goal, err) != 0)
        return -1;
    waiter_begin(call, worker, goal);
    return 0;
}

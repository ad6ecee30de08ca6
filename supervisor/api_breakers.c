/* Routes about circuit breakers, of workers and of GPUs. A key is a worker's name or gpu:ID; no
 * name of a worker has a colon. "gpu", which a command may be on, is a worker's where one is called
 * so. */
#include "common/json.h"
#include "supervisor/breaker_text.h"
#include "supervisor/deed.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"

#include <string.h>

/* Whose breaker it is: one of the two. */
struct api_breaker {
    struct worker *worker;
    struct device *device;
};

/* A GPU is known when rbee-gpu or a worker program has told of it, or a worker is to run on it. */
static struct device *api_find_gpu(struct supervisor *supervisor, const char *name)
{
    struct worker *worker = NULL;
    struct device *device = device_find(supervisor, name);

    if (device != NULL)
        return device->is_gpu ? device : NULL;
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        struct device_names names;

        device_names_split(worker->options.device, &names);
        for (size_t i = 0; i < names.count; i++) {
            if (strcmp(names.names[i], name) == 0)
                return device_get(supervisor, name);
        }
    }
    return NULL;
}

static int api_find_breaker(const struct api_call *call, struct api_breaker *out, struct err *err)
{
    bool is_device = device_name_is_gpu(call->parameter) &&
                     worker_find(call->supervisor, call->parameter) == NULL;

    *out = (struct api_breaker){0};
    if (!is_device) {
        out->worker = api_find_worker(call, err);
        return out->worker == NULL ? -1 : 0;
    }
    out->device = api_find_gpu(call->supervisor, call->parameter);
    if (out->device == NULL)
        return err_set(
            err, ERR_BREAKER_NOT_FOUND,
            "there is no GPU %s, and no worker uses one; rbee breaker ls has all there are",
            call->parameter);
    return 0;
}

static json_t *api_device_record(const struct device *device)
{
    const struct breaker_subject subject = {
        .kind = "gpu", .name = device->name, .last_words = "", .reason = device->breaker_reason};

    return breaker_to_json(&device->breaker, &device->supervisor->policy.device, &subject);
}

static json_t *api_breaker_record(const struct api_breaker *breaker)
{
    return breaker->worker != NULL ? worker_breaker_record(breaker->worker)
                                   : api_device_record(breaker->device);
}

int api_breaker_list(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = json_object();
    json_t *list = json_array();
    struct worker *worker = NULL;
    struct device *device = NULL;

    TAILQ_FOREACH(worker, &call->supervisor->workers, link)
    {
        (void)json_array_append_new(list, worker_breaker_record(worker));
    }
    TAILQ_FOREACH(device, &call->supervisor->devices, link)
    {
        if (device->is_gpu)
            (void)json_array_append_new(list, api_device_record(device));
    }
    (void)json_object_set_new(body, "breakers", list);
    shown_reply(call, body);
    return 0;
}

int api_breaker_show(struct api_call *call, struct err *err)
{
    struct api_breaker breaker;
    AUTO_JSON json_t *record = NULL;

    if (api_find_breaker(call, &breaker, err) != 0)
        return -1;
    record = api_breaker_record(&breaker);
    shown_reply(call, record);
    return 0;
}

/* ---- by hand ---- */

static json_t *api_worker_breaker_told(struct supervisor *supervisor, const char *name)
{
    struct worker *worker = worker_find(supervisor, name);

    return worker == NULL ? NULL : worker_breaker_record(worker);
}

static json_t *api_device_told(struct supervisor *supervisor, const char *name)
{
    struct device *device = device_find(supervisor, name);

    return device == NULL ? NULL : api_device_record(device);
}

/* The breaker's own row was queued before, and rows are written in order: when the one that is
 * waited for here is on disk, so is that. */
static void api_breaker_acknowledge(struct api_call *call, const struct api_breaker *breaker)
{
    struct deed *deed = NULL;

    if (breaker->worker != NULL) {
        deed_for_worker(call, breaker->worker,
                        (struct deed_end){.record = api_worker_breaker_told});
        return;
    }
    deed = deed_begin(call, breaker->device->name, (struct deed_end){.record = api_device_told});
    if (journal_device_awaited(breaker->device, deed_done(deed)) != 0)
        deed_refused(deed);
}

int api_breaker_reset(struct api_call *call, struct err *err)
{
    struct api_breaker breaker;

    if (api_find_breaker(call, &breaker, err) != 0)
        return -1;
    if (breaker.worker != NULL)
        worker_breaker_reset(breaker.worker);
    else
        device_reset(breaker.device);
    api_breaker_acknowledge(call, &breaker);
    return 0;
}

int api_breaker_open(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    const char *reason = body == NULL ? NULL : api_read_reason(body, err);
    struct api_breaker breaker;

    if (reason == NULL || api_find_breaker(call, &breaker, err) != 0)
        return -1;
    if (breaker.worker != NULL)
        worker_breaker_open(breaker.worker, reason);
    else
        device_force_open(breaker.device, reason);
    api_breaker_acknowledge(call, &breaker);
    return 0;
}

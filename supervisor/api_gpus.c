/* Routes about GPUs. The first reading takes some milliseconds after the start, or seconds where a
 * card must be woken for it: a call that comes before is held, since "there is none" would be
 * wrong. So is the first one of all while a worker program says what can be used. */
#include "supervisor/api_gpus.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/gpu/record.h"
#include "supervisor/supervisor.h"

#include <string.h>

/* Answers one kind of call: a new reference, or NULL with err. */
typedef json_t *gpu_answer(struct supervisor *supervisor, const char *name, struct err *err);

struct gpu_waiter {
    TAILQ_ENTRY(gpu_waiter) link;
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    gpu_answer *answer;
    char name[HTTP_ROUTE_PARAMETER_BYTES];
};

static void gpu_waiter_free(struct gpu_waiter *waiter)
{
    TAILQ_REMOVE(&waiter->supervisor->gpus.waiters, waiter, link);
    free(waiter);
}

static void gpu_waiter_on_closed(struct api_held *held)
{
    gpu_waiter_free(CONTAINER_OF(held, struct gpu_waiter, held));
}

static void gpu_waiter_begin(struct api_call *call, gpu_answer *answer)
{
    struct gpu_waiter *waiter = xcalloc(1, sizeof(*waiter));

    waiter->held.on_closed = gpu_waiter_on_closed;
    waiter->supervisor = call->supervisor;
    waiter->exchange = call->exchange;
    waiter->answer = answer;
    memcpy(waiter->name, call->parameter, sizeof(waiter->name));
    TAILQ_INSERT_TAIL(&call->supervisor->gpus.waiters, waiter, link);
    api_hold(call, &waiter->held);
}

static void gpu_waiter_end(struct gpu_waiter *waiter)
{
    struct http_exchange *exchange = waiter->exchange;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *body = waiter->answer(waiter->supervisor, waiter->name, &err);

    api_release(exchange);
    gpu_waiter_free(waiter);
    if (body == NULL)
        api_reply_error(exchange, &err, NULL);
    else
        http_reply_json(exchange, 200, body);
}

/* What there is has been read, and a worker program has been asked what can be done with it. */
static bool is_known(struct supervisor *supervisor)
{
    return supervisor->gpus.has_looked && !survey_is_awaited(supervisor);
}

void api_gpus_tell(struct supervisor *supervisor)
{
    struct reader *reader = &supervisor->gpus;

    if (TAILQ_EMPTY(&reader->waiters) || !is_known(supervisor))
        return;
    while (!TAILQ_EMPTY(&reader->waiters))
        gpu_waiter_end(TAILQ_FIRST(&reader->waiters));
}

/* ---- answers ---- */

static json_t *answer_list(struct supervisor *supervisor, const char *name, struct err *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < supervisor->gpus.table.count; i++)
        (void)json_array_append_new(list, gpu_record(supervisor, i));
    return json_pack("{s:o}", "gpus", list);
}

static struct gpu *find(struct supervisor *supervisor, const char *name, size_t *out_index,
                        struct err *err)
{
    struct gpu *gpu = gpu_table_find(&supervisor->gpus.table, name, out_index);

    if (gpu == NULL)
        return err_set_null(err, ERR_GPU_NOT_FOUND,
                            "there is no GPU %s; rbee gpu ls has all there are", name);
    return gpu;
}

static json_t *answer_one(struct supervisor *supervisor, const char *name, struct err *err)
{
    size_t index = 0;

    return find(supervisor, name, &index, err) == NULL ? NULL : gpu_record(supervisor, index);
}

static json_t *answer_history(struct supervisor *supervisor, const char *name, struct err *err)
{
    struct gpu *gpu = find(supervisor, name, NULL, err);

    return gpu == NULL ? NULL : gpu_history_to_json(&gpu->history, (int64_t)clock_monotonic_ms());
}

/* ---- routes ---- */

static int reply(struct api_call *call, gpu_answer *answer, struct err *err)
{
    AUTO_JSON json_t *body = NULL;

    reader_asked(&call->supervisor->gpus);
    if (!is_known(call->supervisor)) {
        gpu_waiter_begin(call, answer);
        return 0;
    }
    body = answer(call->supervisor, call->parameter, err);
    if (body == NULL)
        return -1;
    http_reply_json(call->exchange, 200, body);
    return 0;
}

int api_gpu_list(struct api_call *call, struct err *err)
{
    return reply(call, answer_list, err);
}

int api_gpu_show(struct api_call *call, struct err *err)
{
    return reply(call, answer_one, err);
}

int api_gpu_history(struct api_call *call, struct err *err)
{
    return reply(call, answer_history, err);
}

/* Route that explains a worker: asks the store for its past, then answers. */
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"
#include "supervisor/why.h"

#include <string.h>

/* A client that waits for the store. */
struct why_reply {
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    char name[CONFIG_NAME_MAX_BYTES + 1]; /* the worker may be gone when the store has answered */
    struct store_query *events;           /* on its way; NULL: answered */
    struct store_query *failures;
    struct why_past past;
};

static void why_reply_free(struct why_reply *reply)
{
    if (reply->events != NULL)
        store_query_cancel(reply->supervisor->store, reply->events);
    if (reply->failures != NULL)
        store_query_cancel(reply->supervisor->store, reply->failures);
    why_past_release(&reply->past);
    free(reply);
}

static void why_reply_on_closed(struct api_held *held)
{
    why_reply_free(CONTAINER_OF(held, struct why_reply, held));
}

/* A store that cannot be read costs the past, not the answer. */
static void why_reply_note(struct why_reply *reply, const struct store_answer *answer)
{
    if (err_is_set(&answer->err))
        reply->past.problem = answer->err;
    else if (answer->is_behind)
        err_fill(&reply->past.problem, ERR_IO,
                 "the database takes no rows: what is told of the "
                 "past is not all of it");
}

static void why_reply_send(struct why_reply *reply)
{
    AUTO_JSON json_t *record = NULL;
    struct err err = ERR_INIT;
    struct worker *worker = NULL;

    if (reply->events != NULL || reply->failures != NULL)
        return;
    api_release(reply->exchange);
    worker = resolve_known_worker(reply->supervisor, reply->name, &err);
    if (worker == NULL) {
        api_reply_error(reply->exchange, &err, NULL);
    } else {
        record = why_record(worker, &reply->past);
        http_reply_json(reply->exchange, 200, record);
    }
    why_reply_free(reply);
}

static void why_reply_on_events(void *owner, const struct event_rows *rows,
                                const struct store_answer *answer)
{
    struct why_reply *reply = owner;

    reply->events = NULL;
    why_reply_note(reply, answer);
    why_past_add_events(&reply->past, rows);
    why_reply_send(reply);
}

static void why_reply_on_failures(void *owner, const struct failure_rows *rows,
                                  const struct store_answer *answer)
{
    struct why_reply *reply = owner;

    reply->failures = NULL;
    why_reply_note(reply, answer);
    why_past_add_failures(&reply->past, rows);
    why_reply_send(reply);
}

static int why_reply_ask(struct why_reply *reply, struct err *err)
{
    const struct store_filter events = {
        .worker = reply->name, .limit = WHY_EVENTS_MAX_COUNT, .newest_first = true};
    const struct store_filter failures = {.worker = reply->name, .limit = 1, .newest_first = true};
    struct store *store = reply->supervisor->store;

    reply->events =
        events_query(store, &events, (struct event_reader){why_reply_on_events, reply}, err);
    if (reply->events == NULL)
        return -1;
    reply->failures = failures_query(store, &failures,
                                     (struct failure_reader){why_reply_on_failures, reply}, err);
    return reply->failures == NULL ? -1 : 0;
}

int api_worker_why(struct api_call *call, struct err *err)
{
    struct worker *worker = resolve_known_worker(call->supervisor, call->parameter, err);
    struct why_reply *reply = NULL;

    if (worker == NULL)
        return -1;
    reply = xcalloc(1, sizeof(*reply));
    reply->held.on_closed = why_reply_on_closed;
    reply->supervisor = call->supervisor;
    reply->exchange = call->exchange;
    memcpy(reply->name, worker->name, sizeof(reply->name));
    why_past_init(&reply->past);
    if (why_reply_ask(reply, err) != 0) {
        why_reply_free(reply);
        return -1;
    }
    api_hold(call, &reply->held);
    return 0;
}

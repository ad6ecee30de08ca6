/* Owns the traffic between one request and its worker. Trusts nothing that comes from there: what
 * is no event in its place ends the request, not the supervisor. What it means is the dialect's to
 * say. */
#include "supervisor/proxy.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    REPLY_MAX_BYTES = WORKER_REPLY_MAX_BYTES, /* an answer in one piece */
    /* A connection that breaks is mostly the first news of a death; the pidfd brings the reason
     * within microseconds. If it does not, the worker lives and has broken its word. */
    DEATH_NEWS_MS = 500,
    TAIL_MS = 1000, /* between the last event and the end of the reply */
};

/* ---- events ---- */

static json_t *proxy_ms(double ms)
{
    return json_real((double)(int64_t)(ms * 1000) / 1000); /* microseconds are precise enough */
}

static int proxy_check_started(const struct request *request, struct err *err)
{
    if (request->has_started)
        return 0;
    return err_set(err, ERR_PROTOCOL, "worker %s ended before it started", request->worker->name);
}

int proxy_read_result(const struct request *request, const json_t *end, struct proxy_result *out,
                      struct err *err)
{
    const char *stop_reason = json_string_value(json_object_get(end, "stop_reason"));
    const json_t *usage = json_object_get(end, "usage");
    const json_t *timings = json_object_get(end, "timings");

    if (proxy_check_started(request, err) != 0)
        return -1;
    if (stop_reason == NULL || !json_is_object(usage) || !json_is_object(timings))
        return err_set(err, ERR_PROTOCOL, "worker %s ended without reason, usage or timings",
                       request->worker->name);
    (void)snprintf(out->stop_reason, sizeof(out->stop_reason), "%s", stop_reason);
    out->prompt_tokens = json_integer_value(json_object_get(usage, "prompt_tokens"));
    out->token_count = json_integer_value(json_object_get(usage, "completion_tokens"));
    out->queue_ms = json_number_value(json_object_get(timings, "queue_ms"));
    return 0;
}

int proxy_take_result(struct request *request, const struct proxy_result *result,
                      struct proxy_waits *out_waits, struct err *err)
{
    double load_ms = (double)request->load_us / 1000;
    double wait_ms = (double)(request->dispatched_us - request->arrived_us) / 1000;

    if (proxy_check_started(request, err) != 0)
        return -1;
    memcpy(request->stop_reason, result->stop_reason, sizeof(request->stop_reason));
    request->prompt_tokens = result->prompt_tokens;
    request->token_count = result->token_count;
    request->has_ended = true;
    worker_live_progress(request->worker);
    *out_waits =
        (struct proxy_waits){.queue_ms = result->queue_ms + wait_ms - load_ms, .load_ms = load_ms};
    return 0;
}

int proxy_take_end(struct request *request, const json_t *end, struct proxy_waits *out_waits,
                   struct err *err)
{
    struct proxy_result result;

    if (proxy_read_result(request, end, &result, err) != 0)
        return -1;
    return proxy_take_result(request, &result, out_waits, err);
}

static int proxy_begin(struct request *request, struct err *err)
{
    if (request->has_started)
        return err_set(err, ERR_PROTOCOL, "worker %s started twice", request->worker->name);
    request->has_started = true;
    return 0;
}

int proxy_start(struct request *request, json_t *event, struct err *err)
{
    if (proxy_begin(request, err) != 0)
        return -1;
    if (!request->is_stream)
        return 0;
    (void)json_object_set_new(event, "id", json_string(request->id));
    request_send_event(request, event);
    return 0;
}

int proxy_start_text(struct request *request, const char *text, size_t len, struct err *err)
{
    if (proxy_begin(request, err) != 0)
        return -1;
    if (request->is_stream)
        request_send_text(request, text, len);
    return 0;
}

static void proxy_measure_token(struct request *request, uint64_t now_us)
{
    struct metrics *metrics = &request->supervisor->metrics;

    if (request->first_token_us == 0) {
        request->first_token_us = now_us;
        metrics_observe(metrics, METRIC_FIRST_TOKEN, now_us - request->arrived_us);
    } else if (request->last_token_us != 0) {
        metrics_observe(metrics, METRIC_NEXT_TOKEN, now_us - request->last_token_us);
    }
    request->last_token_us = now_us;
}

void proxy_count_token(struct request *request)
{
    uint64_t now_us = clock_monotonic_us();

    proxy_measure_token(request, now_us);
    request->token_count++;
    worker_count_token(request->worker, now_us / 1000);
    worker_live_progress(request->worker);
}

int proxy_token(struct request *request, const char *text, size_t len, struct err *err)
{
    if (!request->has_started)
        return err_set(err, ERR_PROTOCOL, "worker %s sent a token out of place",
                       request->worker->name);
    /* An end of line within it would make lines of their own of it, and so events, at the client.
     */
    if (memchr(text, '\n', len) != NULL || memchr(text, '\r', len) != NULL)
        return err_set(err, ERR_PROTOCOL, "worker %s sent a token of several lines",
                       request->worker->name);
    proxy_count_token(request);
    request_send_text(request, text, len);
    return 0;
}

int proxy_keep_token(struct request *request, const char *text, size_t len, struct err *err)
{
    if (buf_add(&request->reply, text, len) != 0)
        return err_set(err, ERR_PROTOCOL, "the answer of worker %s is too long",
                       request->worker->name);
    proxy_count_token(request);
    return 0;
}

void proxy_add_warnings(const struct request *request, json_t *object)
{
    if (json_array_size(request->warnings) > 0)
        (void)json_object_set(object, "warnings", request->warnings);
}

json_t *proxy_whole(const struct request *request)
{
    return json_pack("{s:s, s:s, s:o}", "id", request->id, "model", request->worker->name, "text",
                     json_text_lossy(request->reply.data, request->reply.len));
}

void proxy_finish_text(struct request *request, const char *text, size_t len)
{
    if (request->is_stream) {
        request_send_text(request, text, len);
        request_send_done(request);
        return;
    }
    api_release(request->exchange);
    http_reply(request->exchange, 200, "application/json", text, len);
    request->exchange = NULL;
}

void proxy_finish(struct request *request, json_t *result, const struct proxy_waits *waits)
{
    json_t *timings = json_object_get(result, "timings");
    AUTO_FREE char *text = NULL;

    (void)json_object_set_new(timings, "queue_ms", proxy_ms(waits->queue_ms));
    (void)json_object_set_new(timings, "load_ms", proxy_ms(waits->load_ms));
    if (!request->is_stream)
        proxy_add_warnings(request, result);
    text = json_to_text(result);
    proxy_finish_text(request, text, strlen(text));
}

json_t *proxy_parse_event(const struct request *request, const char *text, size_t len,
                          struct err *err)
{
    struct err inner = ERR_INIT;
    json_t *event = json_parse(text, len, SSE_EVENT_MAX_BYTES, &inner);

    if (event == NULL)
        return err_set_null(err, ERR_PROTOCOL, "worker %s sent an event that is no JSON: %s",
                            request->worker->name, inner.message);
    return event;
}

json_t *proxy_parse_reply(const struct request *request)
{
    struct err ignored = ERR_INIT;

    return json_parse(request->reply.data, request->reply.len, REPLY_MAX_BYTES, &ignored);
}

static int proxy_on_event(void *owner, const char *text, size_t len, struct err *err)
{
    struct request *request = owner;

    if (request->has_ended)
        return 0;
    if (request->worker->dialect->take_event(request, text, len, err) != 0)
        return -1;
    if (request->has_ended)
        request_arm_timer(request, REQUEST_TIMER_TAIL, TAIL_MS);
    return 0;
}

/* ---- the call ---- */

static bool proxy_is_event_stream(const struct http_head *head)
{
    static const char TYPE[] = "text/event-stream";
    const char *type = http_head_find(head, "Content-Type");

    return type != NULL && strncasecmp(type, TYPE, strlen(TYPE)) == 0;
}

static int proxy_on_head(struct http_call *call, void *owner, const struct http_head *head,
                         struct err *err)
{
    struct request *request = owner;

    request->reply_status = head->status;
    request->is_event_stream = head->status == 200 && proxy_is_event_stream(head);
    if (head->status == 200 && !request->is_event_stream)
        return err_set(err, ERR_PROTOCOL, "worker %s answered in another form than asked",
                       request->worker->name);
    return 0;
}

static void proxy_pause_if_slow(struct request *request)
{
    if (request->exchange == NULL || request->is_paused ||
        http_exchange_unsent_bytes(request->exchange) <= HTTP_UNSENT_HIGH_BYTES)
        return;
    request->is_paused = true;
    http_call_pause(request->call);
    worker_live_load_changed(request->worker);
}

void proxy_resume(struct request *request)
{
    if (!request->is_paused)
        return;
    request->is_paused = false;
    request->last_token_us = 0; /* the time until the next one was the client's */
    worker_live_load_changed(request->worker);
    http_call_resume(request->call);
}

static void proxy_on_body(struct http_call *call, void *owner, const char *data, size_t len)
{
    struct request *request = owner;
    struct err err = ERR_INIT;

    if (request->is_event_stream)
        (void)sse_parser_feed(&request->sse, data, len, proxy_on_event, request, &err);
    else if (buf_add(&request->reply, data, len) != 0)
        err_fill(&err, ERR_PROTOCOL, "the answer of worker %s is too long", request->worker->name);
    if (err_is_set(&err))
        request_fail(request, &err);
    else
        proxy_pause_if_slow(request);
}

static void proxy_on_end(struct http_call *call, void *owner, const struct err *failure)
{
    struct request *request = owner;
    struct err err = ERR_INIT;

    request->call = NULL;
    request->is_paused = false; /* there is nothing left to go on reading */
    if (failure != NULL)
        worker_live_call_failed(request->worker, failure);
    if (request->has_ended) {
        request_end(request, REQUEST_COMPLETED);
        return;
    }
    if (failure != NULL && failure->kind == ERR_PROTOCOL) {
        err_fill(&err, ERR_PROTOCOL, "worker %s answered nonsense: %s", request->worker->name,
                 failure->message);
        request_fail(request, &err);
    } else if (failure != NULL || request->is_event_stream) {
        request_arm_timer(request, REQUEST_TIMER_DEATH, DEATH_NEWS_MS);
    } else {
        request->worker->dialect->take_refusal(request, &err);
        request_fail(request, &err);
    }
}

/* ---- sending ---- */

void proxy_send(struct request *request)
{
    static const struct http_call_events CALL_EVENTS = {
        .on_head = proxy_on_head,
        .on_body = proxy_on_body,
        .on_end = proxy_on_end,
    };
    struct dialect_ask ask;

    request->worker->dialect->ask_inference(request, &ask);
    buf_init(&request->reply, REPLY_MAX_BYTES);
    request->call = dialect_send(request->worker, &ask, &CALL_EVENTS, request);
    json_decref(request->body); /* a prompt may be megabytes; it is the worker's now */
    request->body = NULL;
}

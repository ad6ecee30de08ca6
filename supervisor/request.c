/* Owns the registry of requests: where each is, how it is answered, how it ends. Knows nothing of
 * what a worker sends: proxy.c does. */
#include "supervisor/request.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/records.h"
#include "supervisor/journal.h"
#include "supervisor/proxy.h"
#include "supervisor/request_deadline.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PING_MS = 15000, /* a comment after so much silence keeps proxies from hanging up */
    PING_MAX_BYTES = 64,
};

/* ---- timer ---- */

/* Each event of a stream puts the next ping off: the timer is left as it is then, and looks again
 * when it fires. */
void request_arm_timer(struct request *request, enum request_timer purpose, uint64_t ms)
{
    bool is_put_off = purpose == REQUEST_TIMER_PING && request->is_timer_set &&
                      request->timer_purpose == REQUEST_TIMER_PING;

    request->timer_purpose = purpose;
    request->timer_due_ms = clock_monotonic_ms() + ms;
    if (!is_put_off)
        timer_arm_after(request->timer, (int64_t)ms);
    request->is_timer_set = true;
}

static void request_ping(struct request *request)
{
    AUTO_BUF struct buf text = BUF_INIT(PING_MAX_BYTES);

    if (request->exchange == NULL || !http_exchange_has_begun(request->exchange))
        return;
    (void)sse_append_ping(&text); /* far below its maximum */
    http_stream_write(request->exchange, text.data, text.len);
    request_arm_timer(request, REQUEST_TIMER_PING, PING_MS);
}

static void request_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct request *request = arg;
    uint64_t now_ms = clock_monotonic_ms();
    struct err err = ERR_INIT;

    if (now_ms < request->timer_due_ms) {
        timer_arm_after(request->timer, (int64_t)(request->timer_due_ms - now_ms));
        return;
    }
    request->is_timer_set = false;
    switch (request->timer_purpose) {
    case REQUEST_TIMER_PING:
        request_ping(request);
        break;
    case REQUEST_TIMER_DEATH:
        err_fill(&err, ERR_STREAM_BROKEN, "worker %s broke off its answer", request->worker->name);
        request_fail(request, &err);
        break;
    case REQUEST_TIMER_TAIL:
        request_end(request, REQUEST_COMPLETED);
        break;
    }
}

/* ---- registry ---- */

static void request_on_closed(struct api_held *held)
{
    struct request *request = CONTAINER_OF(held, struct request, held);

    request->exchange = NULL;
    request_end(request, REQUEST_CANCELLED);
}

static void request_on_drained(struct api_held *held)
{
    proxy_resume(CONTAINER_OF(held, struct request, held));
}

static void request_on_deadline(struct api_held *held)
{
    request_fail_late(CONTAINER_OF(held, struct request, held));
}

static struct worker_options *request_read_options(const struct inference_request *parsed)
{
    struct worker_options *options = xcalloc(1, sizeof(*options));

    options->context_tokens = parsed->context_tokens;
    options->slots = parsed->slots;
    options->allow_cpu = parsed->allow_cpu;
    if (parsed->kv_type != NULL)
        (void)snprintf(options->kv_type, sizeof(options->kv_type), "%s", parsed->kv_type);
    if (parsed->device != NULL)
        (void)snprintf(options->device, sizeof(options->device), "%s", parsed->device);
    return options;
}

static void request_set_label(struct request *request, const char *label)
{
    memcpy(request->label, label, strnlen(label, REQUEST_LABEL_MAX_BYTES)); /* it was all zero */
}

struct request *request_new(struct api_call *call, json_t *body,
                            const struct inference_request *parsed)
{
    struct request *request = xcalloc(1, sizeof(*request));

    request->supervisor = call->supervisor;
    request->exchange = call->exchange;
    request->held = (struct api_held){.on_closed = request_on_closed,
                                      .on_drained = request_on_drained,
                                      .on_deadline = request_on_deadline};
    token_new_id('r', request->id);
    request_set_label(request, http_exchange_request_id(call->exchange));
    request->body = json_incref(body);
    request->options = request_read_options(parsed);
    request->is_stream = parsed->stream;
    request->may_start = parsed->start;
    request->wants_logprobs = parsed->logprobs >= 0;
    request->submitted_ms = clock_wall_ms();
    request->deadline = call->deadline;
    request->arrived_us = http_exchange_arrived_us(call->exchange);
    request->prompt_tokens = -1;
    request->timer = evtimer_new(call->supervisor->base, request_on_timer, request);
    sse_parser_init(&request->sse);
    TAILQ_INSERT_TAIL(&call->supervisor->requests, request, in_registry);
    api_hold(call, &request->held);
    journal_request(request, "");
    audit_request_submitted(request, call, parsed);
    return request;
}

struct request *request_find(struct supervisor *supervisor, const char *id)
{
    struct request *request = NULL;

    TAILQ_FOREACH(request, &supervisor->requests, in_registry)
    {
        if (strcmp(request->id, id) == 0)
            return request;
    }
    return NULL;
}

const char *request_state_name(enum request_state state)
{
    static const char *const NAMES[REQUEST_STATE_COUNT] = {"resolving", "queued", "running"};

    return NAMES[state];
}

const char *request_outcome_name(enum request_outcome outcome)
{
    static const char *const NAMES[REQUEST_OUTCOME_COUNT] = {
        [REQUEST_COMPLETED] = "completed",
        [REQUEST_CANCELLED] = "cancelled",
        [REQUEST_DEADLINE_EXCEEDED] = "deadline_exceeded",
        [REQUEST_FAILED] = "failed",
    };

    return NAMES[outcome];
}

json_t *request_record(const struct request *request)
{
    json_t *worker = request->worker == NULL ? json_null() : json_string(request->worker->name);
    json_t *prompt_tokens =
        request->prompt_tokens < 0 ? json_null() : json_integer(request->prompt_tokens);
    uint64_t now_us = clock_monotonic_us();
    json_t *left_ms =
        deadline_is_set(&request->deadline)
            ? json_integer((json_int_t)(deadline_left_us(&request->deadline, now_us) / 1000))
            : json_null();
    json_t *record = json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:o, s:I, s:o}", "id", request->id, "state",
        request_state_name(request->state), "request_id", request->label, "worker", worker,
        "tokens", (json_int_t)request->token_count, "prompt_tokens", prompt_tokens, "age_ms",
        (json_int_t)((now_us - request->arrived_us) / 1000), "deadline_left_ms", left_ms);

    record_check(RECORD_REQUEST, record);
    return record;
}

/* ---- what the client is told ---- */

void request_send_text(struct request *request, const char *text, size_t len)
{
    if (request->exchange == NULL ||
        len > SSE_EVENT_MAX_BYTES) /* the parser let no longer one in */
        return;
    if (!http_exchange_has_begun(request->exchange)) {
        http_reply_header(request->exchange, "Cache-Control", "no-store");
        http_stream_begin(request->exchange, 200, "text/event-stream");
    }
    http_stream_event_text(request->exchange, text, len);
    request_arm_timer(request, REQUEST_TIMER_PING, PING_MS);
}

void request_send_event(struct request *request, const json_t *event)
{
    AUTO_FREE char *text = json_to_text(event);

    request_send_text(request, text, strlen(text));
}

void request_send_done(struct request *request)
{
    static const char DONE[] = "[DONE]";

    if (request->exchange == NULL)
        return;
    request_send_text(request, DONE, strlen(DONE));
    api_release(request->exchange);
    http_stream_end(request->exchange);
    request->exchange = NULL;
}

static void request_say_queued(struct request *request)
{
    AUTO_JSON json_t *event = NULL;

    if (!request->is_stream)
        return;
    event = json_pack("{s:s, s:s, s:I}", "type", "queued", "id", request->id, "position",
                      (json_int_t)request->worker->queued_count);
    request_send_event(request, event);
}

static void request_say_failure(struct request *request, const struct err *cause,
                                const json_t *details)
{
    struct http_exchange *exchange = request->exchange;
    AUTO_JSON json_t *event = NULL;

    if (exchange == NULL)
        return;
    if (!http_exchange_has_begun(exchange)) {
        api_release(exchange);
        api_reply_error(exchange, cause, details);
        request->exchange = NULL;
        return;
    }
    event = api_error_event(exchange, cause, details);
    request_send_event(request, event);
    request_send_done(request);
}

/* ---- its way ---- */

static void request_enqueue(struct request *request)
{
    request->state = REQUEST_QUEUED;
    TAILQ_INSERT_TAIL(&request->worker->queue, request, in_worker);
    request->worker->queued_count++;
}

static void request_dispatch(struct request *request)
{
    struct worker *worker = request->worker;

    request->state = REQUEST_RUNNING;
    request->started_ms = clock_wall_ms();
    request->dispatched_us = clock_monotonic_us();
    request->load_us = request_load_us(request, request->dispatched_us);
    TAILQ_INSERT_TAIL(&worker->in_flight, request, in_worker);
    worker->in_flight_count++;
    worker_live_load_changed(worker);
    proxy_send(request);
    worker_arm_deadline(worker); /* it is not idle */
}

static void request_leave_worker(struct request *request)
{
    struct worker *worker = request->worker;

    if (request->state == REQUEST_QUEUED) {
        TAILQ_REMOVE(&worker->queue, request, in_worker);
        worker->queued_count--;
    } else if (request->state == REQUEST_RUNNING) {
        TAILQ_REMOVE(&worker->in_flight, request, in_worker);
        worker->in_flight_count--;
    }
    request->state = REQUEST_RESOLVING;
}

static void request_refuse(struct request *request, enum err_kind kind)
{
    const struct worker *worker = request->worker;
    struct err err = ERR_INIT;

    switch (kind) {
    case ERR_QUEUE_FULL:
        err_fill(&err, kind, "%u requests wait for worker %s already", worker->queued_count,
                 worker->name);
        break;
    case ERR_WORKER_DRAINING:
        err_fill(&err, kind, "worker %s is stopping", worker->name);
        break;
    default:
        worker_explain(worker, &err);
        break;
    }
    request_fail(request, &err);
}

/* A start that fails at once has failed the request as well: it may be gone after that. */
static void request_wait_for_start(struct request *request)
{
    struct worker *worker = request->worker;

    request_enqueue(request);
    worker_request_start(worker, request->options);
    if (worker_may_come(worker))
        request_say_queued(request);
}

/* What WORKER cannot do is refused by name, not left out in silence. */
static int request_check_worker(const struct request *request, const struct worker *worker,
                                struct err *err)
{
    if (request->wants_logprobs && !worker->dialect->tells_logprobs)
        return err_set(err, ERR_INVALID_FIELD,
                       "logprobs: worker %s runs a command of the configuration, and of those no "
                       "log-probabilities can be had",
                       worker->name);
    return worker_check_request_options(worker, request->options, err);
}

void request_admit(struct request *request, struct worker *worker)
{
    struct scheduler_view view;
    struct err err = ERR_INIT;
    enum err_kind refusal = ERR_NONE;

    request->worker = worker;
    if (request_end_if_late(request))
        return;
    worker_view(worker, request->may_start, &view);
    if (request_check_worker(request, worker, &err) != 0) {
        request_fail(request, &err);
        return;
    }
    switch (scheduler_admit(&view, &refusal)) {
    case SCHEDULER_DISPATCH:
        request_dispatch(request);
        break;
    case SCHEDULER_QUEUE:
        request_enqueue(request);
        request_say_queued(request);
        break;
    case SCHEDULER_START:
        request_wait_for_start(request);
        break;
    case SCHEDULER_REFUSE:
        request_refuse(request, refusal);
        break;
    }
}

void request_pump(struct worker *worker)
{
    struct scheduler_view view;

    /* An end looks for others to send: the view is anew each time. */
    for (worker_view(worker, false, &view); scheduler_dispatch_count(&view) > 0;
         worker_view(worker, false, &view)) {
        struct request *request = TAILQ_FIRST(&worker->queue);

        if (request_end_if_late(request))
            continue;
        request_leave_worker(request);
        request_dispatch(request);
    }
}

/* Each failure may change the lists: always the first is taken. */
static void request_fail_all(struct request_queue *requests, const struct err *cause)
{
    assert(cause != NULL || TAILQ_EMPTY(requests));
    while (!TAILQ_EMPTY(requests))
        request_fail(TAILQ_FIRST(requests), cause);
}

void request_fail_waiting(struct worker *worker, const struct err *cause)
{
    request_fail_all(&worker->queue, cause);
}

void request_fail_running(struct worker *worker, const struct err *cause)
{
    request_fail_all(&worker->in_flight, cause);
}

static enum request_outcome request_failure_outcome(const struct request *request,
                                                    enum err_kind cause)
{
    if (request->has_ended)
        return REQUEST_COMPLETED;
    if (cause == ERR_CANCELLED)
        return REQUEST_CANCELLED;
    return cause == ERR_DEADLINE ? REQUEST_DEADLINE_EXCEEDED : REQUEST_FAILED;
}

void request_fail(struct request *request, const struct err *cause)
{
    AUTO_JSON json_t *details =
        cause->kind == ERR_DEADLINE ? request_note_missed_deadline(request) : NULL;

    request->failure = cause->kind;
    request_say_failure(request, cause, details);
    log_event(LOG_INFO, "request_failed", "id=%s request_id=%s code=%s message=%s", request->id,
              request->label, err_wire_code(cause->kind), cause->message);
    request_end(request, request_failure_outcome(request, cause->kind));
}

static void request_log_end(const struct request *request, const char *outcome)
{
    log_event(LOG_INFO, "request",
              "id=%s request_id=%s worker=%s outcome=%s tokens=%" PRId64 " ms=%" PRIu64,
              request->id, request->label, request->worker == NULL ? "" : request->worker->name,
              outcome, request->token_count, (clock_monotonic_us() - request->arrived_us) / 1000);
}

/* A worker may say more, or less, than it has sent: what it says at the end counts. */
static void request_count(const struct request *request, enum request_outcome outcome)
{
    struct metrics *metrics = &request->supervisor->metrics;

    metrics_count(metrics, METRIC_REQUESTS, outcome);
    metrics_add(metrics, METRIC_PROMPT_TOKENS, request->prompt_tokens);
    metrics_add(metrics, METRIC_COMPLETION_TOKENS, request->token_count);
}

void request_end(struct request *request, enum request_outcome outcome)
{
    struct worker *worker = request->worker;

    request_log_end(request, request_outcome_name(outcome));
    journal_request(request, request_outcome_name(outcome));
    audit_request_ended(request, outcome);
    request_count(request, outcome);
    request_leave_worker(request);
    resolve_cancel(request);
    if (request->call != NULL)
        http_call_cancel(request->call);
    TAILQ_REMOVE(&request->supervisor->requests, request, in_registry);
    event_free(request->timer);
    sse_parser_release(&request->sse);
    buf_release(&request->reply);
    json_decref(request->body);
    json_decref(request->warnings);
    json_decref(request->logprobs);
    free(request->options);
    audit_origin_free(request->origin);
    free(request);
    if (worker != NULL)
        worker_requests_changed(worker);
}

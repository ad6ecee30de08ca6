/* Owns requests and streams of the dashboard. Must not know what is shown of them. */
#include "tui/feed.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/http/sse.h"
#include "common/json.h"
#include "common/mem.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FEED_REPLY_MAX_BYTES = 16 << 20,
    FEED_HEADER_MAX_COUNT = 2,
    FEED_EVENT_LINES = 200, /* of the past, when it begins */
    FEED_LOG_LINES = 500,
    FEED_GPU_MAX_COUNT = 16, /* whose past is asked for */
    STATUS_OK_FIRST = 200,
    STATUS_OK_LAST = 299,
};

/* What is asked for and answered in one piece. */
enum feed_kind {
    FEED_STATUS = SNAPSHOT_STATUS,  /* the parts of the snapshot */
    FEED_WHY = SNAPSHOT_PART_COUNT, /* of the worker in the detail */
    FEED_ORDER,                     /* what the person wants done */
    FEED_GPU_HISTORY,               /* the first of these */
    FEED_CALL_COUNT = FEED_GPU_HISTORY + FEED_GPU_MAX_COUNT,
};

struct feed_call {
    struct feed *feed;
    struct http_call *call; /* NULL: none is under way */
    int status;             /* 0: no head yet */
    struct buf body;
    uint64_t began_ms;
    char subject[TABLE_KEY_BYTES]; /* whose why, which GPU */
};

struct feed_stream {
    struct feed *feed;
    struct http_call *call;
    int status;
    struct sse_parser parser;
    void (*on_event)(struct feed *feed, const json_t *event);
};

struct feed {
    struct http_client *client;
    struct top *top;
    char *authorization; /* value of that header; NULL: none is sent */
    struct feed_call calls[FEED_CALL_COUNT];
    struct feed_stream events;
    struct feed_stream log;
    int64_t last_seq; /* of the last event; -1: none yet */
    bool is_log_begun;
    char log_worker[TABLE_KEY_BYTES]; /* whose log the stream is of */
    struct top_order order;           /* the one that is under way */
    bool has_gpu_history;
};

static struct http_call *send_request(struct feed *feed, enum http_method method,
                                      const char *target, const char *body,
                                      const struct http_call_events *events, void *owner)
{
    struct http_header headers[FEED_HEADER_MAX_COUNT];
    struct http_request request = {.method = method,
                                   .target = target,
                                   .headers = headers,
                                   .body = body,
                                   .body_len = body != NULL ? strlen(body) : 0};

    if (feed->authorization != NULL)
        headers[request.header_count++] =
            (struct http_header){"Authorization", feed->authorization};
    if (body != NULL)
        headers[request.header_count++] = (struct http_header){"Content-Type", "application/json"};
    return http_client_send(feed->client, &request, events, owner);
}

/* ---- calls ---- */

static enum feed_kind call_kind(const struct feed_call *call)
{
    return (enum feed_kind)(call - call->feed->calls);
}

/* Whether the status is answered says whether the supervisor is there; what becomes of the rest is
 * seen when it is asked again. */
static void take_failure(struct feed_call *call, const struct err *failure)
{
    struct top *top = call->feed->top;
    enum feed_kind kind = call_kind(call);

    if (kind == FEED_STATUS)
        top_take_link(top, TOP_LOST, failure->message);
    else if (kind == FEED_ORDER)
        top_take_outcome(top, &call->feed->order, failure);
}

static void take_reply(struct feed_call *call, json_t *reply)
{
    struct top *top = call->feed->top;
    enum feed_kind kind = call_kind(call);

    if (kind == FEED_STATUS)
        top_take_link(top, TOP_CONNECTED, "");
    if (kind < FEED_WHY)
        top_take_part(top, (enum snapshot_part)kind, reply);
    else if (kind == FEED_WHY)
        top_take_why(top, call->subject, reply);
    else if (kind == FEED_ORDER)
        top_take_outcome(top, &call->feed->order, NULL);
    else
        top_take_gpu_history(top, call->subject, reply);
    if (kind >= FEED_ORDER)
        json_decref(reply);
}

static int on_call_head(struct http_call *http, void *owner, const struct http_head *head,
                        struct err *err)
{
    struct feed_call *call = owner;

    call->status = head->status;
    return 0;
}

static void on_call_body(struct http_call *http, void *owner, const char *data, size_t len)
{
    struct feed_call *call = owner;

    (void)buf_add(&call->body, data, len); /* what is cut is no JSON, and refused for that */
}

static bool is_ok(int status)
{
    return status >= STATUS_OK_FIRST && status <= STATUS_OK_LAST;
}

/* The JSON of a whole reply; NULL with err: its own error, or that of its form. */
static json_t *read_reply(const struct feed_call *call, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;

    if (call->body.len == 0 && is_ok(call->status))
        return json_null();
    reply = json_parse(call->body.data, call->body.len, FEED_REPLY_MAX_BYTES, err);
    if (reply == NULL)
        return err_wrap_null(err, "the supervisor's answer");
    if (is_ok(call->status))
        return take_ptr(reply);
    json_error_from_envelope(reply, err);
    return NULL;
}

static void on_call_end(struct http_call *http, void *owner, const struct err *failure)
{
    struct feed_call *call = owner;
    struct err err = ERR_INIT;
    json_t *reply = NULL;

    call->call = NULL;
    if (failure == NULL)
        reply = read_reply(call, &err);
    if (reply != NULL)
        take_reply(call, reply);
    else
        take_failure(call, failure != NULL ? failure : &err);
    buf_release(&call->body);
    feed_sync(call->feed);
}

static void begin_call(struct feed *feed, enum feed_kind kind, enum http_method method,
                       const char *target, const char *body)
{
    static const struct http_call_events EVENTS = {
        .on_head = on_call_head, .on_body = on_call_body, .on_end = on_call_end};
    struct feed_call *call = &feed->calls[kind];

    assert(call->call == NULL);
    call->status = 0;
    call->began_ms = clock_monotonic_ms();
    call->call = send_request(feed, method, target, body, &EVENTS, call);
}

static void cancel_call(struct feed_call *call)
{
    if (call->call != NULL)
        http_call_cancel(call->call);
    call->call = NULL;
    buf_release(&call->body);
}

/* One that hangs is given up, and asked anew. */
static void give_up_overdue(struct feed_call *call)
{
    struct err overdue = ERR_INIT;

    if (call->call == NULL || clock_monotonic_ms() - call->began_ms < FEED_ANSWER_MS)
        return;
    cancel_call(call);
    err_fill(&overdue, ERR_TIMED_OUT, "the supervisor does not answer");
    take_failure(call, &overdue);
}

/* ---- streams ---- */

static int on_stream_head(struct http_call *http, void *owner, const struct http_head *head,
                          struct err *err)
{
    struct feed_stream *stream = owner;

    stream->status = head->status;
    return 0;
}

static int on_stream_event(void *owner, const char *data, size_t len, struct err *err)
{
    struct feed_stream *stream = owner;
    AUTO_JSON json_t *event = json_parse(data, len, SSE_EVENT_MAX_BYTES, err);

    if (event == NULL)
        return -1;
    if (strcmp(json_shown_text(event, "type"), "error") != 0) /* the end follows, and a new try */
        stream->on_event(stream->feed, event);
    return 0;
}

static void on_stream_body(struct http_call *http, void *owner, const char *data, size_t len)
{
    struct feed_stream *stream = owner;
    struct err err = ERR_INIT;

    if (is_ok(stream->status))
        (void)sse_parser_feed(&stream->parser, data, len, on_stream_event, stream, &err);
}

static void on_stream_end(struct http_call *http, void *owner, const struct err *failure)
{
    struct feed_stream *stream = owner;

    stream->call = NULL; /* the next poll begins it again */
}

static void stop_stream(struct feed_stream *stream)
{
    if (stream->call != NULL)
        http_call_cancel(stream->call);
    stream->call = NULL;
}

static void begin_stream(struct feed_stream *stream, const char *target)
{
    static const struct http_call_events EVENTS = {
        .on_head = on_stream_head, .on_body = on_stream_body, .on_end = on_stream_end};

    sse_parser_release(&stream->parser);
    sse_parser_init(&stream->parser);
    stream->status = 0;
    stream->call = send_request(stream->feed, HTTP_GET, target, NULL, &EVENTS, stream);
}

static void on_event(struct feed *feed, const json_t *event)
{
    const json_t *seq = json_object_get(event, "seq");

    if (json_is_integer(seq))
        feed->last_seq = json_integer_value(seq);
    top_take_event(feed->top, event);
}

static void on_log_line(struct feed *feed, const json_t *line)
{
    top_take_log_line(feed->top, line);
}

static void follow_events(struct feed *feed)
{
    char target[TOP_TARGET_MAX_BYTES];

    if (feed->events.call != NULL)
        return;
    if (feed->last_seq >= 0)
        (void)snprintf(target, sizeof(target), "/v1/events?follow=1&after=%" PRId64,
                       feed->last_seq);
    else
        (void)snprintf(target, sizeof(target), "/v1/events?follow=1&limit=%d", FEED_EVENT_LINES);
    begin_stream(&feed->events, target);
}

/* The log that is on the screen, from its last lines on; none when none is. */
static void follow_log(struct feed *feed)
{
    const char *wanted = top_wanted_log(feed->top);
    char target[TOP_TARGET_MAX_BYTES];
    bool is_other = wanted == NULL || strcmp(wanted, feed->log_worker) != 0;

    if (feed->is_log_begun && is_other) {
        stop_stream(&feed->log);
        feed->is_log_begun = false;
    }
    if (wanted == NULL || feed->log.call != NULL)
        return;
    lines_release(&feed->top->log); /* what comes begins with its last lines again */
    (void)snprintf(feed->log_worker, sizeof(feed->log_worker), "%s", wanted);
    (void)snprintf(target, sizeof(target), "%s%s/%s?follow=1&lines=%d",
                   wanted[0] != '\0' ? "/v1/workers/" : "/v1", wanted, "logs", FEED_LOG_LINES);
    feed->is_log_begun = true;
    begin_stream(&feed->log, target);
}

/* ---- what is asked for ---- */

static void ask_why(struct feed *feed)
{
    const char *worker = top_wanted_why(feed->top);
    struct feed_call *call = &feed->calls[FEED_WHY];
    char target[TOP_TARGET_MAX_BYTES];

    if (worker == NULL)
        return;
    if (call->call != NULL && strcmp(call->subject, worker) != 0)
        cancel_call(call);
    if (call->call != NULL)
        return;
    (void)snprintf(call->subject, sizeof(call->subject), "%s", worker);
    (void)snprintf(target, sizeof(target), "/v1/workers/%s/why", worker);
    begin_call(feed, FEED_WHY, HTTP_GET, target, NULL);
}

/* The past hour of each GPU, once there are any. */
static void ask_gpu_history(struct feed *feed)
{
    const json_t *gpus = snapshot_rows(&feed->top->snapshot, "gpus");
    size_t count = json_array_size(gpus);

    if (feed->has_gpu_history || count == 0)
        return;
    feed->has_gpu_history = true;
    for (size_t i = 0; i < count && i < FEED_GPU_MAX_COUNT; i++) {
        struct feed_call *call = &feed->calls[FEED_GPU_HISTORY + i];
        char target[TOP_TARGET_MAX_BYTES];

        (void)snprintf(call->subject, sizeof(call->subject), "%s",
                       snapshot_key(json_array_get(gpus, i)));
        (void)snprintf(target, sizeof(target), "/v1/gpus/%s/history", call->subject);
        begin_call(feed, FEED_GPU_HISTORY + (enum feed_kind)i, HTTP_GET, target, NULL);
    }
}

static void send_order(struct feed *feed)
{
    AUTO_JSON json_t *body = NULL;
    AUTO_FREE char *text = NULL;

    if (feed->calls[FEED_ORDER].call != NULL || !top_next_order(feed->top, &feed->order))
        return;
    if (feed->order.has_reason) {
        body = json_pack("{s:o}", "reason",
                         json_text_lossy(feed->order.reason, strlen(feed->order.reason)));
        text = json_to_text(body);
    }
    begin_call(feed, FEED_ORDER, feed->order.method, feed->order.target, text);
}

void feed_sync(struct feed *feed)
{
    send_order(feed);
    if (feed->top->link != TOP_CONNECTED)
        return;
    ask_gpu_history(feed);
    if (top_wanted_log(feed->top) == NULL || !feed->is_log_begun ||
        strcmp(feed->log_worker, top_wanted_log(feed->top)) != 0)
        follow_log(feed);
    if (feed->top->detail.is_open && feed->top->detail.why == NULL)
        ask_why(feed);
}

void feed_poll(struct feed *feed)
{
    for (int i = 0; i < FEED_CALL_COUNT; i++)
        give_up_overdue(&feed->calls[i]);
    for (int i = 0; i < SNAPSHOT_PART_COUNT; i++) {
        if (feed->calls[i].call == NULL)
            begin_call(feed, (enum feed_kind)i, HTTP_GET, snapshot_target((enum snapshot_part)i),
                       NULL);
    }
    if (feed->top->link != TOP_CONNECTED)
        return;
    follow_events(feed);
    follow_log(feed);
    ask_why(feed);
}

struct feed *feed_new(struct event_base *base, const struct http_address *address,
                      const char *token, struct top *top)
{
    struct feed *feed = xcalloc(1, sizeof(*feed));

    feed->top = top;
    feed->last_seq = -1;
    feed->client = http_client_new(base, address, FEED_REPLY_MAX_BYTES);
    feed->authorization = token != NULL ? xasprintf("Bearer %s", token) : NULL;
    for (int i = 0; i < FEED_CALL_COUNT; i++) {
        feed->calls[i].feed = feed;
        buf_init(&feed->calls[i].body, FEED_REPLY_MAX_BYTES);
    }
    feed->events = (struct feed_stream){.feed = feed, .on_event = on_event};
    feed->log = (struct feed_stream){.feed = feed, .on_event = on_log_line};
    sse_parser_init(&feed->events.parser);
    sse_parser_init(&feed->log.parser);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (feed == NULL)
        return;
    for (int i = 0; i < FEED_CALL_COUNT; i++)
        cancel_call(&feed->calls[i]);
    stop_stream(&feed->events);
    stop_stream(&feed->log);
    sse_parser_release(&feed->events.parser);
    sse_parser_release(&feed->log.parser);
    http_client_free(feed->client);
    if (feed->authorization != NULL)
        explicit_bzero(feed->authorization, strlen(feed->authorization));
    free(feed->authorization);
    free(feed);
}

/* Owns requests to the supervisor. Must not know what they mean.
 *
 * A request ends in one of four ways: the reply is complete (on_end), an event's handler gave up, a
 * signal came, or its time passed. The last three close the connection. */
#include "cli/api.h"

#include "cli/interrupt.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/deadline.h"
#include "common/http/sse.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/units.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

enum {
    STATUS_OK_FIRST = 200,
    STATUS_OK_LAST = 299,
    MS_PER_S = 1000,
    API_HEADER_MAX_COUNT = 3,
    RETRY_AFTER_MAX_S = 86400, /* a day; more is no advice */
};

/* A timer needs a time. */
static const uint64_t API_FOR_EVER_MS = 365ull * 86400 * MS_PER_S;

struct api {
    struct event_base *base;
    struct http_client *client;
    struct interrupt *interrupt;
    char *authorization; /* value of that header; NULL: none is sent */
};

/* A request on its way.
 *
 * It ends in the timer's callback alone: at once when the reply is complete, an event's handler has
 * given up or a signal came, else when its time has passed. A connection cannot be closed from
 * inside its own callbacks. */
struct api_call {
    struct api_request request;
    struct api *api;
    struct http_call *call; /* NULL once it has ended */
    struct event *timer;
    int status;             /* 0: no head yet */
    bool is_stream;         /* the body is events for on_event; what failed is read as a whole */
    int64_t retry_after_ms; /* -1: not said */
    struct buf body;
    struct sse_parser events;
    bool is_over; /* the timer's next callback is the end */
    bool has_ended;
    struct err err; /* set: it has failed */
    void (*on_done)(void *owner, struct api_call *call);
    void *owner;
};

struct api *api_new(const struct http_address *address, struct interrupt *interrupt,
                    struct err *err)
{
    struct api *api = xcalloc(1, sizeof(*api));

    api->interrupt = interrupt;
    api->base = event_base_new();
    if (api->base == NULL) {
        free(api);
        return err_set_null(err, ERR_INTERNAL, "no event loop: %m");
    }
    api->client = http_client_new(api->base, address, API_REPLY_MAX_BYTES);
    return api;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    http_client_free(api->client);
    event_base_free(api->base);
    if (api->authorization != NULL)
        explicit_bzero(api->authorization, strlen(api->authorization));
    free(api->authorization);
    free(api);
}

void api_set_token(struct api *api, const char *token)
{
    assert(api->authorization == NULL);
    api->authorization = xasprintf("Bearer %s", token);
}

struct event_base *api_base(struct api *api)
{
    return api->base;
}

/* What every request carries beside what HTTP itself needs. */
static size_t add_headers(const struct api *api, bool has_body,
                          struct http_header out[API_HEADER_MAX_COUNT])
{
    size_t count = 0;

    if (has_body)
        out[count++] = (struct http_header){"Content-Type", "application/json"};
    if (api->authorization != NULL)
        out[count++] = (struct http_header){"Authorization", api->authorization};
    return count;
}

struct http_call *api_get_beside(struct api *api, const char *target,
                                 const struct http_call_events *events, void *owner)
{
    struct http_header headers[API_HEADER_MAX_COUNT];
    const struct http_request request = {.method = HTTP_GET,
                                         .target = target,
                                         .headers = headers,
                                         .header_count = add_headers(api, false, headers)};

    return http_client_send(api->client, &request, events, owner);
}

static bool is_ok(int status)
{
    return status >= STATUS_OK_FIRST && status <= STATUS_OK_LAST;
}

static int64_t read_retry_after(const struct http_head *head)
{
    const char *text = http_head_find(head, "Retry-After");
    struct err ignored = ERR_INIT; /* a date, or nonsense: then nothing is known */
    int64_t seconds = 0;

    if (text == NULL || units_parse_integer(text, 0, RETRY_AFTER_MAX_S, &seconds, &ignored) < 0)
        return -1;
    return seconds * MS_PER_S;
}

/* The end, or a failure that is in call->err: the first one counts. */
static void finish(struct api_call *call)
{
    static const struct timeval NOW = {0};

    if (call->is_over)
        return;
    call->is_over = true;
    (void)evtimer_add(call->timer, &NOW); /* cannot fail: it has been added before */
}

static int on_head(struct http_call *http, void *owner, const struct http_head *head,
                   struct err *err)
{
    static const char SSE_TYPE[] = "text/event-stream";
    struct api_call *call = owner;
    const char *type = http_head_find(head, "Content-Type");

    call->status = head->status;
    call->retry_after_ms = read_retry_after(head);
    if (!is_ok(head->status))
        return 0;
    call->is_stream = type != NULL && strncasecmp(type, SSE_TYPE, strlen(SSE_TYPE)) == 0;
    if (call->is_stream != (call->request.on_event != NULL))
        return err_set(err, ERR_PROTOCOL, "the supervisor answered with %.64s",
                       type != NULL ? type : "no type of content");
    return 0;
}

static void on_body(struct http_call *http, void *owner, const char *data, size_t len)
{
    struct api_call *call = owner;

    if (call->is_over)
        return;
    if (call->is_stream) {
        if (sse_parser_feed(&call->events, data, len, call->request.on_event, call->request.owner,
                            &call->err) < 0)
            finish(call);
    } else if (buf_add(&call->body, data, len) < 0) {
        err_fill(&call->err, ERR_PROTOCOL, "a reply of more than %d bytes", API_REPLY_MAX_BYTES);
        finish(call);
    }
}

static void on_end(struct http_call *http, void *owner, const struct err *failure)
{
    struct api_call *call = owner;

    call->call = NULL;
    if (failure != NULL && !call->is_over)
        call->err = *failure;
    finish(call);
}

static void fail_late(struct api_call *call)
{
    char waited[UNITS_TEXT_BYTES];

    units_format_duration(call->request.timeout_ms, waited);
    if (call->status != 0)
        err_fill(&call->err, ERR_TIMED_OUT, "the supervisor's answer has no end within %s", waited);
    else
        err_fill(&call->err, ERR_TIMED_OUT,
                 "the supervisor has not answered for %s: it hangs or is stopped (rbee doctor)",
                 waited);
}

static void on_timer(evutil_socket_t fd, short what, void *owner)
{
    struct api_call *call = owner;

    if (!call->is_over)
        fail_late(call);
    call->is_over = true;
    call->has_ended = true;
    if (call->call != NULL)
        http_call_cancel(take_ptr(call->call));
    if (call->on_done != NULL)
        call->on_done(call->owner, call); /* may free the call */
}

static void on_signal(evutil_socket_t fd, short what, void *owner)
{
    struct api_call *call = owner;

    interrupt_take(call->api->interrupt);
    if (call->api->interrupt->signal == 0 || call->is_over)
        return;
    err_fill(&call->err, ERR_CANCELLED, "interrupted");
    finish(call);
}

/* The envelope of a reply that is an error, with what its headers add. */
static int read_failure(const struct api_call *call, json_t **out_failure, struct err *err)
{
    AUTO_JSON json_t *envelope =
        json_parse(call->body.data, call->body.len, API_REPLY_MAX_BYTES, err);
    json_t *error = json_object_get(envelope, "error");

    if (error == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor answered %d without saying why",
                       call->status);
    json_error_from_envelope(envelope, err);
    if (call->retry_after_ms >= 0 && json_object_get(error, "retry_after_ms") == NULL)
        (void)json_object_set_new(error, "retry_after_ms", json_integer(call->retry_after_ms));
    if (out_failure != NULL)
        *out_failure = take_ptr(envelope);
    return -1;
}

int api_call_result(const struct api_call *call, json_t **out_reply, json_t **out_failure,
                    struct err *err)
{
    json_t *reply = NULL;

    assert(call->has_ended);
    if (err_is_set(&call->err)) {
        *err = call->err;
        return -1;
    }
    if (!is_ok(call->status))
        return read_failure(call, out_failure, err);
    if (call->body.len > 0) {
        reply = json_parse(call->body.data, call->body.len, API_REPLY_MAX_BYTES, err);
        if (reply == NULL) {
            err->kind = ERR_PROTOCOL; /* whatever is wrong with it, it is not our input */
            return err_wrap(err, "the supervisor's answer");
        }
    }
    if (out_reply != NULL)
        *out_reply = reply;
    else
        json_decref(reply);
    return 0;
}

static void send_request(struct api_call *call)
{
    static const struct http_call_events EVENTS = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end};
    const struct api_request *request = &call->request;
    struct http_header headers[API_HEADER_MAX_COUNT];
    char deadline[DEADLINE_TEXT_BYTES];
    AUTO_FREE char *body = request->body != NULL ? json_to_text(request->body) : NULL;
    struct http_request http = {.method = request->method,
                                .target = request->target,
                                .headers = headers,
                                .header_count = add_headers(call->api, body != NULL, headers),
                                .body = body,
                                .body_len = body != NULL ? strlen(body) : 0};

    (void)snprintf(deadline, sizeof(deadline), "%" PRIu64, request->deadline_ms);
    if (request->deadline_ms > 0)
        headers[http.header_count++] = (struct http_header){DEADLINE_TIMEOUT_HEADER, deadline};
    call->call = http_client_send(call->api->client, &http, &EVENTS, call);
}

struct api_call *api_call_start(struct api *api, const struct api_request *request,
                                void (*on_done)(void *owner, struct api_call *call), void *owner)
{
    struct api_call *call = xcalloc(1, sizeof(*call));
    uint64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : API_FOR_EVER_MS;
    struct timeval time = clock_timeval(timeout_ms);

    *call = (struct api_call){
        .request = *request, .api = api, .retry_after_ms = -1, .on_done = on_done, .owner = owner};
    buf_init(&call->body, API_REPLY_MAX_BYTES);
    sse_parser_init(&call->events);
    call->timer = evtimer_new(api->base, on_timer, call);
    if (call->timer == NULL || evtimer_add(call->timer, &time) < 0)
        abort(); /* as xmalloc: memory is gone, and nothing else can be */
    send_request(call);
    return call;
}

void api_call_free(struct api_call *call)
{
    if (call == NULL)
        return;
    if (call->call != NULL)
        http_call_cancel(call->call);
    event_free(call->timer);
    buf_release(&call->body);
    sse_parser_release(&call->events);
    free(call);
}

static void release_call(struct api_call **call)
{
    api_call_free(*call);
}

static void release_event(struct event **event)
{
    if (*event != NULL)
        event_free(*event);
}

int api_send(struct api *api, const struct api_request *request, json_t **out_reply,
             json_t **out_failure, struct err *err)
{
    __attribute__((cleanup(release_call))) struct api_call *call =
        api_call_start(api, request, NULL, NULL);
    __attribute__((cleanup(release_event))) struct event *signals = NULL;

    if (api->interrupt->fd >= 0) {
        signals = event_new(api->base, api->interrupt->fd, EV_READ | EV_PERSIST, on_signal, call);
        if (signals == NULL || event_add(signals, NULL) < 0)
            return err_set(err, ERR_INTERNAL, "watch signals: %m");
    }
    while (!call->has_ended) {
        if (event_base_loop(api->base, EVLOOP_ONCE) < 0)
            return err_set(err, ERR_INTERNAL, "event loop: %m");
    }
    return api_call_result(call, out_reply, out_failure, err);
}

/* Owns requests to the supervisor. Must not know what they mean.
 *
 * A request ends in one of four ways: the reply is complete (on_end), an event's handler gave up, a
 * signal came, or its time passed. The last three close the connection. */
#include "cli/api.h"

#include "cli/interrupt.h"
#include "common/buf.h"
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
    US_PER_MS = 1000,
    API_HEADER_MAX_COUNT = 3,
    RETRY_AFTER_MAX_S = 86400, /* a day; more is no advice */
};

struct api {
    struct event_base *base;
    struct http_client *client;
    struct interrupt *interrupt;
    char *authorization; /* value of that header; NULL: none is sent */
};

/* A request on its way. */
struct transfer {
    const struct api_request *request;
    struct interrupt *interrupt;
    struct event_base *base;
    struct http_call *call; /* NULL once it has ended */
    int status;             /* 0: no head yet */
    bool is_stream;         /* the body is events for on_event; what failed is read as a whole */
    int64_t retry_after_ms; /* -1: not said */
    struct buf body;
    struct sse_parser events;
    bool has_failed; /* err is set */
    struct err *err;
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

static int on_head(struct http_call *call, void *owner, const struct http_head *head,
                   struct err *err)
{
    static const char SSE_TYPE[] = "text/event-stream";
    struct transfer *transfer = owner;
    const char *type = http_head_find(head, "Content-Type");

    transfer->status = head->status;
    transfer->retry_after_ms = read_retry_after(head);
    if (!is_ok(head->status))
        return 0;
    transfer->is_stream = type != NULL && strncasecmp(type, SSE_TYPE, strlen(SSE_TYPE)) == 0;
    if (transfer->is_stream != (transfer->request->on_event != NULL))
        return err_set(err, ERR_PROTOCOL, "the supervisor answered with %.64s",
                       type != NULL ? type : "no type of content");
    return 0;
}

/* Ends the wait; the call is cancelled there, not inside its own callback. */
static void give_up(struct transfer *transfer)
{
    transfer->has_failed = true;
    (void)event_base_loopbreak(transfer->base); /* cannot fail while the loop runs */
}

static void on_body(struct http_call *call, void *owner, const char *data, size_t len)
{
    struct transfer *transfer = owner;

    if (transfer->has_failed)
        return;
    if (transfer->is_stream) {
        if (sse_parser_feed(&transfer->events, data, len, transfer->request->on_event,
                            transfer->request->owner, transfer->err) < 0)
            give_up(transfer);
    } else if (buf_add(&transfer->body, data, len) < 0) {
        err_fill(transfer->err, ERR_PROTOCOL, "a reply of more than %d bytes", API_REPLY_MAX_BYTES);
        give_up(transfer);
    }
}

static void on_end(struct http_call *call, void *owner, const struct err *failure)
{
    struct transfer *transfer = owner;

    transfer->call = NULL;
    if (failure == NULL || transfer->has_failed)
        return;
    *transfer->err = *failure;
    transfer->has_failed = true;
}

static void on_signal(evutil_socket_t fd, short what, void *owner)
{
    struct transfer *transfer = owner;

    interrupt_take(transfer->interrupt);
    if (transfer->interrupt->signal == 0 || transfer->has_failed)
        return;
    err_fill(transfer->err, ERR_CANCELLED, "interrupted");
    give_up(transfer);
}

static void on_timeout(evutil_socket_t fd, short what, void *owner)
{
    struct transfer *transfer = owner;

    if (transfer->has_failed)
        return;
    err_fill(transfer->err, ERR_TIMED_OUT, "no answer within the time");
    give_up(transfer);
}

static void release_event(struct event **event)
{
    if (*event != NULL)
        event_free(*event);
}

/* Runs the loop until the call has ended, one way or another. */
static int transfer_wait(struct transfer *transfer, struct err *err)
{
    __attribute__((cleanup(release_event))) struct event *signals = NULL;
    __attribute__((cleanup(release_event))) struct event *timer =
        evtimer_new(transfer->base, on_timeout, transfer);
    uint64_t timeout_ms = transfer->request->timeout_ms;
    struct timeval time = {.tv_sec = (time_t)(timeout_ms / MS_PER_S),
                           .tv_usec = (suseconds_t)(timeout_ms % MS_PER_S * US_PER_MS)};

    if (transfer->interrupt->fd >= 0) {
        signals = event_new(transfer->base, transfer->interrupt->fd, EV_READ | EV_PERSIST,
                            on_signal, transfer);
        if (signals == NULL || event_add(signals, NULL) < 0)
            return err_set(err, ERR_INTERNAL, "watch signals: %m");
    }
    if (timeout_ms > 0 && (timer == NULL || event_add(timer, &time) < 0))
        return err_set(err, ERR_INTERNAL, "set a timer: %m");
    while (transfer->call != NULL && !transfer->has_failed) {
        if (event_base_loop(transfer->base, EVLOOP_ONCE) < 0)
            return err_set(err, ERR_INTERNAL, "event loop: %m");
    }
    return transfer->has_failed ? -1 : 0;
}

/* The envelope of a reply that is an error, with what its headers add. */
static int read_failure(struct transfer *transfer, json_t **out_failure, struct err *err)
{
    AUTO_JSON json_t *envelope =
        json_parse(transfer->body.data, transfer->body.len, API_REPLY_MAX_BYTES, err);
    json_t *error = json_object_get(envelope, "error");

    if (error == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor answered %d without saying why",
                       transfer->status);
    json_error_from_envelope(envelope, err);
    if (transfer->retry_after_ms >= 0 && json_object_get(error, "retry_after_ms") == NULL)
        (void)json_object_set_new(error, "retry_after_ms", json_integer(transfer->retry_after_ms));
    if (out_failure != NULL)
        *out_failure = take_ptr(envelope);
    return -1;
}

static int read_reply(struct transfer *transfer, json_t **out_reply, json_t **out_failure,
                      struct err *err)
{
    json_t *reply = NULL;

    if (!is_ok(transfer->status))
        return read_failure(transfer, out_failure, err);
    if (transfer->body.len > 0) {
        reply = json_parse(transfer->body.data, transfer->body.len, API_REPLY_MAX_BYTES, err);
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

static int transfer_run(struct api *api, struct transfer *transfer, struct err *err)
{
    static const struct http_call_events EVENTS = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end};
    const struct api_request *request = transfer->request;
    struct http_header headers[API_HEADER_MAX_COUNT];
    char deadline[DEADLINE_TEXT_BYTES];
    AUTO_FREE char *body = request->body != NULL ? json_to_text(request->body) : NULL;
    struct http_request http = {.method = request->method,
                                .target = request->target,
                                .headers = headers,
                                .header_count = add_headers(api, body != NULL, headers),
                                .body = body,
                                .body_len = body != NULL ? strlen(body) : 0};
    int rc = 0;

    (void)snprintf(deadline, sizeof(deadline), "%" PRIu64, request->deadline_ms);
    if (request->deadline_ms > 0)
        headers[http.header_count++] = (struct http_header){DEADLINE_TIMEOUT_HEADER, deadline};
    transfer->call = http_client_send(api->client, &http, &EVENTS, transfer);
    rc = transfer_wait(transfer, err);
    if (transfer->call != NULL)
        http_call_cancel(transfer->call);
    return rc;
}

int api_send(struct api *api, const struct api_request *request, json_t **out_reply,
             json_t **out_failure, struct err *err)
{
    struct transfer transfer = {.request = request,
                                .interrupt = api->interrupt,
                                .base = api->base,
                                .retry_after_ms = -1,
                                .err = err};
    int rc = 0;

    buf_init(&transfer.body, API_REPLY_MAX_BYTES);
    sse_parser_init(&transfer.events);
    rc = transfer_run(api, &transfer, err);
    if (rc == 0)
        rc = read_reply(&transfer, out_reply, out_failure, err);
    buf_release(&transfer.body);
    sse_parser_release(&transfer.events);
    return rc;
}

/* Owns the way from a request head to its handler: routes, who may call them, how they fail. Knows
 * nothing of what handlers do. */
#include "supervisor/api.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/moment.h"
#include "common/units.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { API_REASON_MAX_BYTES = 200 }; /* two of them and the rest fit into an error's message */

/* What the log calls it when the route was called; NONE is a route that changes nothing. */
enum api_action {
    API_ACTION_NONE,
    API_ACTION_SHUTDOWN,
    API_ACTION_CANCEL,
    API_ACTION_WORKER_START,
    API_ACTION_WORKER_STOP,
    API_ACTION_WORKER_RESTART,
    API_ACTION_WORKER_HOLD,
    API_ACTION_WORKER_RELEASE,
    API_ACTION_WORKER_DRILL,
    API_ACTION_BREAKER_RESET,
    API_ACTION_BREAKER_OPEN,
    API_ACTION_AUDIT_ACCEPT,
    API_ACTION_AUDIT_ARCHIVE,
    API_ACTION_MODEL_ADD,
    API_ACTION_MODEL_REMOVE,
    API_ACTION_MODEL_PULL,
    API_ACTION_MODEL_VERIFY,
};

struct api_route {
    api_handler *handler;
    enum auth_who who;
    enum api_action action;
    const char *action_name;
};

/* The two halves of routes.def, line by line. */
static const struct http_route PATHS[] = {
#define ROUTE(verb, pattern, function, role, act, summary) {.method = HTTP_##verb, .path = pattern},
#include "supervisor/routes.def"
#undef ROUTE
};

static const struct api_route ROUTES[] = {
#define ROUTE(verb, pattern, function, role, act, summary)                                         \
    {.handler = function, .who = AUTH_##role, .action = API_ACTION_##act, .action_name = #act},
#include "supervisor/routes.def"
#undef ROUTE
};

/* ---- deadlines ---- */

struct deadline_clock api_clock(const struct http_exchange *exchange)
{
    return (struct deadline_clock){.arrived_us = http_exchange_arrived_us(exchange),
                                   .now_us = clock_monotonic_us(),
                                   .wall_ms = clock_wall_ms()};
}

/* Before any work, on every route. */
static int api_read_deadline(struct supervisor *supervisor, struct http_exchange *exchange,
                             struct deadline *out, struct err *err)
{
    static const struct deadline_spent NOTHING = {.phase = DEADLINE_ARRIVAL};
    const struct deadline_clock clock = api_clock(exchange);
    uint64_t max_ms = (uint64_t)config_number(supervisor->config, CONFIG_deadline_max);

    if (deadline_read(http_exchange_head(exchange), &clock, max_ms, out, err) != 0) {
        http_reply_details(exchange, json_pack("{s:I}", "max_ms", (json_int_t)max_ms));
        return -1;
    }
    if (!deadline_is_over(out, clock.now_us))
        return 0;
    metrics_count(&supervisor->metrics, METRIC_DEADLINE_MISSES, DEADLINE_ARRIVAL);
    return deadline_refuse(exchange, &NOTHING, err);
}

/* The margin, but never more than half of what is left: who is in a hurry gets something too. */
static int64_t api_deadline_ms(const struct api_call *call)
{
    uint64_t left_ms = (deadline_left_us(&call->deadline, clock_monotonic_us()) + 999) / 1000;
    uint64_t margin_ms = (uint64_t)config_number(call->supervisor->config, CONFIG_deadline_margin);

    return (int64_t)(left_ms - (margin_ms < left_ms / 2 ? margin_ms : left_ms / 2));
}

static void api_tell_deadline(struct http_exchange *exchange)
{
    struct err err = ERR_INIT;

    if (http_exchange_has_begun(exchange)) {
        http_stream_end(exchange);
        return;
    }
    err_fill(&err, ERR_DEADLINE,
             "the deadline passed while the answer was waited for; what was asked for may be done "
             "all the same");
    api_reply_error(exchange, &err, NULL);
}

static void api_on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct api_call *call = arg;
    struct api_held *held = call->held;
    struct http_exchange *exchange = call->exchange;

    /* An answer that waits for rows of the audit trail says that something is done: without them it
     * must not leave, and by now nothing else has. */
    if (audit_withdraw_reply(call->supervisor, exchange) && held == NULL) {
        api_tell_deadline(exchange);
        return;
    }
    if (held == NULL) /* the answer is on its way */
        return;
    if (held->on_deadline != NULL) {
        held->on_deadline(held);
        return;
    }
    call->held = NULL;
    held->on_closed(held);
    api_tell_deadline(exchange);
}

/* ---- heads ---- */

bool api_may_still(struct http_exchange *exchange, struct err *err)
{
    const struct api_call *call = http_exchange_user(exchange);
    struct auth_caller ignored;

    return auth_check(&call->supervisor->auth, exchange, call->route->who, &ignored, err) == 0;
}

/* Only a browser cannot be told from a client of ours by who runs it, and none reaches a Unix
 * socket: a page of a stranger's may send forms, but not this type, without being asked about
 * first. */
static int api_check_type(struct http_exchange *exchange, struct err *err)
{
    static const char JSON_TYPE[] = "application/json";
    const struct http_head *head = http_exchange_head(exchange);
    const char *length = http_head_find(head, "Content-Length");
    const char *type = http_head_find(head, "Content-Type");
    bool has_body = http_head_find(head, "Transfer-Encoding") != NULL ||
                    (length != NULL && strspn(length, "0") < strlen(length));

    if (http_exchange_peer(exchange)->is_unix || !has_body)
        return 0;
    if (type != NULL && strncasecmp(type, JSON_TYPE, strlen(JSON_TYPE)) == 0 &&
        strchr("; \t", type[strlen(JSON_TYPE)]) != NULL) /* its NUL counts as well */
        return 0;
    return err_set(err, ERR_MEDIA_TYPE, "a body must be sent as Content-Type: %s", JSON_TYPE);
}

static int api_on_head(struct http_exchange *exchange, void *owner, struct err *err)
{
    struct supervisor *supervisor = owner;
    char parameter[HTTP_ROUTE_PARAMETER_BYTES];
    const struct http_head *head = http_exchange_head(exchange);
    int index = http_route_find(PATHS, ARRAY_COUNT(PATHS), head, parameter);
    struct deadline deadline;
    /* A stranger does not learn which routes there are. */
    enum auth_who who = index < 0 ? AUTH_INFER : ROUTES[index].who;
    struct auth_caller caller;
    struct api_call *call = NULL;

    if (auth_check(&supervisor->auth, exchange, who, &caller, err) != 0) {
        if (supervisor->audit.is_on)
            audit_refused(supervisor, exchange, caller.actor, AUDIT_AUTH_FAILURE, err);
        return -1;
    }
    if (index < 0)
        return http_route_refuse(PATHS, ARRAY_COUNT(PATHS), exchange, err);
    if (api_read_deadline(supervisor, exchange, &deadline, err) != 0 ||
        api_check_type(exchange, err) != 0)
        return -1;
    call = xcalloc(1, sizeof(*call));
    call->supervisor = supervisor;
    call->exchange = exchange;
    call->route = &ROUTES[index];
    call->caller = caller;
    call->deadline = deadline;
    memcpy(call->parameter, parameter, sizeof(parameter));
    http_exchange_set_user(exchange, call);
    return 0;
}

static void api_log_action(const struct api_call *call, const struct err *failure)
{
    if (call->route->action == API_ACTION_NONE)
        return;
    log_event(LOG_INFO, "api", "action=%s target=%s actor=%s request_id=%s result=%s",
              call->route->action_name, call->parameter, call->caller.actor,
              http_exchange_request_id(call->exchange),
              failure == NULL ? "OK" : err_wire_code(failure->kind));
}

/* What comes in is no request at all; of what it could be, one is worth a row. */
static void api_on_refused(struct http_exchange *exchange, void *owner, const struct err *refusal)
{
    struct supervisor *supervisor = owner;
    struct err err = *refusal;
    char actor[AUTH_ACTOR_BYTES];

    if (!supervisor->audit.is_on || refusal->kind != ERR_TRAVERSAL)
        return;
    auth_peer_actor(http_exchange_peer(exchange), actor);
    audit_refused(supervisor, exchange, actor, AUDIT_PATH_TRAVERSAL, &err);
}

/* What CALL needs of the audit trail. */
static enum audit_need api_need(const struct api_call *call)
{
    enum http_method method = http_exchange_head(call->exchange)->method;

    if (call->route->who == AUTH_OPEN || call->route->who == AUTH_METRICS)
        return AUDIT_NEEDS_NOTHING;
    switch (call->route->action) {
    case API_ACTION_SHUTDOWN:
    case API_ACTION_CANCEL:
    case API_ACTION_WORKER_STOP:
    case API_ACTION_WORKER_HOLD:
        return AUDIT_NEVER_WAITS;
    default:
        return method == HTTP_GET || method == HTTP_HEAD ? AUDIT_NEEDS_ROOM : AUDIT_NEEDS_DISK;
    }
}

static int api_run(struct api_call *call, struct err *err)
{
    struct audit *audit = &call->supervisor->audit;
    int rc = 0;

    audit->call = call;
    audit->call_never_waits = api_need(call) == AUDIT_NEVER_WAITS;
    rc = call->route->handler(call, err);
    audit->call = NULL;
    return rc;
}

/* A body may take longer than its sender has. What only reads may still try, and a model's request
 * looks itself (request.c); nothing is changed for somebody who was told that it was too late. */
static int api_check_late(struct api_call *call, struct err *err)
{
    uint64_t now_us = clock_monotonic_us();
    struct deadline_spent spent = {.phase = DEADLINE_QUEUE};

    if (call->route->action == API_ACTION_NONE || !deadline_is_over(&call->deadline, now_us))
        return 0;
    spent.us[DEADLINE_QUEUE] = now_us - http_exchange_arrived_us(call->exchange);
    metrics_count(&call->supervisor->metrics, METRIC_DEADLINE_MISSES, DEADLINE_QUEUE);
    return deadline_refuse(call->exchange, &spent, err);
}

void api_serve(struct api_call *call)
{
    struct http_exchange *exchange = call->exchange;
    struct err err = ERR_INIT;

    if (api_check_late(call, &err) == 0 && api_run(call, &err) == 0) {
        api_log_action(call, NULL);
        return;
    }
    api_log_action(call, &err);
    api_reply_error(exchange, &err, NULL);
}

static void api_on_request(struct http_exchange *exchange, void *owner)
{
    struct api_call *call = http_exchange_user(exchange);

    if (!call->supervisor->audit.is_on || audit_admit(call, api_need(call)))
        api_serve(call);
}

static void api_on_closed(struct http_exchange *exchange, void *owner, bool completed)
{
    struct api_call *call = http_exchange_user(exchange);

    if (call->held != NULL)
        call->held->on_closed(call->held);
    if (call->deadline_timer != NULL)
        event_free(call->deadline_timer);
    free(call);
}

static void api_on_drained(struct http_exchange *exchange, void *owner)
{
    struct api_call *call = http_exchange_user(exchange);

    if (call->held != NULL && call->held->on_drained != NULL)
        call->held->on_drained(call->held);
}

const struct http_service SUPERVISOR_API = {
    .on_head = api_on_head,
    .on_refused = api_on_refused,
    .on_request = api_on_request,
    .on_closed = api_on_closed,
    .on_drained = api_on_drained,
};

void api_hold(struct api_call *call, struct api_held *held)
{
    call->held = held;
    if (!deadline_is_set(&call->deadline) || call->deadline_timer != NULL)
        return;
    call->deadline_timer = evtimer_new(call->supervisor->base, api_on_deadline, call);
    timer_arm_after(call->deadline_timer, api_deadline_ms(call));
}

void api_release(struct http_exchange *exchange)
{
    struct api_call *call = http_exchange_user(exchange);

    call->held = NULL;
}

json_t *api_read_object(struct api_call *call, struct err *err)
{
    size_t len = 0;
    const char *text = http_exchange_body(call->exchange, &len);
    AUTO_JSON json_t *body = NULL;

    if (len == 0)
        return json_object();
    body = json_parse(text, len, len, err); /* the server has checked the length already */
    if (body == NULL)
        return NULL;
    if (!json_is_object(body))
        return err_set_null(err, ERR_INVALID_JSON, "the body must be a JSON object");
    return take_ptr(body);
}

const char *api_read_reason(const json_t *body, struct err *err)
{
    const char *reason = "";

    if (json_read_text(body, "reason", &reason, err) != 0)
        return NULL;
    if (strlen(reason) > API_REASON_MAX_BYTES)
        return err_set_null(err, ERR_INVALID_FIELD, "reason must have at most %d bytes, not %zu",
                            API_REASON_MAX_BYTES, strlen(reason));
    for (const char *at = reason; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == '\177')
            return err_set_null(err, ERR_INVALID_FIELD, "reason must be one line of text");
    }
    return reason;
}

int api_read_query(const struct api_call *call, const char *key, char *out, size_t size,
                   struct err *err)
{
    const char *query = http_exchange_head(call->exchange)->query;
    size_t key_len = strlen(key);

    out[0] = '\0';
    while (*query != '\0') {
        size_t len = strcspn(query, "&");

        if (len > key_len && strncmp(query, key, key_len) == 0 && query[key_len] == '=') {
            len -= key_len + 1;
            if (len >= size)
                return err_set(err, ERR_INVALID, "%s is longer than %zu bytes", key, size - 1);
            memcpy(out, query + key_len + 1, len);
            out[len] = '\0';
            return 0;
        }
        query += len + (query[len] == '&');
    }
    return 0;
}

enum { API_QUERY_VALUE_BYTES = 64 };

int api_read_query_number(const struct api_call *call, const char *key, int64_t min, int64_t max,
                          int64_t *out, struct err *err)
{
    char text[API_QUERY_VALUE_BYTES];

    if (api_read_query(call, key, text, sizeof(text), err) != 0)
        return -1;
    if (text[0] == '\0' || units_parse_integer(text, min, max, out, err) == 0)
        return 0;
    err->kind = ERR_INVALID_FIELD;
    return err_wrap(err, "%s", key);
}

int api_read_query_moment(const struct api_call *call, const char *key, int64_t *out_ms,
                          struct err *err)
{
    char text[API_QUERY_VALUE_BYTES];

    if (api_read_query(call, key, text, sizeof(text), err) != 0)
        return -1;
    if (text[0] == '\0' || moment_parse(text, clock_wall_ms(), out_ms, err) == 0)
        return 0;
    err->kind = ERR_INVALID_FIELD;
    return err_wrap(err, "%s", key);
}

int api_read_follow(const struct api_call *call, bool *out_follow, struct err *err)
{
    const char *accept = http_head_find(http_exchange_head(call->exchange), "Accept");
    int64_t follow = 0;

    if (api_read_query_number(call, "follow", 0, 1, &follow, err) != 0)
        return -1;
    *out_follow = follow == 1 || (accept != NULL && strstr(accept, "text/event-stream") != NULL);
    return 0;
}

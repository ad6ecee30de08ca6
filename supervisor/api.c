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

#include <string.h>

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
    API_ACTION_MODEL_ADD,
    API_ACTION_MODEL_REMOVE,
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

static int api_on_head(struct http_exchange *exchange, void *owner, struct err *err)
{
    char parameter[HTTP_ROUTE_PARAMETER_BYTES];
    int index = http_route_find(PATHS, ARRAY_COUNT(PATHS), exchange, parameter, err);
    struct auth_caller caller;
    struct api_call *call = NULL;

    if (index < 0 || auth_check(exchange, ROUTES[index].who, &caller, err) != 0)
        return -1;
    call = xcalloc(1, sizeof(*call));
    call->supervisor = owner;
    call->exchange = exchange;
    call->route = &ROUTES[index];
    call->caller = caller;
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

static void api_on_request(struct http_exchange *exchange, void *owner)
{
    struct api_call *call = http_exchange_user(exchange);
    struct err err = ERR_INIT;

    if (call->route->handler(call, &err) == 0) {
        api_log_action(call, NULL);
        return;
    }
    api_log_action(call, &err);
    http_reply_error(exchange, &err, NULL);
}

static void api_on_closed(struct http_exchange *exchange, void *owner, bool completed)
{
    struct api_call *call = http_exchange_user(exchange);

    if (call->held != NULL)
        call->held->on_closed(call->held);
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
    .on_request = api_on_request,
    .on_closed = api_on_closed,
    .on_drained = api_on_drained,
};

void api_hold(struct api_call *call, struct api_held *held)
{
    call->held = held;
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

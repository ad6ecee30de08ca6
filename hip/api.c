/* Owns the way from a request's head to its handler, and the handlers that answer at once. What an
 * inference answers is reply.c's. */
#include "hip/api.h"

#include "common/bearer.h"
#include "common/http/route.h"
#include "common/json.h"
#include "common/token.h"
#include "hip/drill.h"
#include "hip/engine/engine.h"
#include "hip/reply.h"
#include "hip/serve.h"

#include <assert.h>
#include <unistd.h>

typedef void api_handler(struct serve *serve, struct http_exchange *x, const char *parameter);

#define ROUTE(verb, pattern, function, role, summary) static api_handler function;
#include "hip/routes.def"
#undef ROUTE

enum api_who { API_OPEN, API_TOKEN };

static const struct http_route PATHS[] = {
#define ROUTE(verb, pattern, function, role, summary) {.method = HTTP_##verb, .path = pattern},
#include "hip/routes.def"
#undef ROUTE
};

static const struct {
    api_handler *handler;
    enum api_who who;
} ROUTES[] = {
#define ROUTE(verb, pattern, function, role, summary) {.handler = function, .who = API_##role},
#include "hip/routes.def"
#undef ROUTE
};

/* ---- who may call ---- */

static int api_check_peer(const struct http_peer *peer, struct err *err)
{
    if (peer->is_unix && (peer->uid == getuid() || peer->uid == 0))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "this worker serves its own user only");
}

static int api_authorize(const struct serve *serve, struct http_exchange *x, struct err *err)
{
    const char *token = NULL;

    if (serve->options->token == NULL)
        return api_check_peer(http_exchange_peer(x), err);
    token = bearer_find(http_exchange_head(x), err);
    if (token == NULL)
        return -1;
    if (!token_equal(token, serve->options->token))
        return err_set(err, ERR_INVALID_API_KEY, "the token is wrong");
    return 0;
}

/* ---- the service ---- */

static int api_on_head(struct http_exchange *x, void *owner, struct err *err)
{
    struct serve *serve = owner;
    char parameter[HTTP_ROUTE_PARAMETER_BYTES];
    int index = http_route_find(PATHS, ARRAY_COUNT(PATHS), http_exchange_head(x), parameter);

    /* A stranger does not even learn which routes there are. */
    if ((index < 0 || ROUTES[index].who == API_TOKEN) && api_authorize(serve, x, err) < 0)
        return -1;
    if (index < 0)
        return http_route_refuse(PATHS, ARRAY_COUNT(PATHS), x, err);
    serve->exchange_count++;
    return 0;
}

static void api_on_request(struct http_exchange *x, void *owner)
{
    char parameter[HTTP_ROUTE_PARAMETER_BYTES];
    int index = http_route_find(PATHS, ARRAY_COUNT(PATHS), http_exchange_head(x), parameter);

    assert(index >= 0); /* on_head has found it */
    ROUTES[index].handler(owner, x, parameter);
}

static void api_on_closed(struct http_exchange *x, void *owner, bool completed)
{
    struct serve *serve = owner;
    struct reply *reply = http_exchange_user(x);

    serve->exchange_count--;
    drill_on_closed(serve, x);
    if (reply != NULL)
        reply_on_closed(reply);
    serve_check_drained(serve);
}

static void api_on_drained(struct http_exchange *x, void *owner)
{
    struct reply *reply = http_exchange_user(x);

    if (reply != NULL)
        reply_pump(reply);
}

const struct http_service API_SERVICE = {
    .on_head = api_on_head,
    .on_request = api_on_request,
    .on_closed = api_on_closed,
    .on_drained = api_on_drained,
};

/* ---- handlers ---- */

static void api_health(struct serve *serve, struct http_exchange *x, const char *parameter)
{
    AUTO_JSON json_t *body = json_pack("{s:s}", "status", "ok");

    http_reply_json(x, 200, body);
}

/* A new reference. */
static json_t *api_list_devices(const struct engine_status *status)
{
    json_t *devices = json_array();

    for (uint32_t i = 0; i < status->device_count; i++)
        (void)json_array_append_new(
            devices, json_pack("{s:s, s:I, s:I}", "device", status->devices[i].name, "memory_bytes",
                               (json_int_t)status->devices[i].memory_bytes, "layers",
                               (json_int_t)status->devices[i].layer_count));
    return devices;
}

static void api_ready(struct serve *serve, struct http_exchange *x, const char *parameter)
{
    static const char *const PHASES[] = {
        [ENGINE_LOAD] = "load",
        [ENGINE_WARM_UP] = "warm_up",
        [ENGINE_READY] = "ready",
        [ENGINE_FAILED] = "failed",
    };
    AUTO_JSON json_t *body = NULL;
    struct engine_status status;

    engine_read_status(serve->engine, &status);
    if (status.phase != ENGINE_READY) {
        body =
            json_pack("{s:s, s:I, s:I}", "phase", PHASES[status.phase], "done_bytes",
                      (json_int_t)status.done_bytes, "total_bytes", (json_int_t)status.total_bytes);
        http_reply_json(x, 503, body);
        return;
    }
    body = json_pack("{s:s, s:I, s:I, s:I, s:i, s:s, s:I, s:o}", "phase", PHASES[status.phase],
                     "tokens", (json_int_t)status.tokens, "prefill_tokens",
                     (json_int_t)status.prefill_tokens, "context_tokens",
                     (json_int_t)status.context_tokens, "slots", (int)status.slot_count, "device",
                     status.device, "memory_bytes", (json_int_t)status.memory_bytes, "devices",
                     api_list_devices(&status));
    http_reply_json(x, 200, body);
}

static void api_inference(struct serve *serve, struct http_exchange *x, const char *parameter)
{
    struct err err = ERR_INIT;

    if (reply_start(serve, x, &err) < 0)
        http_reply_error(x, &err, NULL);
}

static void api_drill(struct serve *serve, struct http_exchange *x, const char *parameter)
{
    struct err err = ERR_INIT;

    if (drill_start(serve, x, &err) < 0)
        http_reply_error(x, &err, NULL);
}

/* The same answer for an id that runs, has ended or never was: whoever asks wants it not to run. */
static void api_cancel(struct serve *serve, struct http_exchange *x, const char *parameter)
{
    struct reply *reply = reply_find(serve, parameter);

    if (reply != NULL)
        reply_cancel(reply);
    http_reply(x, 204, NULL, NULL, 0);
}

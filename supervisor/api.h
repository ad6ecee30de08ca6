/* The supervisor's API: from a request head to the handler of its route, and from a handler's error
 * to the reply. Who may call a route is a column of routes.def, enforced here and nowhere else. */
#ifndef RBEE_SUPERVISOR_API_H
#define RBEE_SUPERVISOR_API_H

#include "common/deadline.h"
#include "common/err.h"
#include "common/http/http.h"
#include "common/http/route.h"
#include "supervisor/api_error.h"
#include "supervisor/auth.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct event;
struct supervisor;
struct api_route;
struct worker;

/* What an exchange hangs on while it is answered later: embedded in a struct of the one who will
 * answer. Neither is called once the exchange has been answered and let go with api_release(). */
struct api_held {
    /* The client left, or the reply is complete. The exchange dies with this. */
    void (*on_closed)(struct api_held *held);
    /* A stream can take more. May be NULL. */
    void (*on_drained)(struct api_held *held);
    /* The call's deadline is about to pass. NULL: on_closed is called, and the client is told that
     * it has passed. */
    void (*on_deadline)(struct api_held *held);
};

struct api_call {
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    const struct api_route *route;
    struct auth_caller caller;
    char parameter[HTTP_ROUTE_PARAMETER_BYTES]; /* what stands at {...} of the route's path; "" */
    struct deadline deadline;                   /* of the caller's headers; not set without them */
    struct event *deadline_timer;
    struct api_held *held;
};

/* 0: replied, or held. -1 with err: that is the reply. */
typedef int api_handler(struct api_call *call, struct err *err);

#define ROUTE(method, path, handler, who, action, summary) api_handler handler;
#include "supervisor/routes.def"
#undef ROUTE

extern const struct http_service SUPERVISOR_API;

/* Runs the handler of CALL, whose body is there. */
void api_serve(struct api_call *call);
/* The exchange is answered later by whoever HELD is embedded in, or at call->deadline. */
void api_hold(struct api_call *call, struct api_held *held);
/* Whether its caller may still do what it does: tokens have changed. ERR says why not. */
bool api_may_still(struct http_exchange *exchange, struct err *err);
/* When the head of the call was read, and is read now. */
struct deadline_clock api_clock(const struct http_exchange *exchange);
/* Whoever held it will have nothing more to do with EXCHANGE. */
void api_release(struct http_exchange *exchange);

/* The body as a JSON object; an empty body is an empty object. A new reference. */
json_t *api_read_object(struct api_call *call, struct err *err);
/* The text `reason` of BODY, "" when there is none: one line, made by a person. Borrowed. */
const char *api_read_reason(const json_t *body, struct err *err);
/* The worker that the route's parameter names; ERR_WORKER_NOT_FOUND. */
struct worker *api_find_worker(const struct api_call *call, struct err *err);
/* The value of KEY in the query, "" when there is none. ERR_INVALID when it is longer than SIZE. */
int api_read_query(const struct api_call *call, const char *key, char *out, size_t size,
                   struct err *err);

/* A number in the query; *out stays when there is none. ERR_INVALID_FIELD. */
int api_read_query_number(const struct api_call *call, const char *key, int64_t min, int64_t max,
                          int64_t *out, struct err *err);
/* A moment in the query, as moment.h has it; *out_ms stays when there is none. */
int api_read_query_moment(const struct api_call *call, const char *key, int64_t *out_ms,
                          struct err *err);
/* Whether a stream is wanted: "follow=1", or the header Accept says so. */
int api_read_follow(const struct api_call *call, bool *out_follow, struct err *err);

#endif

/* The supervisor's API as commands use it: one request at a time, on a private event loop that runs
 * only while one is on its way; or several at a time, for who runs that loop (api_call). */
#ifndef RBEE_CLI_API_H
#define RBEE_CLI_API_H

#include "common/err.h"
#include "common/http/http.h"

#include <jansson.h>
#include <stdint.h>

struct api;
struct event_base;
struct interrupt;

enum {
    API_REPLY_MAX_BYTES = 16 << 20, /* a reply that is not a stream */
    /* A supervisor that lives answers a listing within milliseconds; one that is stopped or hangs
     * must not hang its callers. */
    API_ANSWER_MS = 30000,
};

struct api_request {
    enum http_method method;
    const char *target;
    const json_t *body;   /* borrowed; NULL: none */
    uint64_t timeout_ms;  /* for the whole reply; 0: none */
    uint64_t deadline_ms; /* told to the supervisor, which then answers by then; 0: none */
    /* Called for each event of a reply that is a stream, with its text (NUL-terminated). 0: go on;
     * -1 with err: the request is cancelled and api_send() fails with that. NULL: the reply is one
     * JSON value. */
    int (*on_event)(void *owner, const char *data, size_t len, struct err *err);
    void *owner;
};

/* INTERRUPT is watched while a request runs, once interrupt_watch() has been called; it must
 * outlive the api. */
struct api *api_new(const struct http_address *address, struct interrupt *interrupt,
                    struct err *err);
void api_free(struct api *api);
/* Every request from now on shows TOKEN, which is copied. */
void api_set_token(struct api *api, const char *token);
/* For what goes on beside a request: the loop that runs while one does, and a GET of TARGET on it,
 * which http_call_cancel() ends. */
struct event_base *api_base(struct api *api);
struct http_call *api_get_beside(struct api *api, const char *target,
                                 const struct http_call_events *events, void *owner);

/* Sends and waits. *out_reply (may be NULL) is the JSON of a 2xx reply, NULL when it had no body or
 * was a stream; the caller owns it. A reply of another status fails with the error of its envelope,
 * and *out_failure (may be NULL) is that envelope, with retry_after_ms where the reply gave a time.
 * A signal: ERR_CANCELLED, and interrupt.signal is set; the connection is closed, which is how the
 * other side learns of it. ERR_TIMED_OUT, ERR_UNREACHABLE, ERR_STREAM_BROKEN, ERR_PROTOCOL. */
int api_send(struct api *api, const struct api_request *request, json_t **out_reply,
             json_t **out_failure, struct err *err);

/* The same beside others, for who runs the loop of api_base() and watches signals. REQUEST is
 * copied; its body is not needed any more when this returns, its target and owner are. ON_DONE is
 * called once, from the loop, when the result is there, and frees the call then or later. */
struct api_call;
struct api_call *api_call_start(struct api *api, const struct api_request *request,
                                void (*on_done)(void *owner, struct api_call *call), void *owner);
/* As api_send(), once ON_DONE was called. */
int api_call_result(const struct api_call *call, json_t **out_reply, json_t **out_failure,
                    struct err *err);
/* What still runs is cancelled, without ON_DONE; accepts NULL. */
void api_call_free(struct api_call *call);

#endif

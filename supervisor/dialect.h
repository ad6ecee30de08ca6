/* What a worker understands: how it is asked whether it is ready, whether it lives, and for an
 * answer, and what its replies mean. One table of functions for each language; nobody else asks
 * which one it is.
 *
 *   native   rbee-worker: ARCHITECTURE.md, "Between supervisor and worker"
 *   openai   any other program: /v1/chat/completions and /v1/completions as llama-server, vLLM and
 *            others have them
 *
 * What comes from a worker is foreign: each function takes anything, and what is nothing it knows
 * is an ordinary failure. */
#ifndef RBEE_SUPERVISOR_DIALECT_H
#define RBEE_SUPERVISOR_DIALECT_H

#include "common/deadline.h"
#include "common/drill.h"
#include "common/err.h"
#include "common/http/http.h"
#include "common/token.h"

#include "supervisor/liveness.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct request;
struct worker;

/* One question. */
struct dialect_ask {
    enum http_method method;
    const char *target;
    char *body;               /* JSON; the one who asks frees it. NULL: none */
    const char *label;        /* the caller's of a request; NULL: none */
    struct deadline deadline; /* of an inference, for a worker that obeys it; not set: none */
    bool is_alone;            /* on a connection of its own */
    char id[TOKEN_ID_BYTES];  /* of an inference; "": none */
};

enum dialect_verdict {
    DIALECT_NOT_YET, /* the same question again after a while */
    DIALECT_GO_ON,   /* the next question, now */
    DIALECT_READY,
};

struct worker_dialect {
    /* ---- ready and alive ---- */

    /* Its load says how far it is. If not, only the time limit for the whole load ends it. */
    bool tells_progress;
    /* The next question to a worker that loads, and what the reply says. BODY is NULL when the
     * reply is no JSON. With DIALECT_READY the worker's facts are set. */
    void (*ask_ready)(const struct worker *worker, struct dialect_ask *out);
    enum dialect_verdict (*take_ready)(struct worker *worker, int status, const json_t *body);
    /* A cheap question to one that is ready, and the counters of its answer; read_counters is NULL
     * where there are none: then an answer says only that somebody is there. */
    void (*ask_alive)(const struct worker *worker, struct dialect_ask *out);
    bool (*read_counters)(const json_t *body, struct liveness_counters *out);
    /* One token, asked for to see that it computes. -1: this is no token, and err says what it is.
     */
    void (*ask_canary)(const struct worker *worker, struct dialect_ask *out);
    int (*take_canary)(const struct worker *worker, int status, const json_t *body,
                       struct err *err);

    /* A fault, made by the worker itself for a person to see. NULL: it cannot be asked to. */
    void (*ask_drill)(enum drill_kind kind, struct dialect_ask *out);

    /* ---- inference ---- */

    bool tells_logprobs; /* takes and understands a request for them */
    /* REQUEST as its worker wants it: as a stream in any case, only so is it known how far it is.
     */
    void (*ask_inference)(struct request *request, struct dialect_ask *out);
    /* One event of the reply, not yet the last one. -1: it ends the request, and err says why. */
    int (*take_event)(struct request *request, const char *text, size_t len, struct err *err);
    /* A reply that is no stream, in request->reply: err is why there is no answer. */
    void (*take_refusal)(const struct request *request, struct err *err);

    /* ---- exit ---- */

    /* The code of rbee-worker that says the same: what another program means by its own is not
     * known. */
    int (*exit_code)(int code);
    /* " (what it means)", or "". */
    const char *(*exit_meaning)(int code);
};

extern const struct worker_dialect DIALECT_NATIVE;
extern const struct worker_dialect DIALECT_OPENAI;

/* Sends ASK to the process of WORKER, with its token if it has one. ASK is empty afterwards. */
struct http_call *dialect_send(struct worker *worker, struct dialect_ask *ask,
                               const struct http_call_events *events, void *owner);

#endif

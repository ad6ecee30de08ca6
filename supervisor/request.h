/* Requests for inference on their way through the supervisor.
 *
 *   resolving   the name of the model is being found out (a file described)
 *   queued      waits for its worker: for a slot, or for the load
 *   running     sent to the worker; events come back
 *   (ended)     answered or given up; the struct is gone
 *
 * A request belongs to the registry from request_new() to request_end(), whatever happens first:
 * the end event, a failure, the client's leaving, a DELETE. It borrows the exchange, which dies
 * with the client, and owns the call to the worker. */
#ifndef RBEE_SUPERVISOR_REQUEST_H
#define RBEE_SUPERVISOR_REQUEST_H

#include "common/buf.h"
#include "common/err.h"
#include "common/http/sse.h"
#include "common/inference.h"
#include "common/token.h"
#include "db/store.h"
#include "supervisor/api.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct supervisor;
struct worker;
struct http_call;
struct event;
struct resolve;
struct worker_options;
struct audit_origin;

enum {
    REQUEST_LABEL_MAX_BYTES = 64, /* common/http lets no longer one in */
    REQUEST_STOP_REASON_MAX_BYTES = 31,
};

enum request_state {
    REQUEST_RESOLVING,
    REQUEST_QUEUED,
    REQUEST_RUNNING,
    REQUEST_STATE_COUNT,
};

enum request_outcome {
    REQUEST_COMPLETED,
    REQUEST_CANCELLED,
    REQUEST_DEADLINE_EXCEEDED,
    REQUEST_FAILED,
    REQUEST_OUTCOME_COUNT,
};

/* A request waits for one thing at a time. */
enum request_timer {
    REQUEST_TIMER_PING,  /* silence: tell the client that we live */
    REQUEST_TIMER_DEATH, /* the worker's connection broke: is the worker dead? */
    REQUEST_TIMER_TAIL,  /* all has been said: the worker should close its reply */
};

struct request {
    TAILQ_ENTRY(request) in_registry;
    TAILQ_ENTRY(request) in_worker; /* its worker's queue, or its running ones */
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    char id[TOKEN_ID_BYTES];
    char label[REQUEST_LABEL_MAX_BYTES + 1]; /* the caller's X-Request-Id, or one made for it */
    enum request_state state;
    struct worker *worker; /* NULL while resolving */
    struct resolve *resolve;
    json_t *body;
    struct store_place row;
    struct worker_options *options; /* what it asks of its worker */
    struct audit_origin *origin;    /* in whose name; NULL: nothing is audited */
    bool is_stream;
    bool may_start;
    bool wants_logprobs;

    struct http_call *call;
    struct sse_parser sse;
    struct buf reply; /* what a worker says that streams no events; else the tokens of an answer in
                         one piece, as they come */
    int reply_status;
    bool is_event_stream; /* the worker's reply is one */
    bool has_started;     /* its started event has gone out */
    bool has_ended;       /* its last event has gone out; only the end of the call is missing */
    bool is_paused;       /* the client is slow: its worker is not read */
    struct event *timer;
    enum request_timer timer_purpose;
    bool is_timer_set;
    uint64_t timer_due_ms;

    int64_t submitted_ms; /* wall time, for the store */
    int64_t started_ms;
    char stop_reason[REQUEST_STOP_REASON_MAX_BYTES + 1];
    enum err_kind failure;    /* what it failed of; ERR_NONE: of nothing yet */
    struct deadline deadline; /* not set: none */
    uint64_t arrived_us;
    uint64_t dispatched_us;
    uint64_t load_us; /* of the wait, what the load took */
    int64_t token_count;
    uint64_t first_token_us; /* 0: none yet */
    uint64_t last_token_us;  /* 0: none yet, or the client was too slow to take it */
    int64_t prompt_tokens;   /* -1: not known */
    /* Of a dialect that has to make our answer of other events. */
    json_t *warnings; /* NULL: none */
    json_t *logprobs; /* of an answer in one piece; NULL: none */
    size_t logprob_value_count;
    int64_t event_count;
};

TAILQ_HEAD(request_list, request);
TAILQ_HEAD(request_queue, request);

/* A request of the exchange of CALL, held by it from now on, in state resolving; its row goes to
 * the store. Takes a reference of BODY, from which PARSED was read. */
struct request *request_new(struct api_call *call, json_t *body,
                            const struct inference_request *parsed);
struct request *request_find(struct supervisor *supervisor, const char *id);
/* As the API and the store call them. */
const char *request_state_name(enum request_state state);
const char *request_outcome_name(enum request_outcome outcome);
/* The REQUEST record; a new reference. */
json_t *request_record(const struct request *request);

/* Gives it to WORKER: sent at once, queued (an event says so), or failed. */
void request_admit(struct request *request, struct worker *worker);
/* Sends waiting requests to WORKER while it has slots. */
void request_pump(struct worker *worker);
/* Fails what waits for WORKER. CAUSE may be NULL only when nothing does. */
void request_fail_waiting(struct worker *worker, const struct err *cause);
/* The same for what runs on it. */
void request_fail_running(struct worker *worker, const struct err *cause);

/* Sends EVENT (borrowed) to the client, beginning the stream if need be. */
void request_send_event(struct request *request, const json_t *event);
/* The same for an event that is text already. */
void request_send_text(struct request *request, const char *text, size_t len);
/* The stream's last words: [DONE], its end, and the exchange is let go. */
void request_send_done(struct request *request);
void request_arm_timer(struct request *request, enum request_timer purpose, uint64_t ms);

/* Answers with CAUSE (a status before the first event, an error event after) and ends. */
void request_fail(struct request *request, const struct err *cause);
/* Closes the books: leaves its worker, stops its call, tells log and store that it ended with
 * OUTCOME, and frees. The exchange is answered or gone. */
void request_end(struct request *request, enum request_outcome outcome);

#endif

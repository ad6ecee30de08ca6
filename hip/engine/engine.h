/* The engine: one thread that loads a model and then runs steps for the requests it is given, while
 * the program's loop goes on serving.
 *
 *   engine:   LOAD -> WARM_UP -> READY          (FAILED from each of them; the program then ends)
 *   request:  queued -> prefill -> decode -> done       (back to queued when the KV store is full)
 *
 * The loop submits a request and takes its events; the engine's thread computes. What passes
 * between them lies in mailbox.h, and nothing else is shared. Each request ends with exactly one
 * terminal event (END or ERROR), whatever happens to it: when the loop has taken that, the engine
 * has forgotten the request, and the loop frees it.
 *
 * Each step takes rows of every active request: one token of those that decode, a chunk of the
 * prompt of those that prefill. As many run at a time as there are slots and as the KV store has
 * room for, the others wait in order.
 * A cancelled request, and one whose deadline is over, ends before the next step.
 *
 * A client that does not read: the loop leaves the request's events where they are, and with
 * ENGINE_EVENT_MAX_COUNT of them untaken the request gets no rows until some are taken. Nothing is
 * dropped, and memory is bounded. It keeps its slot meanwhile; that the connection takes no bytes
 * for too long is for http.h to see (idle_time_ms), which ends the request through on_closed. */
#ifndef RBEE_HIP_ENGINE_ENGINE_H
#define RBEE_HIP_ENGINE_ENGINE_H

#include "common/deadline.h"
#include "common/device_name.h"
#include "common/err.h"
#include "common/inference.h"
#include "common/kv_type.h"
#include "hip/text/logprobs.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
    ENGINE_SLOTS_DEFAULT = 4,
    ENGINE_SLOTS_MAX_COUNT = 256,
    /* At 50 bytes an event (400 with log-probabilities) this is a twentieth of what the connection
     * itself may hold unsent; it only has to cover the time between two turns of the loop. */
    ENGINE_EVENT_MAX_COUNT = 256,
    /* The most context a worker takes unless told: enough for long prompts, and the KV store of a
     * 7B model stays below 1 GiB. */
    ENGINE_CONTEXT_DEFAULT_TOKENS = 8192,
    /* A prompt that is too long is counted up to so many contexts, so that the error has both
     * numbers; behind that it says "at least", because who runs waits for who is counted. */
    ENGINE_PROMPT_COUNTED_CONTEXTS = 4,
};

struct engine;
struct engine_request;

struct engine_options {
    const char *model_path;
    const char *device; /* "cpu", "ref" (the oracle: slow), "gpu:ID"; "A,B": the layers on two */
    bool allow_cpu;     /* where a wanted GPU cannot be used */
    /* Of all requests together, and the most of one. 0: ENGINE_CONTEXT_DEFAULT_TOKENS, or the
     * model's if less. */
    uint32_t context_tokens;
    uint32_t thread_count; /* 0: one for each core */
    uint32_t slot_count;   /* requests at a time; 0: ENGINE_SLOTS_DEFAULT */
    enum kv_type kv_type;
};

/* What one device has of the model. */
struct engine_device {
    const char *name;
    uint64_t memory_bytes;
    uint32_t layer_count;
};

enum engine_phase { ENGINE_LOAD, ENGINE_WARM_UP, ENGINE_READY, ENGINE_FAILED };

struct engine_status {
    enum engine_phase phase;
    uint64_t done_bytes; /* of the load */
    uint64_t total_bytes;
    uint64_t tokens;         /* sampled since the start; only rises */
    uint64_t prefill_tokens; /* of prompts, and again after an interruption; only rises */
    uint32_t context_tokens; /* from READY on */
    uint32_t slot_count;     /* from READY on */
    uint64_t memory_bytes;   /* from READY on */
    const char *device;      /* what it runs on; from READY on, and FAILED if it came that far */
    uint32_t device_count;   /* from READY on */
    struct engine_device devices[DEVICE_NAMES_MAX_COUNT];
    const char *failed_device; /* of two, when FAILED, if it is known */
};

/* Starts the thread and returns at once; the load goes on there. The texts of OPTIONS must outlive
 * the engine. */
struct engine *engine_new(const struct engine_options *options, struct err *err);
/* Ends what runs, waits for the thread and frees. Requests must have been freed. A load cannot be
 * interrupted: this waits for it. */
void engine_free(struct engine *engine);
/* True when no load runs and no request is there: engine_free() then returns at once. */
bool engine_is_idle(struct engine *engine);

void engine_read_status(struct engine *engine, struct engine_status *out);
/* Why the engine has FAILED; nothing in other phases. */
void engine_read_failure(struct engine *engine, struct err *out_err);

/* Readable when some request has events or the phase has changed. */
int engine_event_fd(const struct engine *engine);
void engine_clear_event_fd(struct engine *engine);
/* The next request whose events have not been taken since it was last returned here; NULL when
 * there is none. */
struct engine_request *engine_next_request(struct engine *engine);

/* ---- requests: for the loop's thread ---- */

enum engine_event_kind {
    ENGINE_EVENT_QUEUED,  /* first if at all: it has to wait */
    ENGINE_EVENT_STARTED, /* prefill begins; the prompt fits */
    ENGINE_EVENT_TEXT,
    ENGINE_EVENT_END,   /* terminal: the outcome has the reason, usage and timings */
    ENGINE_EVENT_ERROR, /* terminal: the outcome has the error */
};

/* Its texts lie in the same piece of memory. */
struct engine_event {
    STAILQ_ENTRY(engine_event) link; /* of the mailbox */
    enum engine_event_kind kind;
    uint32_t position; /* QUEUED: 1 is next */
    const char *text;  /* TEXT: whole characters, UTF-8, not terminated */
    size_t text_len;
    /* TEXT of a request that asked for log-probabilities: it is the text of one token, perhaps
     * empty, which is the first of these; the likeliest in its place follow. */
    const struct logprob *logprobs;
    uint32_t logprob_count;
};

enum engine_stop_reason {
    ENGINE_STOP_END,       /* the model ended its text */
    ENGINE_STOP_LENGTH,    /* max_tokens, or the context is full */
    ENGINE_STOP_STRING,    /* one of `stop` was met */
    ENGINE_STOP_CANCELLED, /* by engine_request_cancel */
};
/* "stop", "length", "stop_string", "cancelled" */
const char *engine_stop_reason_name(enum engine_stop_reason reason);

struct engine_outcome {
    struct err error; /* of ERROR; not set after END */
    enum engine_stop_reason stop_reason;
    uint32_t prompt_tokens;
    uint32_t cached_tokens;     /* of the prompt, found computed already when it began */
    uint32_t completion_tokens; /* sampled; the token that ends the text is not counted */
    uint64_t queue_us;          /* submitted -> first step */
    uint64_t prefill_us;        /* first step -> prompt computed */
    uint64_t decode_us;         /* prompt computed -> end */
    uint64_t first_token_us;    /* submitted -> first token sampled; 0: there was none */
    enum deadline_phase phase;  /* in which it ended */
};

/* What its time went into, as a missed deadline is told. */
void engine_outcome_spent(const struct engine_outcome *outcome, struct deadline_spent *out);

/* Hands a request to the engine, which must be READY. REQUEST borrows from BODY, which the new
 * request takes over: the engine's thread frees it, and the caller must hold no reference to it or
 * to a part of it. USER is the owner's. When DEADLINE (NULL, or not set: none) is over, it ends
 * with ERR_DEADLINE before the next step. Never fails: what does is told in an event. */
struct engine_request *engine_submit(struct engine *engine, const struct inference_request *request,
                                     json_t *body, const struct deadline *deadline, void *user);
void *engine_request_user(const struct engine_request *request);
/* Ends it with END and the reason CANCELLED before the next step; a request that is done stays so.
 */
void engine_request_cancel(struct engine_request *request);
/* The next event, which the caller frees with free(); NULL when there is none now. */
struct engine_event *engine_request_take(struct engine_request *request);
/* After the terminal event has been taken. */
const struct engine_outcome *engine_request_outcome(const struct engine_request *request);
/* After the terminal event has been taken. */
void engine_request_free(struct engine_request *request);

/* The bytes that TOKEN stands for, perhaps a part of a character; the name of one that stands for
 * none. Borrowed. From READY on. */
const char *engine_token_bytes(const struct engine *engine, uint32_t token, size_t *out_len);

/* For so long, each step is followed by a pause: for a drill. A cancel does not wait for that. */
void engine_slow_down(struct engine *engine, uint64_t for_ms);

/* Ends every request with ERR_WORKER_DRAINING before the next step, and each that still comes. */
void engine_drain(struct engine *engine);

#endif

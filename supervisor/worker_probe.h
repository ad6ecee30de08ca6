/* One small question to a worker's process and its answer, collected whole: how far it is, or one
 * token, in the words of its dialect. Asks without waiting, and judges nothing. It has no time
 * limit of its own: who asks has a deadline anyway (of the load, or of liveness) and cancels. */
#ifndef RBEE_SUPERVISOR_WORKER_PROBE_H
#define RBEE_SUPERVISOR_WORKER_PROBE_H

#include "common/buf.h"
#include "common/drill.h"
#include "common/err.h"

#include <jansson.h>

struct worker;
struct http_call;

struct worker_probe_answer {
    const struct err *failure; /* as http_call_events.on_end has it; NULL: there is a reply */
    int status;
    const json_t *body; /* NULL: no JSON, or far too much of it */
};

struct worker_probe {
    struct worker *worker;
    /* From the loop, when the probe is free for the next question. It may be released here. */
    void (*on_answer)(struct worker *worker, const struct worker_probe_answer *answer);
    struct http_call *call; /* NULL: nothing is asked */
    struct buf reply;
    int status;
};

void worker_probe_init(struct worker_probe *probe, struct worker *worker,
                       void (*on_answer)(struct worker *worker,
                                         const struct worker_probe_answer *answer));
/* Cancels. Accepts one that is all zero. */
void worker_probe_release(struct worker_probe *probe);
/* Asks what the dialect's ask_ready asks. What was asked before and has no answer yet is given up.
 */
void worker_probe_ask_ready(struct worker_probe *probe);
/* The same for the dialect's ask_alive. */
void worker_probe_ask_alive(struct worker_probe *probe);
/* The same for one token, as a request with an id of its own. */
void worker_probe_ask_token(struct worker_probe *probe);
/* The same for the dialect's ask_drill, which it has. */
void worker_probe_ask_drill(struct worker_probe *probe, enum drill_kind kind);
/* Closes the connection: the worker stops computing. No answer comes. */
void worker_probe_cancel(struct worker_probe *probe);

#endif

/* A short run of rbee-worker that prints one JSON object and ends (--describe, --devices), as a
 * child beside the loop: model files are parsed, and drivers of GPUs called, by nobody else.
 *
 * One that is overdue is killed, and who asked hears so at once. A wedged driver or disk may hold
 * it in the kernel for longer than that: until it is gone, inquiry_count() counts it. */
#ifndef RBEE_SUPERVISOR_INQUIRY_H
#define RBEE_SUPERVISOR_INQUIRY_H

#include "common/err.h"

#include <jansson.h>
#include <sys/queue.h>

struct supervisor;
struct inquiry;

TAILQ_HEAD(inquiry_list, inquiry);

enum { INQUIRY_OUTPUT_MAX_BYTES = 256 << 10 /* of its stdout, and of its stderr */ };

/* A kind of them. */
struct inquiry_kind {
    const char *option; /* "--devices" */
    const char *what;   /* it does: "reading the model file" */
    enum err_kind
        refusal; /* of an exit that is not 0, or a signal: its last words are the message */
    unsigned limit_seconds; /* then it is killed */
};

/* RECORD is borrowed. NULL: FAILURE says why, with the kind's own kind of error, ERR_TIMED_OUT, or
 * ERR_PROTOCOL where what it printed is no object. */
typedef void inquiry_callback(void *owner, const json_t *record, const struct err *failure);

/* KIND stays; OPERAND follows its option, NULL: none. NULL with err when it cannot begin; else
 * ON_DONE is called exactly once, from the loop, unless it is ended. */
struct inquiry *inquiry_begin(struct supervisor *supervisor, const struct inquiry_kind *kind,
                              const char *operand, inquiry_callback *on_done, void *owner,
                              struct err *err);
/* No callback; it is killed. Only before the callback. */
void inquiry_end(struct inquiry *inquiry);
/* Those of KIND whose process is there, whether anybody waits for them or not. */
unsigned inquiry_count(const struct supervisor *supervisor, const struct inquiry_kind *kind);
/* Kills and reaps all, waiting a second at most for them; no callbacks. At the end of the
 * supervisor.
 */
void inquiry_end_all(struct supervisor *supervisor);

#endif

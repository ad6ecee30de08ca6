/* One request inside the engine, and its states. Everything here runs on the engine's thread but
 * engine_request_new() and engine_request_delete().
 *
 *   QUEUED --begin--> PREFILL --all tokens computed--> DECODE --end, limit, stop--> DONE
 *   PREFILL, DECODE --interrupt--> QUEUED
 *   any state --cancel, error--> DONE
 *
 * In PREFILL and DECODE it holds a sequence of the session. The step asks each running request for
 * rows (engine_request_add_rows), computes them all at once and hands the logits back
 * (engine_request_advance). One that was interrupted computes what it had sampled as if that were
 * part of its prompt, and goes on where it was. */
#ifndef RBEE_HIP_ENGINE_REQUEST_H
#define RBEE_HIP_ENGINE_REQUEST_H

#include "common/buf.h"
#include "hip/engine/engine.h"
#include "hip/engine/mailbox.h"
#include "hip/engine/runtime.h"
#include "hip/engine/untold.h"
#include "hip/model/model.h"
#include "hip/text/output.h"
#include "hip/text/sampler.h"
#include "hip/text/vocab.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum request_state { REQUEST_QUEUED, REQUEST_PREFILL, REQUEST_DECODE, REQUEST_DONE };

struct engine_request {
    TAILQ_ENTRY(engine_request) link; /* inbox, waiting or running */
    struct mailbox *mailbox;
    struct mailbox_slot slot;
    void *user; /* the loop's */
    struct deadline deadline;
    atomic_bool is_cancelled;

    struct inference_request asked; /* borrows from body; empty once it has been prepared */
    json_t *body;                   /* NULL then */

    enum request_state state;
    struct token_list tokens; /* of the prompt, and behind them those it has sampled */
    uint32_t computed_tokens; /* of them; the length of its sequence */
    uint32_t token_limit;     /* most tokens it may sample */
    uint32_t sequence;
    uint32_t step_rows;  /* in the step that runs */
    bool knows_position; /* it has been told that it waits */
    struct sampler *sampler;
    struct text_output *output;
    struct buf text;       /* what one token makes visible */
    struct untold *untold; /* NULL: no log-probabilities are wanted */

    uint64_t submitted_us;
    uint64_t began_us;
    uint64_t prefilled_us;
    struct engine_outcome outcome; /* the loop's after the terminal event */
};

struct engine_request *engine_request_new(struct mailbox *mailbox,
                                          const struct inference_request *asked, json_t *body,
                                          void *user);
void engine_request_delete(struct engine_request *request);

/* Makes tokens of the prompt and compares them with the context. QUEUED afterwards, or DONE when
 * that failed. */
void engine_request_prepare(struct engine_request *request, const struct runtime *runtime);
/* QUEUED -> PREFILL in SEQUENCE, which holds the first HELD of its tokens, but not all of them. */
void engine_request_begin(struct engine_request *request, uint32_t sequence, uint32_t held);
/* PREFILL or DECODE -> QUEUED: its sequence is given to others. */
void engine_request_interrupt(struct engine_request *request);
/* True while its reader takes no events: it gets no rows. */
bool engine_request_is_paused(const struct engine_request *request);
/* Appends its rows of the next step to ROWS, at most LIMIT; returns how many. */
uint32_t engine_request_add_rows(struct engine_request *request, struct batch_row *rows,
                                 uint32_t limit);
/* True when the last row it added wants logits: they decide the next token. */
bool engine_request_wants_logits(const struct engine_request *request);
/* How many candidates will do instead of the logits of its last row; 0: it wants all logits. */
uint32_t engine_request_picked_count(const struct engine_request *request);
/* What a row that wanted logits has got. */
struct row_logits {
    float *all;             /* [vocab_count], which are changed; NULL: */
    const uint64_t *picked; /* as sampler_pick_from() takes them */
};
/* The rows it added have been computed; LOGITS are its last one's, if it wanted them. */
void engine_request_advance(struct engine_request *request, const struct runtime *runtime,
                            const struct row_logits *logits);
/* To DONE, in any other state, with what the loop is to be told. Text that was held back comes
 * before that: what could have made it a stop string does not come any more. */
void engine_request_abandon(struct engine_request *request); /* it was cancelled */
void engine_request_fail(struct engine_request *request, const struct err *error);
void engine_request_miss_deadline(struct engine_request *request);
/* Tells it. The request, DONE and in none of the engine's lists, is the loop's from here on. */
void engine_request_hand_back(struct engine_request *request);

#endif

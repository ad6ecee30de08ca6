/* Which requests are computed, in which order, and what one step takes of each: every active one
 * that decodes its row, and prompts as many as the pace allows, so that a stream never stalls
 * behind a long prompt. All of it is the engine's thread's, but for the counters. */
#ifndef RBEE_HIP_ENGINE_SCHEDULER_H
#define RBEE_HIP_ENGINE_SCHEDULER_H

#include "common/err.h"
#include "hip/engine/engine.h"
#include "hip/engine/mailbox.h"
#include "hip/engine/pace.h"
#include "hip/engine/runtime.h"
#include "hip/model/model.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scheduler {
    struct runtime *runtime; /* borrowed */
    struct mailbox *mailbox; /* borrowed */
    struct pace pace;
    struct request_list waiting;                 /* prepared, in order of arrival */
    struct engine_request *active[ENGINE_SLOTS]; /* the index is the sequence; NULL: free */
    float *logits;                               /* [ENGINE_SLOTS][vocab_count] */

    /* The step that runs: whose rows, in this order. */
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];
    uint32_t row_count;
    uint32_t prompt_rows;
    struct engine_request *stepping[ENGINE_SLOTS];
    unsigned stepping_count;

    _Atomic uint64_t tokens; /* read by the loop, too */
    _Atomic uint64_t prefill_tokens;
};

/* Storage of the caller, zeroed. */
void scheduler_init(struct scheduler *scheduler, struct runtime *runtime, struct mailbox *mailbox);
/* Accepts one that is zeroed. No request is left in it. */
void scheduler_release(struct scheduler *scheduler);
/* Once the runtime is loaded: makes room for logits and computes one token. */
int scheduler_warm_up(struct scheduler *scheduler, struct err *err);

/* Makes each of ARRIVED ready at once, not when its turn comes: who asks for the impossible shall
 * hear it now. ARRIVED is empty afterwards. */
void scheduler_take(struct scheduler *scheduler, struct request_list *arrived);
/* Ends everything with ERROR, and ARRIVED too, of which nothing is made ready any more. */
void scheduler_refuse(struct scheduler *scheduler, struct request_list *arrived,
                      const struct err *error);
/* Ends everything with ERROR. */
void scheduler_fail_all(struct scheduler *scheduler, const struct err *error);
/* Drops what was cancelled, fills free slots, computes. *out_computed is false when there was
 * nothing to compute. A step that fails ends all requests; but when it was the device (ERR_DEVICE),
 * which does not come back in this process, -1 is returned and they are the caller's to end. */
int scheduler_step(struct scheduler *scheduler, bool *out_computed, struct err *err);

#endif

/* Which requests are computed, in which order, and what one step takes of each: every running one
 * that decodes its row, and of prompts as much as the pace allows, so that a stream never stalls
 * behind a long prompt. All of it is the engine's thread's, but for the counters.
 *
 * All requests share one KV store. When it is full, the youngest gives its blocks back and waits at
 * the head of the queue: it computes its tokens again later (what is still there it finds), and its
 * reader sees a pause. The oldest always has room, since no request may be longer than the store.
 * One whose reader takes nothing keeps its blocks until he does or has left.
 *
 * Requests begin in order of arrival, so each that runs is older than each that waits. */
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
    struct request_list arrived; /* not yet prepared */
    struct request_list waiting; /* prepared; the oldest first, as in `running` */
    struct request_list running;
    bool is_taken[ENGINE_SLOTS_MAX_COUNT]; /* [sequence] */
    struct step_output output;             /* of the step; logits [slots][vocab_count] */

    /* The step that runs: whose rows, in this order. */
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];
    uint32_t row_count;
    uint32_t prompt_rows;
    uint32_t lacking_blocks; /* that its rows will take */
    struct engine_request *stepping[ENGINE_SLOTS_MAX_COUNT];
    unsigned stepping_count;

    _Atomic uint64_t tokens; /* read by the loop, too */
    _Atomic uint64_t prefill_tokens;
};

/* Storage of the caller, zeroed. */
void scheduler_init(struct scheduler *scheduler, struct runtime *runtime, struct mailbox *mailbox);
/* Accepts one that is zeroed. No request is left in it. */
void scheduler_release(struct scheduler *scheduler);
/* Once the runtime is loaded: makes room for what steps leave, and computes one token. */
int scheduler_warm_up(struct scheduler *scheduler, struct err *err);

/* ARRIVED is empty afterwards. Each step makes one of them ready, long before its turn comes: who
 * asks for the impossible shall hear it soon, and who runs shall not wait for many prompts to
 * become tokens. */
void scheduler_take(struct scheduler *scheduler, struct request_list *arrived);
/* Ends everything with ERROR, and ARRIVED too, of which nothing is made ready any more. */
void scheduler_refuse(struct scheduler *scheduler, struct request_list *arrived,
                      const struct err *error);
/* Ends everything with ERROR. */
void scheduler_fail_all(struct scheduler *scheduler, const struct err *error);
/* The earliest deadline of all that is here, or MAILBOX_FOREVER_US. */
uint64_t scheduler_next_deadline_us(const struct scheduler *scheduler);
/* Makes one ready, drops what was cancelled or is late, fills free slots, computes. *out_is_idle
 * says that there is nothing more to do. A step that fails ends all requests; but when it was the
 * device (ERR_DEVICE), which does not come back in this process, -1 is returned and they are the
 * caller's to end. */
int scheduler_step(struct scheduler *scheduler, bool *out_is_idle, struct err *err);

#endif

/* What a worker computes with: the model's file, its text, the backend and the session, loaded
 * once. All of it but the session is read-only afterwards. */
#ifndef RBEE_HIP_ENGINE_RUNTIME_H
#define RBEE_HIP_ENGINE_RUNTIME_H

#include "common/err.h"
#include "hip/engine/engine.h"
#include "hip/model/model.h"

#include <stdint.h>

struct vocab;
struct chat_format;

struct runtime {
    struct model *model;
    struct vocab *vocab;
    struct chat_format *format;
    struct session *session;
    const char *device; /* what it really runs on, as --device has it */
    uint32_t device_count;
    struct session_device devices[DEVICE_NAMES_MAX_COUNT];
    char *device_names;   /* what theirs point into */
    enum kv_type kv_type; /* what is really kept */
    uint32_t vocab_count;
    uint32_t context_tokens;
    uint32_t slot_count;
};

/* The device that has failed, of two; NULL: there is one, or none is known to have. */
const char *runtime_failed_device(const struct runtime *runtime);
/* Storage of the caller, zeroed. ON_PROGRESS is called on this thread while weights are made ready.
 * ERR_INVALID_MODEL, ERR_NO_FILE, ERR_IO, ERR_CONFIG (device, context), ERR_NO_MEMORY, ERR_DEVICE.
 */
int runtime_load(struct runtime *runtime, const struct engine_options *options,
                 void (*on_progress)(void *owner, uint64_t done_bytes, uint64_t total_bytes),
                 void *owner, struct err *err);
/* Of a worker of MODEL that is told nothing. */
uint32_t runtime_default_context(const struct model *model);
/* What each slot takes beside the session: its logits, and a request's sampler and
 * log-probabilities. */
uint64_t runtime_slot_bytes(const struct model *model);
/* Room for what a step leaves of ROW_COUNT rows; no candidates are wanted yet. ERR_NO_MEMORY. */
int runtime_output_init(const struct runtime *runtime, uint32_t row_count, struct step_output *out,
                        struct err *err);
/* Accepts one that is zeroed. */
void runtime_output_release(struct step_output *output);
/* Accepts one that was loaded in part. */
void runtime_release(struct runtime *runtime);
/* Computes one token into LOGITS [vocab_count], so that what breaks at the first step breaks before
 * READY. *out_us is the time it took. ERR_INVALID_MODEL when a logit is NaN or none is finite: no
 * request of such a model could succeed. */
int runtime_warm_up(struct runtime *runtime, float *logits, uint64_t *out_us, struct err *err);

#endif

/* What a session takes of memory, known before any of it is taken. */
#ifndef RBEE_HIP_MODEL_NEED_H
#define RBEE_HIP_MODEL_NEED_H

#include "hip/backend/backend.h"
#include "hip/model/model.h"
#include "hip/model/session.h"

/* All of them. */
struct layer_range need_all_layers(const struct model *model);
/* Whether a stage with the layers of RANGE has the model's tensor ROLE, if there is one. */
bool need_has_tensor(const struct model *model, struct layer_range range, size_t role);
/* Bytes in the file of all tensors of such a stage. */
uint64_t need_weight_bytes(const struct model *model, struct layer_range range);
/* Of a token of all layers where keys and values are KV_TYPE_Q8_0. */
uint64_t need_q8_0_token_bytes(const struct model *model);
/* TENSOR as a backend takes it. */
struct backend_matrix need_matrix(const struct gguf_tensor *tensor);
/* Elements of a row; 0: the model does without. */
uint32_t need_scratch_width(const struct model_params *params, enum scratch scratch);
/* The largest step of such a stage. */
struct backend_scratch_shape need_scratch_shape(const struct model *model, struct layer_range range,
                                                const struct session_options *options);
/* Rows of a step: no more than there are places for in the KV store. */
uint32_t need_scratch_rows(uint32_t context_tokens);
/* Of a step's rows on their way from one stage to the next, through the host. */
uint64_t need_stream_floats(const struct model *model, const struct session_options *options);
/* Blocks of the KV store. */
uint32_t need_block_count(uint32_t context_tokens);
/* The KV store of such a stage, of BLOCK_COUNT blocks. */
struct backend_kv_shape need_kv_shape(const struct model *model, struct layer_range range,
                                      uint32_t block_count, enum kv_type kv_type);
/* What such a stage takes on BACKEND. */
void need_of_stage(const struct model *model, struct backend *backend, struct layer_range range,
                   const struct session_options *options, struct session_need *out);
/* All of NEED, for so much context and so many sequences; UINT64_MAX when that is beyond counting.
 */
uint64_t need_bytes(const struct session_need *need, const struct session_options *options);
/* The longest context that has room in AVAILABLE bytes, in whole blocks, but no longer than what
 * was asked for; 0: none. */
uint32_t need_context_that_fits(const struct session_need *need,
                                const struct session_options *options, uint32_t sequence_count,
                                uint64_t available);

#endif

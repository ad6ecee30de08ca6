/* What a session takes of memory, known before any of it is taken. */
#ifndef RBEE_HIP_MODEL_NEED_H
#define RBEE_HIP_MODEL_NEED_H

#include "hip/backend/backend.h"
#include "hip/model/model.h"
#include "hip/model/session.h"

/* Bytes in the file of all tensors that MODEL has a role for. */
uint64_t need_weight_bytes(const struct model *model);
/* TENSOR as a backend takes it. */
struct backend_matrix need_matrix(const struct gguf_tensor *tensor);
/* Elements of a row; 0: the model does without. */
uint32_t need_scratch_width(const struct model_params *params, enum scratch scratch);
/* The largest step of a session of MODEL. */
struct backend_scratch_shape need_scratch_shape(const struct model_params *params,
                                                const struct session_options *options);
/* Rows of a step: no more than there are places for in the KV store. */
uint32_t need_scratch_rows(uint32_t context_tokens);
/* Blocks of the KV store. */
uint32_t need_block_count(uint32_t context_tokens);
/* All of NEED, for so much context and so many sequences; UINT64_MAX when that is beyond counting.
 */
uint64_t need_bytes(const struct session_need *need, const struct session_options *options);
/* ERR_NO_MEMORY when NEED is more than BACKEND has: by how much, and what would fit. */
int need_check(const struct session_need *need, const struct session_options *options,
               struct backend *backend, struct err *err);

#endif

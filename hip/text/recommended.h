/* How a model's file says it should be sampled, where a request does not say. */
#ifndef RBEE_HIP_TEXT_RECOMMENDED_H
#define RBEE_HIP_TEXT_RECOMMENDED_H

#include "common/inference.h"
#include "hip/model/gguf.h"

/* Sets the fields that REQUEST was not given to what the file recommends (recommended.def). What is
 * of another type, or out of a field's range, recommends nothing. */
void recommended_apply(const struct gguf *gguf, struct inference_request *request);

#endif

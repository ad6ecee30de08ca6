/* The parameters of a model as its file gives them, checked: after arch_read() every number is in
 * its range and they fit each other. */
#ifndef RBEE_HIP_MODEL_ARCH_H
#define RBEE_HIP_MODEL_ARCH_H

#include "common/err.h"
#include "hip/model/gguf.h"

#include <stdint.h>

struct model_params {
    const char *architecture; /* of architectures.def */
#define PARAMETER(field, key, presence, max) uint32_t field;
#include "hip/model/parameters.def"
#undef PARAMETER
    float norm_epsilon;
    double rope_base;
    double rope_factor; /* linear scaling: positions are divided by it; 1 is none */
    float attention_scale;
};

/* ERR_INVALID_MODEL names the architecture, key or feature that is not supported. vocab_count is 0
 * when the file does not give it: then the embedding's rows count. */
int arch_read(const struct gguf *gguf, struct model_params *out, struct err *err);

#endif

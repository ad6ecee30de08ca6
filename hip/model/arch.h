/* The parameters of a model as its file gives them, checked: after arch_read() every number is in
 * its range and they fit each other. */
#ifndef RBEE_HIP_MODEL_ARCH_H
#define RBEE_HIP_MODEL_ARCH_H

#include "common/err.h"
#include "hip/backend/backend.h"
#include "hip/model/gguf.h"
#include "hip/model/rope.h"

#include <stdbool.h>
#include <stdint.h>

enum arch_presence { ARCH_NEVER, ARCH_OPTIONAL, ARCH_REQUIRED };

/* A line of architectures.def, which says what the columns mean. */
struct architecture {
    const char *name;
    enum backend_rope_kind rope_kind;
    enum backend_epilogue gate;
    enum arch_presence qkv_bias;
    enum arch_presence qk_norm;
    enum arch_presence post_norm;
    enum arch_presence rope_factors;
    bool scales_embedding;
    uint32_t window_period; /* layers; 0: no layer has a window */
    uint32_t window_tokens;
    double window_rope_base;
    double attention_softcap; /* negative: there is none */
    double logit_softcap;
    uint32_t wide_layer_count;
};

struct model_params {
    const struct architecture *architecture;
#define PARAMETER(field, key, presence, max) uint32_t field;
#include "hip/model/parameters.def"
#undef PARAMETER
    float norm_epsilon;
    float embedding_scale;
    float attention_scale;
    float attention_softcap; /* 0: none, as the next */
    float logit_softcap;
    uint32_t window_tokens;  /* 0: no layer has a window */
    uint32_t window_period;  /* each so manyth layer sees all positions, see arch_window() */
    struct rope rope;        /* of the layers that see all positions */
    struct rope window_rope; /* of those that see a window */
};

/* ERR_INVALID_MODEL names the architecture, key or feature that is not supported. vocab_count is 0
 * when the file does not give it: then the embedding's rows count. */
int arch_read(const struct gguf *gguf, struct model_params *out, struct err *err);
/* How many positions a row of layer LAYER_INDEX sees, its own included; 0: all. */
uint32_t arch_window(const struct model_params *params, uint32_t layer_index);
/* Does any layer see a window? */
bool arch_has_windows(const struct model_params *params);

#endif

/* How fast each pair of a head turns with the position. */
#ifndef RBEE_HIP_MODEL_ROPE_H
#define RBEE_HIP_MODEL_ROPE_H

#include "common/err.h"
#include "hip/model/gguf.h"

#include <stdbool.h>
#include <stdint.h>

struct rope {
    double base;
    double factor; /* positions are divided by it, or, with YaRN, those of slow pairs; 1 is none */
    double magnitude; /* of cosines and sines */
    /* YaRN (https://arxiv.org/abs/2309.00071): pairs that turn more than beta_fast times within the
     * original context keep their speed, those that turn less than beta_slow times are slowed by
     * the factor, and what lies between is mixed. */
    bool is_yarn;
    double original_context_tokens;
    double beta_fast;
    double beta_slow;
};

/* The keys under ARCHITECTURE.rope. CONTEXT_TOKENS is what the model is trained on. */
int rope_read(const struct gguf *gguf, const char *architecture, uint32_t context_tokens,
              struct rope *out, struct err *err);
/* Radians a position of each of DIMS / 2 pairs to OUT. FACTORS [DIMS / 2] are the file's own, by
 * which each is divided, or NULL. */
void rope_frequencies(const struct rope *rope, uint32_t dims, const float *factors, float *out);

#endif

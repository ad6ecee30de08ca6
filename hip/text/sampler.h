/* One request's choice of the next token: penalties, then temperature 0 = the largest logit, else
 * top-k, top-p, min-p, temperature and a draw from the request's own generator. */
#ifndef RBEE_HIP_TEXT_SAMPLER_H
#define RBEE_HIP_TEXT_SAMPLER_H

#include "common/err.h"

#include <stdint.h>

struct sampler_params {
    float temperature;    /* <= 0: greedy */
    float top_p;          /* 1: off */
    float min_p;          /* 0: off */
    float repeat_penalty; /* 1: off */
    uint32_t top_k;       /* 0: off */
    uint64_t seed;
};

enum { SAMPLER_REPEAT_WINDOW = 64 };

struct sampler;
struct sampler *sampler_new(const struct sampler_params *params, uint32_t vocab_count);
void sampler_free(struct sampler *sampler);
/* A token of the prompt or the answer, for the penalties. */
void sampler_accept(struct sampler *sampler, uint32_t token);
/* Chooses from LOGITS [vocab_count], which it may change. ERR_INTERNAL when no logit is finite or
 * any is NaN: the request fails, nothing is sampled. Equal seeds and logits give equal tokens. */
int sampler_pick(struct sampler *sampler, float *logits, uint32_t *out_token, struct err *err);

#endif

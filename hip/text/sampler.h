/* One request's choice of the next token: biases, penalties, then temperature 0 = the largest
 * logit, else top-k, typical, top-p, min-p or instead of these mirostat, temperature, and a draw
 * from the request's own generator. */
#ifndef RBEE_HIP_TEXT_SAMPLER_H
#define RBEE_HIP_TEXT_SAMPLER_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

struct sampler_bias {
    uint32_t token; /* below the vocab_count of the sampler */
    float bias;     /* added to its logit */
};

struct sampler_params {
    float temperature;    /* <= 0: greedy */
    float top_p;          /* 1: off */
    float min_p;          /* 0: off */
    float repeat_penalty; /* 1: off */
    uint32_t top_k;       /* 0: off */
    uint64_t seed;
    float frequency_penalty; /* for each time a token has come; 0: off */
    float presence_penalty;  /* once where it has; 0: off */
    float typical_p;         /* 0 or 1: off */
    uint32_t mirostat;       /* 0: off; 1 or 2: instead of top-k, typical, top-p and min-p */
    float mirostat_tau;      /* the surprise it aims at, in bits */
    float mirostat_eta;      /* how fast it gets there */
    const struct sampler_bias *biases; /* [bias_count], copied */
    size_t bias_count;
};

enum { SAMPLER_REPEAT_WINDOW = 64 };

struct sampler;
struct sampler *sampler_new(const struct sampler_params *params, uint32_t vocab_count);
void sampler_free(struct sampler *sampler);
/* What one takes for each token of its vocabulary, at most. */
size_t sampler_token_bytes(void);
/* A token of the prompt or the answer, for the penalties. */
void sampler_accept(struct sampler *sampler, uint32_t token);
/* Chooses from LOGITS [vocab_count], which it may change. ERR_INTERNAL when no logit is finite or
 * any is NaN: the request fails, nothing is sampled. Equal seeds and logits give equal tokens. */
int sampler_pick(struct sampler *sampler, float *logits, uint32_t *out_token, struct err *err);
/* How many of the most probable candidates decide about its tokens, whatever the others are: 1 to
 * CANDIDATES_PICKED_MAX_COUNT. 0: it wants all logits. */
uint32_t sampler_picked_count(const struct sampler *sampler);
/* Chooses from PICKED alone, the most probable candidates (candidates.h) of the vocabulary, the
 * most probable first: at least sampler_picked_count(). CANDIDATE_NONE stands behind all that have
 * a finite logit, CANDIDATE_FAULTY before them if any token's is a fault. The token, or the error,
 * is that of sampler_pick() of all logits. */
int sampler_pick_from(struct sampler *sampler, const uint64_t *picked, uint32_t *out_token,
                      struct err *err);

#endif

/* Log-probabilities of one step: the natural logarithm of each token's share as the model gave it,
 * before biases, penalties, temperature and truncation. They say what the model holds of a token,
 * not how the sampler came to take it. */
#ifndef RBEE_HIP_TEXT_LOGPROBS_H
#define RBEE_HIP_TEXT_LOGPROBS_H

#include <stddef.h>
#include <stdint.h>

enum { LOGPROBS_TOP_MAX_COUNT = 20 };

struct logprob {
    uint32_t token;
    double value; /* finite, at most 0 */
};

struct logprobs;

/* For TOP_COUNT of the likeliest (0 to LOGPROBS_TOP_MAX_COUNT) of VOCAB_COUNT tokens. */
struct logprobs *logprobs_new(uint32_t top_count, uint32_t vocab_count);
void logprobs_free(struct logprobs *logprobs);
/* What they take for each token of the vocabulary. */
size_t logprobs_token_bytes(void);
/* Copies LOGITS [vocab_count]: sampler_pick() may change them. */
void logprobs_keep(struct logprobs *logprobs, const float *logits);
/* Of the logits that were kept, which are numbers or -INFINITY: TOKEN's, which is finite, to
 * OUT[0], and behind it the likeliest tokens, the likeliest first, of equal ones that of the lowest
 * id. A token that can never come is not among them. Returns how many OUT [1 + top_count] has. */
uint32_t logprobs_read(const struct logprobs *logprobs, uint32_t token, struct logprob *out);

#endif

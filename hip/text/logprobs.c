/* Owns the way from logits to log-probabilities. Must not know samplers or texts. */
#include "hip/text/logprobs.h"

#include "common/mem.h"
#include "hip/text/candidates.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct logprobs {
    uint32_t top_count;
    uint32_t vocab_count;
    float *logits; /* [vocab_count] */
};

struct logprobs *logprobs_new(uint32_t top_count, uint32_t vocab_count)
{
    struct logprobs *logprobs = xcalloc(1, sizeof(*logprobs));

    assert(top_count <= LOGPROBS_TOP_MAX_COUNT && vocab_count > 0);
    logprobs->top_count = top_count;
    logprobs->vocab_count = vocab_count;
    /* Bounded: a vocabulary has TOKEN_TEXTS_MAX_COUNT tokens at most. */
    logprobs->logits = xreallocarray(NULL, vocab_count, sizeof(*logprobs->logits));
    return logprobs;
}

void logprobs_free(struct logprobs *logprobs)
{
    if (logprobs == NULL)
        return;
    free(logprobs->logits);
    free(logprobs);
}

size_t logprobs_token_bytes(void)
{
    const struct logprobs *logprobs = NULL;

    return sizeof(*logprobs->logits);
}

void logprobs_keep(struct logprobs *logprobs, const float *logits)
{
    memcpy(logprobs->logits, logits, logprobs->vocab_count * sizeof(*logits));
}

/* The sum of exp(logit - max), whose largest term is 1: no term overflows. */
struct total {
    double max;
    double log_sum;
};

static struct total total_of(const float *logits, uint32_t count)
{
    uint32_t largest = 0;
    double rest = 0; /* without the largest, so that a small one is not lost beside it */

    for (uint32_t i = 1; i < count; i++) {
        if (logits[i] > logits[largest])
            largest = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i != largest)
            rest += exp((double)logits[i] - (double)logits[largest]);
    }
    return (struct total){.max = (double)logits[largest], .log_sum = log1p(rest)};
}

/* ln(exp(logit) / sum(exp)). In this order: of large logits the sum's logarithm would be lost. */
static struct logprob logprob_of(uint32_t token, double logit, const struct total *total)
{
    return (struct logprob){.token = token, .value = logit - total->max - total->log_sum};
}

uint32_t logprobs_read(const struct logprobs *logprobs, uint32_t token, struct logprob *out)
{
    struct total total = total_of(logprobs->logits, logprobs->vocab_count);
    uint64_t heap[LOGPROBS_TOP_MAX_COUNT];
    uint32_t count = 0;

    assert(token < logprobs->vocab_count && isfinite(logprobs->logits[token]));
    out[0] = logprob_of(token, (double)logprobs->logits[token], &total);
    if (logprobs->top_count > 0)
        count = candidates_top(heap, logprobs->logits, logprobs->vocab_count, logprobs->top_count);
    for (uint32_t left = count; left > 0; left--)
        out[1 + count - left] =
            logprob_of(candidate_token(heap[left - 1]), candidate_logit(heap[left - 1]), &total);
    return 1 + count;
}

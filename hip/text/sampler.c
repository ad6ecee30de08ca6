/* Owns the choice of a token from logits: penalties, truncation, temperature and the generator of
 * one request. Must not know texts. The order of the steps is that of llama.cpp's default chain,
 * whose defaults common/inference.h has, too. */
#include "hip/text/sampler.h"

#include "common/mem.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sampler {
    struct sampler_params params;
    uint32_t vocab_count;
    uint64_t random[4];
    uint32_t recent[SAMPLER_REPEAT_WINDOW]; /* the last tokens, in a ring */
    uint64_t accepted_count;
    /* [vocab_count] A candidate is one number: the bits of its logit, made to order as the floats
     * do, above the complement of its id. The largest is the most probable token, and of equal ones
     * that of the lowest id. */
    uint64_t *candidates;
};

/* ---- the generator: xoshiro256** 1.0, seeded by splitmix64, both by D. Blackman and S. Vigna,
 * public domain, https://prng.di.unimi.it ---- */

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t random_next(uint64_t s[4])
{
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* In [0, 1), all 53 bits of a double. */
static double random_share(uint64_t s[4])
{
    return (double)(random_next(s) >> 11) * 0x1p-53;
}

/* ---- candidates ---- */

static uint64_t candidate_of(float logit, uint32_t token)
{
    float value = logit + 0.0f; /* -0 is as large as 0 */
    uint32_t bits = 0;

    memcpy(&bits, &value, sizeof(bits));
    bits = bits & 0x80000000U ? ~bits : bits | 0x80000000U;
    return (uint64_t)bits << 32 | (uint32_t)~token;
}

static double candidate_logit(uint64_t candidate)
{
    uint32_t bits = (uint32_t)(candidate >> 32);
    float logit = 0;

    bits = bits & 0x80000000U ? bits & 0x7fffffffU : ~bits;
    memcpy(&logit, &bits, sizeof(logit));
    return logit;
}

static uint32_t candidate_token(uint64_t candidate)
{
    return ~(uint32_t)candidate;
}

/* All tokens whose logit is finite. */
static uint32_t collect(struct sampler *sampler, const float *logits)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sampler->vocab_count; i++) {
        if (logits[i] > -INFINITY)
            sampler->candidates[count++] = candidate_of(logits[i], i);
    }
    return count;
}

static void heap_sift(uint64_t *heap, uint32_t count, uint32_t at)
{
    uint64_t moving = heap[at];

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= moving)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static void heap_build(uint64_t *heap, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        heap_sift(heap, count, i - 1);
}

/* Moves the largest of the COUNT entries behind the others, to heap[count - 1]. */
static void heap_pop(uint64_t *heap, uint32_t count)
{
    uint64_t largest = heap[0];

    heap[0] = heap[count - 1];
    heap[count - 1] = largest;
    heap_sift(heap, count - 1, 0);
}

/* ---- truncation ---- */

/* Of COUNT candidates, those that top-k, top-p and min-p leave are moved to the end, the most
 * probable last; returns how many. Only these are ever sorted: the heap gives them one by one. */
static uint32_t keep_likely(uint64_t *candidates, uint32_t count,
                            const struct sampler_params *params)
{
    uint32_t top = params->top_k == 0 || params->top_k > count ? count : params->top_k;
    uint32_t popped = 0;
    uint32_t kept = 0;
    double max = 0;
    double total = 0;
    double seen = 0;

    heap_build(candidates, count);
    max = candidate_logit(candidates[0]);
    while (top < count && popped < top)
        heap_pop(candidates, count - popped++);
    for (uint32_t i = count - top; i < count; i++) /* shares are of what top-k leaves */
        total += exp(candidate_logit(candidates[i]) - max);
    while (kept < top) {
        double logit = 0;

        if (kept == popped)
            heap_pop(candidates, count - popped++);
        logit = candidate_logit(candidates[count - 1 - kept]);
        if (kept > 0 && params->min_p > 0 && logit < max + log((double)params->min_p))
            break;
        kept++;
        seen += exp(logit - max);
        if (params->top_p < 1 && seen >= (double)params->top_p * total)
            break;
    }
    return kept;
}

static bool is_truncating(const struct sampler_params *params, uint32_t count)
{
    return (params->top_k > 0 && params->top_k < count) || params->top_p < 1 || params->min_p > 0;
}

/* ---- the choice ---- */

/* One of the COUNT candidates, in proportion to exp(logit / temperature). */
static uint32_t draw(struct sampler *sampler, const uint64_t *candidates, uint32_t count)
{
    double temperature = sampler->params.temperature;
    double max = -INFINITY;
    double total = 0;
    double left = 0;

    for (uint32_t i = 0; i < count; i++)
        max = fmax(max, candidate_logit(candidates[i]));
    for (uint32_t i = 0; i < count; i++)
        total += exp((candidate_logit(candidates[i]) - max) / temperature);
    left = random_share(sampler->random) * total;
    for (uint32_t i = count - 1; i > 0; i--) {
        left -= exp((candidate_logit(candidates[i]) - max) / temperature);
        if (left < 0)
            return candidate_token(candidates[i]);
    }
    return candidate_token(candidates[0]);
}

static uint32_t largest(const float *logits, uint32_t count)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < count; i++) {
        if (logits[i] > logits[best])
            best = i;
    }
    return best;
}

/* -infinity is a token that is never to come; any other number that is not finite is a fault of the
 * model or the device. */
static int check_logits(const float *logits, uint32_t count, struct err *err)
{
    bool has_finite = false;

    for (uint32_t i = 0; i < count; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return err_set(err, ERR_INTERNAL, "the logit of token %u is %f", i, (double)logits[i]);
        has_finite |= logits[i] > -INFINITY;
    }
    if (!has_finite)
        return err_set(err, ERR_INTERNAL, "no token has a finite logit");
    return 0;
}

/* Each token of the window once, however often it came (CTRL, Keskar et al. 2019, section 4.1,
 * with the remedy for negative logits that llama.cpp and others use). */
static void penalise(const struct sampler *sampler, float *logits)
{
    float penalty = sampler->params.repeat_penalty;
    uint32_t count = sampler->accepted_count < SAMPLER_REPEAT_WINDOW
                         ? (uint32_t)sampler->accepted_count
                         : SAMPLER_REPEAT_WINDOW;

    if (penalty == 1.0f)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = sampler->recent[i];
        bool is_repeated = false;

        for (uint32_t j = 0; j < i && !is_repeated; j++)
            is_repeated = sampler->recent[j] == token;
        if (!is_repeated)
            logits[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
    }
}

struct sampler *sampler_new(const struct sampler_params *params, uint32_t vocab_count)
{
    struct sampler *sampler = xcalloc(1, sizeof(*sampler));
    uint64_t seed = params->seed;

    assert(vocab_count > 0);
    sampler->params = *params;
    sampler->vocab_count = vocab_count;
    /* Bounded: a vocabulary has TOKEN_TEXTS_MAX_COUNT tokens at most. */
    sampler->candidates = xreallocarray(NULL, vocab_count, sizeof(*sampler->candidates));
    for (int i = 0; i < 4; i++)
        sampler->random[i] = splitmix64(&seed);
    return sampler;
}

void sampler_free(struct sampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->candidates);
    free(sampler);
}

void sampler_accept(struct sampler *sampler, uint32_t token)
{
    assert(token < sampler->vocab_count);
    sampler->recent[sampler->accepted_count++ % SAMPLER_REPEAT_WINDOW] = token;
}

int sampler_pick(struct sampler *sampler, float *logits, uint32_t *out_token, struct err *err)
{
    uint32_t count = 0;
    uint32_t kept = 0;

    penalise(sampler, logits);
    if (check_logits(logits, sampler->vocab_count, err) != 0) /* afterwards: they can overflow */
        return -1;
    if (!(sampler->params.temperature > 0)) {
        *out_token = largest(logits, sampler->vocab_count);
        return 0;
    }
    count = collect(sampler, logits);
    kept = is_truncating(&sampler->params, count)
               ? keep_likely(sampler->candidates, count, &sampler->params)
               : count;
    *out_token = draw(sampler, sampler->candidates + count - kept, kept);
    return 0;
}

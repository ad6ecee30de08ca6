/* Owns the choice of a token from logits: penalties, truncation, temperature and the generator of
 * one request. Must not know texts. The order of the steps is that of llama.cpp's default chain,
 * whose defaults common/inference.h has, too. */
#include "hip/text/sampler.h"

#include "common/mem.h"

#include <assert.h>
#include <float.h>
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

/* All tokens whose logit is finite. */
static uint32_t collect_all(struct sampler *sampler, const float *logits)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sampler->vocab_count; i++) {
        if (logits[i] > -INFINITY)
            sampler->candidates[count++] = candidate_of(logits[i], i);
    }
    return count;
}

/* The TOP most probable of them. The heap holds the best so far as complements, so that its first
 * is the least of them: most tokens cost one comparison with it. */
static uint32_t collect_top(struct sampler *sampler, const float *logits, uint32_t top)
{
    uint64_t *heap = sampler->candidates;
    uint32_t count = 0;

    for (uint32_t i = 0; i < sampler->vocab_count; i++) {
        uint64_t entry = ~candidate_of(logits[i], i);

        if (count == top && entry < heap[0]) {
            heap[0] = entry;
            heap_sift(heap, top, 0);
        } else if (count < top && logits[i] > -INFINITY) {
            heap[count++] = entry;
            if (count == top)
                heap_build(heap, top);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        heap[i] = ~heap[i];
    return count;
}

/* Of COUNT candidates, those that top-p and then min-p leave are moved to the end, the most
 * probable last; returns how many. Only these are ever sorted: the heap gives them one by one. */
static uint32_t keep_likely(uint64_t *candidates, uint32_t count,
                            const struct sampler_params *params)
{
    double max = 0;
    double total = 0;
    double seen = 0;
    uint32_t kept = 0;

    heap_build(candidates, count);
    max = candidate_logit(candidates[0]);
    for (uint32_t i = 0; i < count; i++)
        total += exp(candidate_logit(candidates[i]) - max);
    while (kept < count) {
        double logit = candidate_logit(candidates[0]);

        if (kept > 0 && params->min_p > 0 && logit < max + log((double)params->min_p))
            break;
        heap_pop(candidates, count - kept);
        kept++;
        seen += exp(logit - max);
        if (params->top_p < 1 && seen >= (double)params->top_p * total)
            break;
    }
    return kept;
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
    float best = logits[0];
    uint32_t token = 0;

    for (uint32_t i = 1; i < count; i++) {
        if (logits[i] > best) {
            best = logits[i];
            token = i;
        }
    }
    return token;
}

/* -infinity is a token that is never to come; any other number that is not finite is a fault of the
 * model or the device. */
static int check_logits(const float *logits, uint32_t count, struct err *err)
{
    bool is_faulty = false;
    bool has_finite = false;

    for (uint32_t i = 0; i < count; i++) {
        is_faulty |= !(logits[i] <= FLT_MAX); /* NaN is not less than anything */
        has_finite |= logits[i] > -INFINITY;
    }
    if (is_faulty)
        return err_set(err, ERR_INTERNAL, "the model gave logits that are no numbers");
    if (!has_finite)
        return err_set(err, ERR_INTERNAL, "no token has a finite logit");
    return 0;
}

static float penalised(float logit, float penalty)
{
    float result = logit > 0 ? logit / penalty : logit * penalty;

    /* Penalties from 0 to 10 can carry a logit out of range; it stays a number. */
    return fmaxf(-FLT_MAX, fminf(FLT_MAX, result));
}

/* Each token of the window once, however often it came (CTRL, Keskar et al. 2019, section 4.1, with
 * the remedy for negative logits that llama.cpp and others use). */
static void penalise(const struct sampler *sampler, float *logits)
{
    uint32_t count = sampler->accepted_count < SAMPLER_REPEAT_WINDOW
                         ? (uint32_t)sampler->accepted_count
                         : SAMPLER_REPEAT_WINDOW;

    if (sampler->params.repeat_penalty == 1.0f)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = sampler->recent[i];
        bool is_done = logits[token] == -INFINITY;

        for (uint32_t j = 0; j < i && !is_done; j++)
            is_done = sampler->recent[j] == token;
        if (!is_done)
            logits[token] = penalised(logits[token], sampler->params.repeat_penalty);
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
    const struct sampler_params *params = &sampler->params;
    uint32_t count = 0;
    uint32_t kept = 0;

    if (check_logits(logits, sampler->vocab_count, err) != 0)
        return -1;
    penalise(sampler, logits);
    if (!(params->temperature > 0)) {
        *out_token = largest(logits, sampler->vocab_count);
        return 0;
    }
    count = params->top_k > 0 && params->top_k < sampler->vocab_count
                ? collect_top(sampler, logits, params->top_k)
                : collect_all(sampler, logits);
    kept = params->top_p < 1 || params->min_p > 0 ? keep_likely(sampler->candidates, count, params)
                                                  : count;
    *out_token = draw(sampler, sampler->candidates + count - kept, kept);
    return 0;
}

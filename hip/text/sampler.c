/* Owns the choice of a token from logits: the order of the steps, biases and penalties, the draw
 * and the generator of one request. Must not know texts, nor the formulas of truncation
 * (truncate.c). The order is that of llama.cpp's default chain, whose defaults common/inference.h
 * has, too. */
#include "hip/text/sampler.h"

#include "common/mem.h"
#include "hip/text/candidates.h"
#include "hip/text/truncate.h"

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
    struct sampler_bias *biases;      /* [params.bias_count] */
    uint64_t *candidates;             /* [vocab_count] candidates.h */
    struct truncate_typical *typical; /* [vocab_count]; NULL where it is off */
    double mirostat_mu;               /* bits */
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

/* ---- the choice ---- */

/* One of the COUNT candidates, in proportion to exp(logit / temperature), and its share of them. */
static uint32_t draw(struct sampler *sampler, const uint64_t *candidates, uint32_t count,
                     double *out_share)
{
    double temperature = sampler->params.temperature;
    double max = -INFINITY;
    double total = 0;
    double left = 0;
    uint32_t at = count - 1;

    for (uint32_t i = 0; i < count; i++)
        max = fmax(max, candidate_logit(candidates[i]));
    for (uint32_t i = 0; i < count; i++)
        total += exp((candidate_logit(candidates[i]) - max) / temperature);
    left = random_share(sampler->random) * total;
    for (; at > 0; at--) {
        left -= exp((candidate_logit(candidates[at]) - max) / temperature);
        if (left < 0)
            break;
    }
    *out_share = exp((candidate_logit(candidates[at]) - max) / temperature) / total;
    return candidate_token(candidates[at]);
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
static int check_found(bool is_faulty, bool has_finite, struct err *err)
{
    if (is_faulty)
        return err_set(err, ERR_INTERNAL, "the model gave logits that are no numbers");
    if (!has_finite)
        return err_set(err, ERR_INTERNAL, "no token has a finite logit");
    return 0;
}

static int check_logits(const float *logits, uint32_t count, struct err *err)
{
    bool is_faulty = false;
    bool has_finite = false;

    for (uint32_t i = 0; i < count; i++) {
        is_faulty |= !(logits[i] <= FLT_MAX); /* NaN is not less than anything */
        has_finite |= logits[i] > -INFINITY;
    }
    return check_found(is_faulty, has_finite, err);
}

/* What users ask for can carry a logit out of range; it stays a number. */
static float within_range(double logit)
{
    return (float)fmax(-FLT_MAX, fmin(FLT_MAX, logit));
}

static void add_biases(const struct sampler *sampler, float *logits)
{
    for (size_t i = 0; i < sampler->params.bias_count; i++) {
        const struct sampler_bias *bias = &sampler->biases[i];

        if (logits[bias->token] > -INFINITY)
            logits[bias->token] = within_range((double)logits[bias->token] + (double)bias->bias);
    }
}

/* Once for a token, which has come COUNT times: CTRL (Keskar et al. 2019, section 4.1, with the
 * remedy for negative logits that llama.cpp and others use), then what OpenAI's API calls frequency
 * and presence penalty. */
static float penalised(float logit, uint32_t count, const struct sampler_params *params)
{
    double repeat = (double)params->repeat_penalty;
    double result = logit > 0 ? (double)logit / repeat : (double)logit * repeat;

    return within_range(result - count * (double)params->frequency_penalty -
                        (double)params->presence_penalty);
}

static bool has_penalties(const struct sampler_params *params)
{
    return params->repeat_penalty != 1.0f || params->frequency_penalty != 0 ||
           params->presence_penalty != 0;
}

static void penalise(const struct sampler *sampler, float *logits)
{
    const struct sampler_params *params = &sampler->params;
    uint32_t count = sampler->accepted_count < SAMPLER_REPEAT_WINDOW
                         ? (uint32_t)sampler->accepted_count
                         : SAMPLER_REPEAT_WINDOW;

    if (!has_penalties(params))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = sampler->recent[i];
        uint32_t times = 0;
        bool is_done = logits[token] == -INFINITY;

        for (uint32_t j = 0; j < i && !is_done; j++)
            is_done = sampler->recent[j] == token;
        for (uint32_t j = i; j < count && !is_done; j++)
            times += sampler->recent[j] == token;
        if (!is_done)
            logits[token] = penalised(logits[token], times, params);
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
    if (params->typical_p > 0 && params->typical_p < 1)
        sampler->typical = xreallocarray(NULL, vocab_count, sizeof(*sampler->typical));
    sampler->biases = xreallocarray(NULL, params->bias_count + 1, sizeof(*sampler->biases));
    for (size_t i = 0; i < params->bias_count; i++) {
        assert(params->biases[i].token < vocab_count);
        sampler->biases[i] = params->biases[i];
    }
    sampler->mirostat_mu = 2 * (double)params->mirostat_tau; /* where both papers begin */
    for (int i = 0; i < 4; i++)
        sampler->random[i] = splitmix64(&seed);
    return sampler;
}

void sampler_free(struct sampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->biases);
    free(sampler->candidates);
    free(sampler->typical);
    free(sampler);
}

size_t sampler_token_bytes(void)
{
    const struct sampler *sampler = NULL;

    return sizeof(*sampler->candidates) + sizeof(*sampler->typical);
}

void sampler_accept(struct sampler *sampler, uint32_t token)
{
    assert(token < sampler->vocab_count);
    sampler->recent[sampler->accepted_count++ % SAMPLER_REPEAT_WINDOW] = token;
}

static uint32_t pick_by_mirostat(struct sampler *sampler, const float *logits)
{
    const struct sampler_params *params = &sampler->params;
    uint64_t *candidates = sampler->candidates;
    uint32_t count = candidates_all(candidates, logits, sampler->vocab_count);
    uint32_t kept = (params->mirostat == 1 ? truncate_zipf : truncate_surprise)(
        candidates, count, (double)params->temperature, sampler->mirostat_mu);
    double share = 0;
    uint32_t token = draw(sampler, candidates + count - kept, kept, &share);

    sampler->mirostat_mu -=
        (double)params->mirostat_eta * (-log2(share) - (double)params->mirostat_tau);
    return token;
}

/* What top-k has left: COUNT candidates. */
static uint32_t pick_of_rest(struct sampler *sampler, uint32_t count)
{
    const struct sampler_params *params = &sampler->params;
    uint64_t *candidates = sampler->candidates;
    uint32_t kept = 0;
    double share = 0;

    if (sampler->typical != NULL)
        count = truncate_typical(candidates, count, (double)params->typical_p, sampler->typical);
    kept = params->top_p < 1 || params->min_p > 0
               ? truncate_likely(candidates, count, (double)params->top_p, (double)params->min_p)
               : count;
    return draw(sampler, candidates + count - kept, kept, &share);
}

static bool has_top_k(const struct sampler *sampler)
{
    return sampler->params.top_k > 0 && sampler->params.top_k < sampler->vocab_count;
}

static uint32_t pick_by_chance(struct sampler *sampler, const float *logits)
{
    uint64_t *candidates = sampler->candidates;
    uint32_t vocab_count = sampler->vocab_count;
    uint32_t count = has_top_k(sampler)
                         ? candidates_top(candidates, logits, vocab_count, sampler->params.top_k)
                         : candidates_all(candidates, logits, vocab_count);

    return pick_of_rest(sampler, count);
}

int sampler_pick(struct sampler *sampler, float *logits, uint32_t *out_token, struct err *err)
{
    if (check_logits(logits, sampler->vocab_count, err) != 0)
        return -1;
    add_biases(sampler, logits);
    penalise(sampler, logits);
    if (!(sampler->params.temperature > 0))
        *out_token = largest(logits, sampler->vocab_count);
    else if (sampler->params.mirostat > 0)
        *out_token = pick_by_mirostat(sampler, logits);
    else
        *out_token = pick_by_chance(sampler, logits);
    return 0;
}

/* Biases and penalties can lift any token above the others; without them it is the largest, or it
 * is among those that top-k leaves, which comes first. */
uint32_t sampler_picked_count(const struct sampler *sampler)
{
    const struct sampler_params *params = &sampler->params;

    if (params->bias_count > 0 || has_penalties(params))
        return 0;
    if (!(params->temperature > 0))
        return 1;
    if (params->mirostat > 0 || !has_top_k(sampler) || params->top_k > CANDIDATES_PICKED_MAX_COUNT)
        return 0;
    return params->top_k;
}

int sampler_pick_from(struct sampler *sampler, const uint64_t *picked, uint32_t *out_token,
                      struct err *err)
{
    uint32_t wanted = sampler_picked_count(sampler);
    uint32_t count = 0;

    assert(wanted > 0);
    if (check_found(picked[0] == CANDIDATE_FAULTY, picked[0] != CANDIDATE_NONE, err) != 0)
        return -1;
    while (count < wanted && picked[count] != CANDIDATE_NONE)
        count++;
    for (uint32_t i = 0; i < count; i++) /* the order of candidates_top() */
        sampler->candidates[i] = picked[count - 1 - i];
    *out_token =
        sampler->params.temperature > 0 ? pick_of_rest(sampler, count) : candidate_token(picked[0]);
    return 0;
}

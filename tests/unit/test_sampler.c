/* The sampler: against a slow computation of the distribution it should draw from, which sorts
 * everything and shares no code with it. */
#include "common/mem.h"
#include "hip/text/candidates.h"
#include "hip/text/sampler.h"
#include "tests/tiny_model.h"

#include <float.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { VOCAB = 300 };

static struct sampler_params plain_params(void)
{
    return (struct sampler_params){
        .temperature = 1, .top_p = 1, .min_p = 0, .repeat_penalty = 1, .top_k = 0, .seed = 1};
}

static void random_logits(float *logits, uint32_t count, float spread, uint64_t *seed)
{
    for (uint32_t i = 0; i < count; i++)
        logits[i] = spread * tiny_uniform(seed);
}

#define PARAMS(temperature_, top_p_, min_p_, top_k_, ...)                                          \
    {                                                                                              \
        .temperature = (temperature_), .top_p = (top_p_), .min_p = (min_p_), .top_k = (top_k_),    \
        .repeat_penalty = 1, .seed = __LINE__, __VA_ARGS__                                         \
    }

/* ---- the slow computation ---- */

struct slow {
    double share;
    uint32_t token;
};

static int by_share(const void *a, const void *b)
{
    const struct slow *x = a;
    const struct slow *y = b;

    if (x->share != y->share)
        return x->share < y->share ? 1 : -1;
    return x->token < y->token ? -1 : 1;
}

static void make_sum_one(struct slow *list, uint32_t count)
{
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += list[i].share;
    for (uint32_t i = 0; i < count; i++)
        list[i].share /= sum;
}

/* Those whose surprise is nearest to the entropy come first; the first that together hold more than
 * P stay, in the order of their shares. */
static uint32_t slow_typical(struct slow *list, uint32_t count, double p)
{
    struct slow distances[VOCAB];
    struct slow kept[VOCAB];
    double entropy = 0;
    double seen = 0;
    uint32_t kept_count = 0;

    for (uint32_t i = 0; i < count; i++)
        entropy -= list[i].share * log(list[i].share);
    for (uint32_t i = 0; i < count; i++)
        distances[i] = (struct slow){-fabs(-log(list[i].share) - entropy), i};
    qsort(distances, count, sizeof(*distances), by_share);
    while (kept_count < count && seen <= p) {
        kept[kept_count] = list[distances[kept_count].token];
        seen += kept[kept_count++].share;
    }
    memcpy(list, kept, kept_count * sizeof(*list));
    qsort(list, kept_count, sizeof(*list), by_share);
    make_sum_one(list, kept_count);
    return kept_count;
}

/* Shares of VOCAB tokens, as top-k, typical, top-p, min-p and temperature, one after another, leave
 * them. */
static void slow_shares(const float *logits, const struct sampler_params *params,
                        double *out_shares)
{
    struct slow list[VOCAB];
    uint32_t count = VOCAB;
    double seen = 0;

    for (uint32_t i = 0; i < VOCAB; i++)
        list[i] = (struct slow){exp((double)logits[i]), i};
    qsort(list, VOCAB, sizeof(*list), by_share);
    if (params->top_k > 0 && params->top_k < count)
        count = params->top_k;
    make_sum_one(list, count);
    if (params->typical_p > 0)
        count = slow_typical(list, count, (double)params->typical_p);
    if (params->top_p < 1) {
        for (uint32_t i = 0; i < count; i++) {
            seen += list[i].share;
            if (seen >= (double)params->top_p)
                count = i + 1;
        }
    }
    while (count > 1 && list[count - 1].share < (double)params->min_p * list[0].share)
        count--;
    for (uint32_t i = 0; i < count; i++)
        list[i].share = pow(list[i].share, 1.0 / (double)params->temperature);
    make_sum_one(list, count);
    for (uint32_t i = 0; i < VOCAB; i++)
        out_shares[i] = 0;
    for (uint32_t i = 0; i < count; i++)
        out_shares[list[i].token] = list[i].share;
}

/* Draws often and compares: nothing outside the support, and chi-square below what it passes once
 * in a million (Wilson and Hilferty's approximation; 4.75 standard deviations). */
static void expect_distribution(const float *logits, const struct sampler_params *params)
{
    enum { DRAWS = 20000 };
    struct sampler *sampler = sampler_new(params, VOCAB);
    struct err err = ERR_INIT;
    double shares[VOCAB];
    uint32_t counts[VOCAB] = {0};
    double chi_square = 0;
    double rest_share = 0;
    double rest_count = 0;
    double cells = 0;
    double limit = 0;

    slow_shares(logits, params, shares);
    for (int i = 0; i < DRAWS; i++) {
        float copy[VOCAB];
        uint32_t token = 0;

        memcpy(copy, logits, sizeof(copy));
        assert_int_equal(sampler_pick(sampler, copy, &token, &err), 0);
        counts[token]++;
    }
    for (uint32_t i = 0; i < VOCAB; i++) {
        double expected = shares[i] * DRAWS;

        if (shares[i] == 0)
            assert_int_equal(counts[i], 0);
        if (expected < 5) { /* too few for the statistic: counted together */
            rest_share += expected;
            rest_count += counts[i];
            continue;
        }
        chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
        cells++;
    }
    if (rest_share >= 5) {
        chi_square += (rest_count - rest_share) * (rest_count - rest_share) / rest_share;
        cells++;
    }
    if (cells > 1) {
        double k = cells - 1;

        limit = k * pow(1 - 2 / (9 * k) + 4.75 * sqrt(2 / (9 * k)), 3);
        if (chi_square > limit)
            fail_msg("chi-square %f of %f cells is above %f", chi_square, cells, limit);
    }
    sampler_free(sampler);
}

static void draws_follow_the_distribution(void **state)
{
    static const struct sampler_params PARAMS[] = {
        PARAMS(1, 1, 0, 0),
        PARAMS(0.5f, 1, 0, 0),
        PARAMS(2, 1, 0, 0),
        PARAMS(1, 1, 0, 7),
        PARAMS(1, 1, 0, 1),
        PARAMS(1, 1, 0, 100000),
        PARAMS(1, 0.5f, 0, 0),
        PARAMS(1, 0.95f, 0, 0),
        PARAMS(1, 0.01f, 0, 0),
        PARAMS(1, 1, 0.1f, 0),
        PARAMS(1, 1, 1, 0),
        PARAMS(0.8f, 0.95f, 0.05f, 40),
        PARAMS(3, 0.6f, 0.2f, 5),
        PARAMS(100, 0.9f, 0.01f, 0),
        PARAMS(1, 1, 0, 0, .typical_p = 0.5f),
        PARAMS(1, 1, 0, 0, .typical_p = 0.01f),
        PARAMS(0.7f, 1, 0, 0, .typical_p = 0.99f),
        PARAMS(0.8f, 0.9f, 0.02f, 100, .typical_p = 0.8f),
    };
    uint64_t seed = 1;

    for (size_t i = 0; i < ARRAY_COUNT(PARAMS); i++) {
        float logits[VOCAB];

        random_logits(logits, VOCAB, 4, &seed);
        expect_distribution(logits, &PARAMS[i]);
    }
}

/* ---- rules ---- */

/* Greedy takes the largest, and of equal ones that with the lowest id; -0 equals 0. */
static void greedy_takes_the_lowest_of_the_largest(void **state)
{
    struct sampler_params params = plain_params();
    float logits[5] = {-1, -0.0f, 0, -0.0f, -INFINITY};
    struct err err = ERR_INIT;
    uint32_t token = 0;
    struct sampler *sampler = NULL;

    params.temperature = 0;
    sampler = sampler_new(&params, 5);
    assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
    assert_int_equal(token, 1);
    sampler_free(sampler);
    params.temperature = 1;
    params.top_k = 1;
    sampler = sampler_new(&params, 5);
    assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
    assert_int_equal(token, 1);
    sampler_free(sampler);
}

/* Equal seeds and logits give equal tokens, and samplers know nothing of one another. */
static void seeds_decide(void **state)
{
    struct sampler_params params = plain_params();
    struct sampler *one = sampler_new(&params, VOCAB);
    struct sampler *two = sampler_new(&params, VOCAB);
    struct sampler *three = NULL;
    struct err err = ERR_INIT;
    uint64_t seed = 2;
    int differences = 0;

    params.seed = 2;
    three = sampler_new(&params, VOCAB);
    for (int i = 0; i < 200; i++) {
        float logits[VOCAB];
        float copy[VOCAB];
        uint32_t tokens[3];

        random_logits(logits, VOCAB, 1, &seed);
        memcpy(copy, logits, sizeof(copy));
        assert_int_equal(sampler_pick(one, copy, &tokens[0], &err), 0);
        memcpy(copy, logits, sizeof(copy));
        assert_int_equal(sampler_pick(three, copy, &tokens[2], &err), 0);
        memcpy(copy, logits, sizeof(copy));
        assert_int_equal(sampler_pick(two, copy, &tokens[1], &err), 0);
        assert_int_equal(tokens[0], tokens[1]);
        differences += tokens[0] != tokens[2];
    }
    assert_true(differences > 150);
    sampler_free(one);
    sampler_free(two);
    sampler_free(three);
}

/* A fault of the model is never turned into a token. */
static void faulty_logits_fail_the_request(void **state)
{
    static const float FAULTS[] = {NAN, -NAN, INFINITY};

    for (int greedy = 0; greedy < 2; greedy++) {
        for (size_t fault = 0; fault <= ARRAY_COUNT(FAULTS); fault++) {
            struct sampler_params params = plain_params();
            float logits[VOCAB];
            struct err err = ERR_INIT;
            uint32_t token = 12345;
            struct sampler *sampler = NULL;

            params.temperature = greedy ? 0 : 1;
            params.repeat_penalty = 1.1f;
            sampler = sampler_new(&params, VOCAB);
            sampler_accept(sampler, 7);
            for (uint32_t i = 0; i < VOCAB; i++)
                logits[i] = fault < ARRAY_COUNT(FAULTS) ? 0 : -INFINITY;
            if (fault < ARRAY_COUNT(FAULTS))
                logits[7] = FAULTS[fault];
            assert_int_equal(sampler_pick(sampler, logits, &token, &err), -1);
            assert_int_equal(err.kind, ERR_INTERNAL);
            assert_int_equal(token, 12345);
            sampler_free(sampler);
        }
    }
}

/* -infinity is a token that never comes, whatever the other settings. */
static void minus_infinity_is_never_drawn(void **state)
{
    struct sampler_params params = plain_params();
    struct sampler *sampler = NULL;
    struct err err = ERR_INIT;

    params.temperature = 100;
    sampler = sampler_new(&params, 3);
    for (int i = 0; i < 1000; i++) {
        float logits[3] = {-INFINITY, -FLT_MAX, -INFINITY};
        uint32_t token = 0;

        assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
        assert_int_equal(token, 1);
    }
    sampler_free(sampler);
}

/* The penalty divides what is above 0 and multiplies what is below, once for each token of the last
 * 64, and forgets older ones. */
static void penalties_of_the_window(void **state)
{
    struct sampler_params params = plain_params();
    struct sampler *sampler = NULL;
    struct err err = ERR_INIT;
    float logits[100] = {[1] = 4, [2] = -4, [3] = 4, [4] = 8};
    uint32_t token = 0;

    params.temperature = 0;
    params.repeat_penalty = 2;
    sampler = sampler_new(&params, 100);
    sampler_accept(sampler, 4); /* falls out of the window */
    for (uint32_t i = 0; i < SAMPLER_REPEAT_WINDOW - 3; i++)
        sampler_accept(sampler, 99);
    sampler_accept(sampler, 1);
    sampler_accept(sampler, 1);
    sampler_accept(sampler, 2);
    assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
    assert_int_equal(token, 4);
    assert_true(logits[1] == 2);
    assert_true(logits[2] == -8);
    assert_true(logits[3] == 4);
    assert_true(logits[4] == 8);
    sampler_free(sampler);
}

/* A token that came n times in the window loses n times the frequency penalty and once the presence
 * penalty, after the repeat penalty; negative ones make it more likely. */
static void frequency_and_presence(void **state)
{
    struct sampler_params params = plain_params();
    struct sampler *sampler = NULL;
    struct err err = ERR_INIT;
    float logits[5] = {[1] = 4, [2] = -4, [3] = 4, [4] = 1};
    uint32_t token = 0;

    params.temperature = 0;
    params.repeat_penalty = 2;
    params.frequency_penalty = 0.5f;
    params.presence_penalty = 0.25f;
    sampler = sampler_new(&params, 5);
    sampler_accept(sampler, 1);
    sampler_accept(sampler, 2);
    sampler_accept(sampler, 1);
    sampler_accept(sampler, 1);
    assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
    assert_int_equal(token, 3);
    assert_true(logits[1] == 2 - 3 * 0.5f - 0.25f);
    assert_true(logits[2] == -8 - 0.5f - 0.25f);
    assert_true(logits[3] == 4 && logits[4] == 1);
    sampler_free(sampler);
    params.repeat_penalty = 1;
    params.frequency_penalty = -2;
    params.presence_penalty = 0;
    sampler = sampler_new(&params, 5);
    sampler_accept(sampler, 4);
    assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
    assert_true(logits[4] == 3);
    sampler_free(sampler);
}

/* A bias is added before anything else is done; it brings back no token that may not come. */
static void biases_are_added_first(void **state)
{
    static const struct sampler_bias BIASES[] = {{1, 5}, {2, -100}, {3, 100}, {1, 1}};
    struct sampler_params params = plain_params();
    struct sampler *sampler = NULL;
    struct err err = ERR_INIT;
    float logits[4] = {5, 1, 9, -INFINITY};
    uint32_t token = 0;

    params.temperature = 0;
    params.repeat_penalty = 2;
    params.biases = BIASES;
    params.bias_count = ARRAY_COUNT(BIASES);
    sampler = sampler_new(&params, 4);
    sampler_accept(sampler, 1);
    assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
    assert_int_equal(token, 0);
    assert_true(logits[1] == (1 + 5 + 1) / 2.0f);
    assert_true(logits[2] == -91);
    assert_true(logits[3] == -INFINITY);
    sampler_free(sampler);
}

/* ---- mirostat ---- */

/* Logits of Zipf's distribution with this exponent. */
static void zipf_logits(float *logits, double exponent)
{
    for (uint32_t i = 0; i < VOCAB; i++)
        logits[i] = (float)(-exponent * log(i + 1));
}

/* How many of the most probable tokens the first choice, with mu at twice tau, may take. */
static uint32_t allowed_at_first(const struct sampler_params *params, double exponent)
{
    double mu = 2 * (double)params->mirostat_tau;
    double s = exponent / (double)params->temperature;
    double total = 0;
    uint32_t count = 0;

    if (params->mirostat == 1)
        return (uint32_t)pow((s - 1) * exp2(mu) / (1 - pow(VOCAB, 1 - s)), 1 / s);
    for (uint32_t i = 0; i < VOCAB; i++)
        total += pow(i + 1, -s);
    while (count < VOCAB && -log2(pow(count + 1, -s) / total) <= mu)
        count++;
    return count;
}

/* The first choice is among those the formula allows, and takes all of them in time. */
static void mirostat_begins_at_twice_tau(void **state)
{
    static const double EXPONENT = 1.5;

    for (uint32_t version = 1; version <= 2; version++) {
        struct sampler_params params = plain_params();
        uint32_t allowed = 0;
        bool seen[VOCAB] = {false};

        params.temperature = 1.25f;
        params.mirostat = version;
        params.mirostat_tau = 2.5f;
        params.mirostat_eta = 0.1f;
        params.top_k = 1; /* is not looked at */
        allowed = allowed_at_first(&params, EXPONENT);
        assert_true(allowed > 2 && allowed < VOCAB / 2);
        for (uint64_t seed = 0; seed < 2000; seed++) {
            struct sampler *sampler = NULL;
            struct err err = ERR_INIT;
            float logits[VOCAB];
            uint32_t token = 0;

            zipf_logits(logits, EXPONENT);
            params.seed = seed;
            sampler = sampler_new(&params, VOCAB);
            assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
            assert_true(token < allowed);
            seen[token] = true;
            sampler_free(sampler);
        }
        for (uint32_t i = 0; i < allowed; i++)
            assert_true(seen[i]);
    }
}

/* In the long run the surprise of what is taken, in the distribution it was taken from, is tau. */
static void mirostat_keeps_the_surprise(void **state)
{
    enum { PICKS = 4000, SETTLED = 500 };

    for (uint32_t version = 1; version <= 2; version++) {
        struct sampler_params params = plain_params();
        struct sampler *sampler = NULL;
        struct err err = ERR_INIT;
        uint32_t counts[VOCAB] = {0};
        double entropy = 0;

        params.mirostat = version;
        params.mirostat_tau = 3;
        params.mirostat_eta = 0.02f;
        sampler = sampler_new(&params, VOCAB);
        for (int i = 0; i < PICKS + SETTLED; i++) {
            float logits[VOCAB];
            uint32_t token = 0;

            zipf_logits(logits, 1.1);
            assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
            counts[token] += i >= SETTLED;
        }
        for (uint32_t i = 0; i < VOCAB; i++) {
            double share = (double)counts[i] / PICKS;

            entropy -= share > 0 ? share * log2(share) : 0;
        }
        assert_true(fabs(entropy - 3) < 0.3);
        sampler_free(sampler);
    }
}

/* Penalties and temperatures that push numbers out of range still give the token they favour: they
 * are the user's, and no fault of the model. */
static void extreme_settings(void **state)
{
    static const float PENALTIES[] = {10, FLT_MIN, 0};
    struct sampler_params params = plain_params();
    struct err err = ERR_INIT;

    params.temperature = FLT_MIN;
    params.min_p = 1;
    for (size_t i = 0; i < ARRAY_COUNT(PENALTIES); i++) {
        float low[4] = {-FLT_MAX, -FLT_MAX / 2, -INFINITY, -FLT_MAX};
        float high[4] = {2, 3, -INFINITY, 1};
        struct sampler *sampler = NULL;
        uint32_t token = 0;

        params.repeat_penalty = PENALTIES[i];
        sampler = sampler_new(&params, 4);
        for (uint32_t accepted = 0; accepted < 3; accepted++)
            sampler_accept(sampler, accepted);
        assert_int_equal(sampler_pick(sampler, low, &token, &err), 0);
        assert_int_not_equal(token, 2);
        assert_int_equal(sampler_pick(sampler, high, &token, &err), 0);
        assert_int_not_equal(token, 2);
        if (PENALTIES[i] < 1) /* it favours what is above 0 */
            assert_int_not_equal(token, 3);
        sampler_free(sampler);
    }
}

/* For random settings and logits with many equal ones, what is drawn is in the slow computation's
 * support. */
static void always_within_the_support(void **state)
{
    uint64_t seed = 77;

    for (int round = 0; round < 3000; round++) {
        struct sampler_params params = {
            .temperature = 0.1f + (float)(tiny_next(&seed) % 30) / 10,
            .top_p = tiny_next(&seed) % 2 ? 1 : (float)(1 + tiny_next(&seed) % 99) / 100,
            .min_p = tiny_next(&seed) % 2 ? 0 : (float)(tiny_next(&seed) % 100) / 100,
            .repeat_penalty = 1,
            .top_k = (uint32_t)(tiny_next(&seed) % 2 ? 0 : tiny_next(&seed) % (2 * VOCAB)),
            .seed = (uint64_t)round,
            .typical_p = tiny_next(&seed) % 2 ? 0 : (float)(1 + tiny_next(&seed) % 98) / 100,
        };
        struct sampler *sampler = sampler_new(&params, VOCAB);
        struct err err = ERR_INIT;
        float logits[VOCAB];
        double shares[VOCAB];
        uint32_t token = 0;

        for (uint32_t i = 0; i < VOCAB; i++)
            logits[i] = (float)(tiny_next(&seed) % 9) - 4;
        slow_shares(logits, &params, shares);
        assert_int_equal(sampler_pick(sampler, logits, &token, &err), 0);
        if (shares[token] == 0) {
            /* Cumulated shares may meet top_p to the last bit in one order of additions and not in
             * the other: the neighbour at the cut is allowed. */
            params.top_p += 1e-6f;
            slow_shares(logits, &params, shares);
            assert_true(shares[token] > 0);
        }
        sampler_free(sampler);
    }
}

/* ---- from candidates ---- */

/* The COUNT most probable of LOGITS, as a device picks them. */
static void pick_candidates(const float *logits, uint64_t *out, uint32_t count)
{
    struct slow list[VOCAB];
    uint32_t finite_count = 0;
    bool is_faulty = false;

    for (uint32_t i = 0; i < VOCAB; i++) {
        is_faulty |= isnan(logits[i]) || logits[i] == INFINITY;
        if (isfinite(logits[i]))
            list[finite_count++] = (struct slow){(double)logits[i], i};
    }
    qsort(list, finite_count, sizeof(*list), by_share);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i - is_faulty;

        out[i] = i < is_faulty ? CANDIDATE_FAULTY : CANDIDATE_NONE;
        if (i >= is_faulty && at < finite_count)
            out[i] = candidate_of((float)list[at].share, list[at].token);
    }
}

/* Equal ones, also as 0 and -0, few that are finite, faults, far apart. */
static float odd_logit(uint64_t *seed, unsigned kind)
{
    static const float ODD[] = {-INFINITY, -0.0f,        0,   FLT_MAX,
                                -FLT_MAX,  FLT_TRUE_MIN, NAN, INFINITY};

    switch (kind) {
    case 0:
        return (float)(tiny_next(seed) % 9) - 4;
    case 1:
        return tiny_next(seed) % 20 == 0 ? 2 * tiny_uniform(seed) : -INFINITY;
    case 2:
        return ODD[tiny_next(seed) % 6];
    case 3: /* one row of three */
        return tiny_next(seed) % VOCAB == 0 ? ODD[tiny_next(seed) % 8] : -INFINITY;
    default:
        return 8 * tiny_uniform(seed);
    }
}

static struct sampler_params odd_params(uint64_t *seed, uint64_t round)
{
    return (struct sampler_params){
        .temperature = (float)(tiny_next(seed) % 5) / 2,
        .top_p = tiny_next(seed) % 2 ? 1 : (float)(1 + tiny_next(seed) % 99) / 100,
        .min_p = tiny_next(seed) % 2 ? 0 : (float)(tiny_next(seed) % 100) / 100,
        .repeat_penalty = 1,
        .top_k = (uint32_t)(1 + tiny_next(seed) % CANDIDATES_PICKED_MAX_COUNT),
        .seed = round,
        .typical_p = tiny_next(seed) % 2 ? 0 : (float)(1 + tiny_next(seed) % 98) / 100,
    };
}

/* Whatever the logits and the settings, the most probable candidates alone give what all logits
 * do: the same tokens one after another, or the same error. */
static void candidates_give_the_same_tokens(void **state)
{
    uint64_t seed = 4711;
    unsigned failure_count = 0;

    for (uint64_t round = 0; round < 1500; round++) {
        struct sampler_params params = odd_params(&seed, round);
        struct sampler *all = sampler_new(&params, VOCAB);
        struct sampler *few = sampler_new(&params, VOCAB);
        uint32_t wanted = sampler_picked_count(few);

        assert_int_equal(wanted, params.temperature > 0 ? params.top_k : 1);
        for (unsigned step = 0; step < 8; step++) {
            struct err errs[2] = {ERR_INIT, ERR_INIT};
            uint64_t picked[CANDIDATES_PICKED_MAX_COUNT];
            uint32_t tokens[2] = {VOCAB, VOCAB};
            float logits[VOCAB];
            int failed = 0;

            for (uint32_t i = 0; i < VOCAB; i++)
                logits[i] = odd_logit(&seed, (unsigned)(round % 5));
            /* Others of the step may want more. */
            pick_candidates(
                logits, picked,
                wanted + (uint32_t)(tiny_next(&seed) % (CANDIDATES_PICKED_MAX_COUNT - wanted + 1)));
            failed = sampler_pick_from(few, picked, &tokens[0], &errs[0]);
            assert_int_equal(sampler_pick(all, logits, &tokens[1], &errs[1]), failed);
            assert_int_equal(tokens[0], tokens[1]);
            assert_int_equal(errs[0].kind, errs[1].kind);
            assert_string_equal(errs[0].message, errs[1].message);
            failure_count += failed != 0;
        }
        sampler_free(all);
        sampler_free(few);
    }
    assert_true(failure_count > 100);
}

/* What can lift a token that is not among them, or wants more of them, has all logits. */
static void others_want_all_logits(void **state)
{
    static const struct sampler_bias BIAS = {3, 1};
    static const struct {
        struct sampler_params params;
        uint32_t picked_count;
    } CASES[] = {
        {PARAMS(0, 1, 0, 0), 1},
        {PARAMS(0, 1, 0, 40, .mirostat = 2), 1},
        {PARAMS(-1, 0.5f, 0, 1000), 1},
        {PARAMS(1, 1, 0, 1), 1},
        {PARAMS(1, 0.9f, 0.1f, 64, .typical_p = 0.5f), 64},
        {PARAMS(1, 1, 0, 65), 0},
        {PARAMS(1, 1, 0, 0), 0},
        {PARAMS(1, 0.9f, 0.1f, 0), 0},
        {PARAMS(1, 1, 0, 40, .mirostat = 1), 0},
        {PARAMS(1, 1, 0, 40, .presence_penalty = 0.1f), 0},
        {PARAMS(0, 1, 0, 40, .frequency_penalty = -0.1f), 0},
        {PARAMS(0, 1, 0, 40, .biases = &BIAS, .bias_count = 1), 0},
    };
    struct sampler_params repeats = PARAMS(0, 1, 0, 0);
    struct sampler *sampler = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        sampler = sampler_new(&CASES[i].params, VOCAB);
        assert_int_equal(sampler_picked_count(sampler), CASES[i].picked_count);
        sampler_free(sampler);
    }
    repeats.repeat_penalty = 1.1f;
    sampler = sampler_new(&repeats, VOCAB);
    assert_int_equal(sampler_picked_count(sampler), 0);
    sampler_free(sampler);
    sampler = sampler_new(&CASES[4].params, 64); /* as many as there are: top-k is off */
    assert_int_equal(sampler_picked_count(sampler), 0);
    sampler_free(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(greedy_takes_the_lowest_of_the_largest),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(faulty_logits_fail_the_request),
        cmocka_unit_test(minus_infinity_is_never_drawn),
        cmocka_unit_test(penalties_of_the_window),
        cmocka_unit_test(frequency_and_presence),
        cmocka_unit_test(biases_are_added_first),
        cmocka_unit_test(mirostat_begins_at_twice_tau),
        cmocka_unit_test(mirostat_keeps_the_surprise),
        cmocka_unit_test(extreme_settings),
        cmocka_unit_test(always_within_the_support),
        cmocka_unit_test(candidates_give_the_same_tokens),
        cmocka_unit_test(others_want_all_logits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

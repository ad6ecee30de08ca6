/* The CPU's attention, for vectors of any width: cpu_avx2_products.c and cpu_avx512.c include it
 * once each. What is computed of a query does not depend on those beside it. */
#ifndef RBEE_HIP_BACKEND_CPU_ATTEND_H
#define RBEE_HIP_BACKEND_CPU_ATTEND_H

#include "hip/backend/backend.h"
#include "hip/backend/cpu_vector.h"

#if defined(__x86_64__)

#include <assert.h>
#include <math.h>

enum {
    POSITIONS = BACKEND_KV_BLOCK_TOKENS,
    SCORE_VECTORS = POSITIONS / FLOATS,
};

/* e^x within 2 units in the last place: 2^n times the Taylor series of the rest, which is at most
 * ln(2) / 2 and so done after seven terms. Below -87 it is 1e-38 rather than less; NaN stays NaN
 * (max and min give their second operand then). */
WIDE floats exponentials(floats x)
{
    /* ln(2) in two parts, so that n * ln(2) is exact to more digits than a float has. */
    const floats minus_ln2_high = floats_set(-0.693145751953125f);
    const floats minus_ln2_low = floats_set(-1.42860682030941723212e-6f);
    const float taylor[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    floats sum = floats_set(1.0f / 5040);
    floats n;

    x = floats_min(floats_set(88.3f), floats_max(floats_set(-87.3f), x));
    n = floats_round(floats_mul(x, floats_set((float)M_LOG2E)));
    x = floats_fma(n, minus_ln2_low, floats_fma(n, minus_ln2_high, x));
    UNROLL
    for (unsigned i = 0; i < sizeof(taylor) / sizeof(taylor[0]); i++)
        sum = floats_fma(sum, x, floats_set(taylor[i]));
    return floats_mul(sum, floats_power(n));
}

/* SCORES of COUNT queries, a constant, for every position of a block. */
WIDE void score_block(const struct cpu_query *queries, uint32_t count, const uint16_t *k,
                      float scores[ATTEND_QUERIES][POSITIONS])
{
    uint32_t head_dim = queries[0].head_dim;
    floats sum[ATTEND_QUERIES][SCORE_VECTORS];

    UNROLL
    for (uint32_t q = 0; q < count; q++) {
        UNROLL
        for (uint32_t v = 0; v < SCORE_VECTORS; v++)
            sum[q][v] = floats_set(0.0f);
    }
    for (uint32_t d = 0; d < head_dim; d++) {
        floats keys[SCORE_VECTORS];

        UNROLL
        for (uint32_t v = 0; v < SCORE_VECTORS; v++)
            keys[v] = floats_halves(k + (uint64_t)d * POSITIONS + v * FLOATS);
        UNROLL
        for (uint32_t q = 0; q < count; q++) {
            floats element = floats_set(queries[q].q[d]);

            UNROLL
            for (uint32_t v = 0; v < SCORE_VECTORS; v++)
                sum[q][v] = floats_fma(element, keys[v], sum[q][v]);
        }
    }
    UNROLL
    for (uint32_t q = 0; q < count; q++) {
        UNROLL
        for (uint32_t v = 0; v < SCORE_VECTORS; v++)
            floats_store(scores[q] + v * FLOATS,
                         floats_mul(sum[q][v], floats_set(queries[q].scale)));
    }
}

/* Scores of positions FIRST to END - 1 to weights e^(score - max), others to 0. Returns what the
 * query's sums so far shrink by, now that the maximum is another one. */
WIDE float weigh_scores(struct cpu_query *query, float scores[POSITIONS], uint32_t first,
                        uint32_t end)
{
    floats largest = floats_set(query->max);
    floats sum = floats_set(0.0f);
    float max = 0.0f;
    float shrink = 0.0f;

    for (uint32_t i = 0; query->softcap != 0.0f && i < POSITIONS; i++)
        scores[i] = cpu_capped(scores[i], query->softcap);
    for (uint32_t v = 0; v < SCORE_VECTORS; v++) {
        floats kept = floats_keep(floats_load(scores + v * FLOATS), v * FLOATS, first, end);

        floats_store(scores + v * FLOATS, kept);
        largest = floats_max(kept, largest); /* NaN shows in the weights */
    }
    max = floats_largest(largest);
    shrink = expf(query->max - max);
    query->max = max;
    for (uint32_t v = 0; v < SCORE_VECTORS; v++) {
        floats score = floats_load(scores + v * FLOATS);
        floats weight = exponentials(floats_sub(score, floats_set(max)));

        floats_store(scores + v * FLOATS, weight);
        sum = floats_fma(weight, floats_set(1.0f), sum);
    }
    query->sum = query->sum * shrink + floats_sum(sum);
    return shrink;
}

/* Adds the values of positions FIRST to END - 1, weighted; COUNT is a constant. */
WIDE void add_values(struct cpu_query *queries, uint32_t count, const uint16_t *v,
                     float weights[ATTEND_QUERIES][POSITIONS], const float *shrink, uint32_t first,
                     uint32_t end)
{
    uint32_t head_dim = queries[0].head_dim;

    for (uint32_t d = 0; d < head_dim; d += FLOATS) {
        floats out[ATTEND_QUERIES];

        UNROLL
        for (uint32_t q = 0; q < count; q++)
            out[q] = floats_mul(floats_load(queries[q].out + d), floats_set(shrink[q]));
        for (uint32_t i = first; i < end; i++) {
            floats values = floats_halves(v + (uint64_t)i * head_dim + d);

            UNROLL
            for (uint32_t q = 0; q < count; q++)
                out[q] = floats_fma(floats_set(weights[q][i]), values, out[q]);
        }
        UNROLL
        for (uint32_t q = 0; q < count; q++)
            floats_store(queries[q].out + d, out[q]);
    }
}

/* COUNT is a constant. */
WIDE void attend_queries(struct cpu_query *queries, uint32_t count, const uint16_t *k,
                         const uint16_t *v, uint32_t first, uint32_t end)
{
    _Alignas(64) float scores[ATTEND_QUERIES][POSITIONS];
    float shrink[ATTEND_QUERIES];

    score_block(queries, count, k, scores);
    for (uint32_t q = 0; q < count; q++)
        shrink[q] = weigh_scores(&queries[q], scores[q], first, end);
    add_values(queries, count, v, scores, shrink, first, end);
}

WIDE void attend_all(struct cpu_query *queries, uint32_t count, const uint16_t *k,
                     const uint16_t *v, uint32_t first, uint32_t end)
{
    assert(first < end && end <= POSITIONS);
    for (; count >= ATTEND_QUERIES; count -= ATTEND_QUERIES, queries += ATTEND_QUERIES)
        attend_queries(queries, ATTEND_QUERIES, k, v, first, end);
    for (; count > 0; count--, queries++)
        attend_queries(queries, 1, k, v, first, end);
}

#endif

#endif

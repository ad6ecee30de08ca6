/* Owns the formulas by which candidates are dropped. Must not know samplers, requests or texts. */
#include "hip/text/truncate.h"

#include "hip/text/candidates.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* How many of the most probable tokens mirostat 1 looks at for the exponent: m in the paper. */
enum { ZIPF_LOOK_COUNT = 100 };

/* The sum of exp((logit - MAX) / TEMPERATURE). */
static double sum_of(const uint64_t *candidates, uint32_t count, double max, double temperature)
{
    double total = 0;

    for (uint32_t i = 0; i < count; i++)
        total += exp((candidate_logit(candidates[i]) - max) / temperature);
    return total;
}

static int by_distance(const void *left, const void *right)
{
    const struct truncate_typical *a = left;
    const struct truncate_typical *b = right;

    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return (a->candidate < b->candidate) - (a->candidate > b->candidate);
}

uint32_t truncate_typical(uint64_t *candidates, uint32_t count, double p,
                          struct truncate_typical *room)
{
    double max = -INFINITY;
    double log_total = 0;
    double entropy = 0;
    double seen = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++)
        max = fmax(max, candidate_logit(candidates[i]));
    log_total = log(sum_of(candidates, count, max, 1)) + max;
    for (uint32_t i = 0; i < count; i++) {
        double surprise = log_total - candidate_logit(candidates[i]);

        entropy += exp(-surprise) * surprise;
    }
    for (uint32_t i = 0; i < count; i++)
        room[i] = (struct truncate_typical){
            fabs(log_total - candidate_logit(candidates[i]) - entropy), candidates[i]};
    qsort(room, count, sizeof(*room), by_distance);
    while (kept < count && seen <= p) {
        candidates[kept] = room[kept].candidate;
        seen += exp(candidate_logit(candidates[kept]) - log_total);
        kept++;
    }
    return kept;
}

uint32_t truncate_likely(uint64_t *candidates, uint32_t count, double top_p, double min_p)
{
    double max = 0;
    double total = 0;
    double seen = 0;
    uint32_t kept = 0;

    candidates_build(candidates, count);
    max = candidate_logit(candidates[0]);
    for (uint32_t i = 0; i < count; i++)
        total += exp(candidate_logit(candidates[i]) - max);
    while (kept < count) {
        double logit = candidate_logit(candidates[0]);

        if (kept > 0 && min_p > 0 && logit < max + log(min_p))
            break;
        candidates_pop(candidates, count - kept);
        kept++;
        seen += exp(logit - max);
        if (top_p < 1 && seen >= top_p * total)
            break;
    }
    return kept;
}

uint32_t truncate_surprise(uint64_t *candidates, uint32_t count, double temperature, double mu)
{
    double max = 0;
    double total = 0;
    uint32_t kept = 0;

    candidates_build(candidates, count);
    max = candidate_logit(candidates[0]);
    total = sum_of(candidates, count, max, temperature);
    while (kept < count) {
        double share = exp((candidate_logit(candidates[0]) - max) / temperature) / total;

        if (kept > 0 && -log2(share) > mu)
            break;
        candidates_pop(candidates, count - kept);
        kept++;
    }
    return kept;
}

/* The exponent by the method of least squares, from the COUNT most probable, the first at LAST and
 * each next one before it. */
static double zipf_exponent(const uint64_t *last, uint32_t count, double temperature)
{
    double numerator = 0;
    double denominator = 0;

    for (uint32_t i = 0; i + 1 < count; i++) {
        double step = log((double)(i + 2) / (double)(i + 1));
        double fall =
            (candidate_logit(*(last - i)) - candidate_logit(*(last - i - 1))) / temperature;

        numerator += step * fall;
        denominator += step * step;
    }
    return numerator / denominator;
}

uint32_t truncate_zipf(uint64_t *candidates, uint32_t count, double temperature, double mu)
{
    uint32_t looked = count < ZIPF_LOOK_COUNT ? count : ZIPF_LOOK_COUNT;
    double exponent = 0;
    double k = 0;
    uint32_t kept = 0;

    assert(count > 0);
    candidates_build(candidates, count);
    while (kept < looked)
        candidates_pop(candidates, count - kept++);
    if (count == 1)
        return 1;
    exponent = zipf_exponent(&candidates[count - 1], looked, temperature);
    k = pow((exponent - 1) * exp2(mu) / (1 - pow(count, 1 - exponent)), 1 / exponent);
    if (!(k >= 1)) /* NaN, too, where the formula has no value */
        return 1;
    if (k <= kept)
        return (uint32_t)k;
    while (kept < count && kept + 1 <= k)
        candidates_pop(candidates, count - kept++);
    return kept;
}

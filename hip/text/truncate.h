/* Which candidates stay. Each keeps at least one; where it says so, those that stay are moved to
 * the end, the most probable last. */
#ifndef RBEE_HIP_TEXT_TRUNCATE_H
#define RBEE_HIP_TEXT_TRUNCATE_H

#include <stdint.h>

/* Room for truncate_typical; storage of the caller. */
struct truncate_typical {
    double distance; /* of its surprise from the expected one */
    uint64_t candidate;
};

/* Locally typical sampling (Meister et al. 2022, https://arxiv.org/abs/2202.00666): those whose
 * surprise is nearest to the entropy, until they hold more than the share P. They are at the
 * beginning, in no order; returns how many. ROOM [count]. */
uint32_t truncate_typical(uint64_t *candidates, uint32_t count, double p,
                          struct truncate_typical *room);
/* Top-p and then min-p. At the end; returns how many. */
uint32_t truncate_likely(uint64_t *candidates, uint32_t count, double top_p, double min_p);
/* Mirostat 2.0 (Basu et al. 2020, https://arxiv.org/abs/2007.14966, algorithm 2): those whose
 * surprise at TEMPERATURE is at most MU bits. At the end; returns how many. */
uint32_t truncate_surprise(uint64_t *candidates, uint32_t count, double temperature, double mu);
/* Mirostat 1 (algorithm 1): the k most probable, where k is such that their surprise is MU bits on
 * average, if the distribution is Zipf's with the exponent that its beginning shows. At the end. */
uint32_t truncate_zipf(uint64_t *candidates, uint32_t count, double temperature, double mu);

#endif

/* Tokens that may come next. A candidate is one number: the bits of its logit, made to order as the
 * floats do, above the complement of its id. The largest is the most probable token, and of equal
 * ones that of the lowest id. A vocabulary is never sorted as a whole: a heap gives them one by
 * one.
 */
#ifndef RBEE_HIP_TEXT_CANDIDATES_H
#define RBEE_HIP_TEXT_CANDIDATES_H

#include <stdint.h>

/* No logit makes these: what a device puts for a token that can never come, and for one whose logit
 * is NaN or infinite. They are the smallest and the largest. */
#define CANDIDATE_NONE 0ULL
#define CANDIDATE_FAULTY UINT64_MAX

/* Of a row of logits that a device picks out by itself, at most. */
enum { CANDIDATES_PICKED_MAX_COUNT = 64 };

uint64_t candidate_of(float logit, uint32_t token);
double candidate_logit(uint64_t candidate);
uint32_t candidate_token(uint64_t candidate);

/* All tokens whose logit is finite, to OUT [vocab_count]; returns how many. */
uint32_t candidates_all(uint64_t *out, const float *logits, uint32_t vocab_count);
/* The TOP most probable of them (1 at least), to HEAP [TOP], the most probable last: in an order
 * that the other tokens have no part in. */
uint32_t candidates_top(uint64_t *heap, const float *logits, uint32_t vocab_count, uint32_t top);

/* The largest comes first. */
void candidates_build(uint64_t *heap, uint32_t count);
/* Moves the largest of the COUNT entries behind the others, to heap[count - 1]. */
void candidates_pop(uint64_t *heap, uint32_t count);

#endif

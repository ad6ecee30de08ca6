/* Owns tokens as numbers that order by their logits, and the heap of them. Must not know samplers.
 */
#include "hip/text/candidates.h"

#include "hip/text/float_order.h"

#include <math.h>
#include <string.h>

uint64_t candidate_of(float logit, uint32_t token)
{
    return (uint64_t)float_order(logit) << 32 | (uint32_t)~token;
}

double candidate_logit(uint64_t candidate)
{
    uint32_t bits = (uint32_t)(candidate >> 32);
    float logit = 0;

    bits = bits & 0x80000000U ? bits & 0x7fffffffU : ~bits;
    memcpy(&logit, &bits, sizeof(logit));
    return logit;
}

uint32_t candidate_token(uint64_t candidate)
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

void candidates_build(uint64_t *heap, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        heap_sift(heap, count, i - 1);
}

/* Moves the largest of the COUNT entries behind the others, to heap[count - 1]. */
void candidates_pop(uint64_t *heap, uint32_t count)
{
    uint64_t largest = heap[0];

    heap[0] = heap[count - 1];
    heap[count - 1] = largest;
    heap_sift(heap, count - 1, 0);
}

/* All tokens whose logit is finite. */
uint32_t candidates_all(uint64_t *out, const float *logits, uint32_t vocab_count)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < vocab_count; i++) {
        if (logits[i] > -INFINITY)
            out[count++] = candidate_of(logits[i], i);
    }
    return count;
}

/* The heap's largest goes to its end again and again. */
static void candidates_sort(uint64_t *heap, uint32_t count)
{
    candidates_build(heap, count);
    for (uint32_t left = count; left > 1; left--)
        candidates_pop(heap, left);
}

/* The TOP most probable of them. The heap holds the best so far as complements, so that its first
 * is the least of them: most tokens cost one comparison with it. */
uint32_t candidates_top(uint64_t *heap, const float *logits, uint32_t vocab_count, uint32_t top)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < vocab_count; i++) {
        uint64_t entry = ~candidate_of(logits[i], i);

        if (count == top && entry < heap[0]) {
            heap[0] = entry;
            heap_sift(heap, top, 0);
        } else if (count < top && logits[i] > -INFINITY) {
            heap[count++] = entry;
            if (count == top)
                candidates_build(heap, top);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        heap[i] = ~heap[i];
    candidates_sort(heap, count);
    return count;
}

/* The file of golden next-token distributions: for each position of one token sequence the TOP most
 * probable tokens with their log-probabilities, and what is left over for all others together.
 * Little endian, no padding:
 *
 *     struct golden_header
 *     uint32_t tokens[position_count]                   the sequence that was evaluated
 *     struct golden_entry entries[position_count][top_count], most probable first
 *     float log_rest[position_count]                    log of the others' summed probability
 *
 * The Kullback-Leibler divergence over this partition (TOP single tokens and one bin of the rest)
 * is a lower bound of the one over all tokens; `make oracle` prints both. */
#ifndef RBEE_TESTS_ORACLE_GOLDEN_LOGITS_H
#define RBEE_TESTS_ORACLE_GOLDEN_LOGITS_H

#include <assert.h>
#include <stdint.h>

#define GOLDEN_MAGIC "RBEEGOLD"

enum {
    GOLDEN_VERSION = 1,
    GOLDEN_TOP_MAX_COUNT = 256,
    GOLDEN_POSITION_MAX_COUNT = 512,
};

struct golden_header {
    char magic[8];
    uint32_t version;
    uint32_t position_count;
    uint32_t top_count;
    uint32_t vocab_count;
};
static_assert(sizeof(struct golden_header) == 24, "read and written as it is");

struct golden_entry {
    uint32_t token;
    float log_probability;
};
static_assert(sizeof(struct golden_entry) == 8, "read and written as it is");

#endif

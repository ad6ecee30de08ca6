/* Byte pair encoding of one word: its bytes, joined pair by pair, the earliest merge of the file
 * first and the leftmost of equal ones. Works on token ids; texts are the vocabulary's matter. */
#ifndef RBEE_HIP_TEXT_BPE_H
#define RBEE_HIP_TEXT_BPE_H

#include "common/err.h"
#include "hip/text/joining.h"
#include "hip/text/vocab.h"

#include <stddef.h>
#include <stdint.h>

enum {
    /* More than three times the most merges in a public vocabulary (280,147). */
    BPE_MERGE_MAX_COUNT = 1 << 20,
};

struct bpe_merge {
    uint32_t left;
    uint32_t right;
    uint32_t result;
};

struct bpe; /* read-only, may be shared by threads */

/* BYTE_TOKENS[256]: the token of each byte, VOCAB_NONE where there is none: such bytes are left out
 * of the result, as no token could stand for them. MERGES in the order of their rank; of two for
 * one pair the first counts. ERR_INVALID_MODEL when their pairs collide in the hash, ERR_NO_MEMORY.
 */
struct bpe *bpe_new(const uint32_t *byte_tokens, const struct bpe_merge *merges, size_t merge_count,
                    struct err *err);
void bpe_free(struct bpe *bpe);

/* Appends the tokens of WORD, any bytes. One of more than JOINING_MAX_BYTES is encoded in parts:
 * nothing people write comes near it, it takes a run of 262,144 spaces or letters. */
int bpe_encode(const struct bpe *bpe, struct joining *work, const char *word, size_t len,
               struct token_list *out, struct err *err);

#endif

/* Owns the merges. Must not know texts, patterns or special tokens. */
#include "hip/text/bpe.h"

#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RANK_NONE = UINT32_MAX };

enum {
    /* Longest chain of occupied slots that is walked; the table is at most half full, where chains
     * of honest merges stay below a hundred. A file made to collide is refused. */
    PROBE_MAX = 4096,
    SMALLEST_SLOT_COUNT = 8,
};

struct merge_slot {
    uint32_t left;
    uint32_t right;
    uint32_t result;
    uint32_t rank; /* RANK_NONE: empty */
};

struct bpe {
    struct joining_rules rules;
    uint32_t byte_tokens[256];
    struct merge_slot *slots; /* open addressing */
    uint32_t slot_mask;
};

/* Mixes both halves into the low bits (finaliser of MurmurHash3, 64 bits). */
static uint32_t first_slot(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t hash = (uint64_t)left << 32 | right;

    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return (uint32_t)(hash ^ hash >> 33) & bpe->slot_mask;
}

/* The slot of the pair, or the empty one where it would go; NULL when the chain is too long. */
static struct merge_slot *find_slot(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    uint32_t index = first_slot(bpe, left, right);

    for (int probe = 0; probe < PROBE_MAX; probe++) {
        struct merge_slot *slot = &bpe->slots[index];

        if (slot->rank == RANK_NONE || (slot->left == left && slot->right == right))
            return slot;
        index = (index + 1) & bpe->slot_mask;
    }
    return NULL;
}

static int add_merge(struct bpe *bpe, const struct bpe_merge *merge, uint32_t rank, struct err *err)
{
    struct merge_slot *slot = find_slot(bpe, merge->left, merge->right);

    if (slot == NULL)
        return err_set(err, ERR_INVALID_MODEL, "merge %u collides with too many others", rank);
    if (slot->rank == RANK_NONE)
        *slot = (struct merge_slot){merge->left, merge->right, merge->result, rank};
    return 0;
}

/* What the two tokens make. No merge names VOCAB_NONE, so bytes without a token stay apart. */
static bool find_merge(const struct joining_rules *rules, const struct joining *joining,
                       uint32_t left, uint32_t *out_rank, uint32_t *out_token)
{
    const struct bpe *bpe = (const struct bpe *)rules; /* its first member */
    const struct joining_symbol *symbol = &joining->symbols[left];
    const struct merge_slot *slot =
        find_slot(bpe, symbol->token, joining->symbols[symbol->next].token);

    if (slot == NULL || slot->rank == RANK_NONE)
        return false;
    *out_rank = slot->rank;
    *out_token = slot->result;
    return true;
}

struct bpe *bpe_new(const uint32_t *byte_tokens, const struct bpe_merge *merges, size_t merge_count,
                    struct err *err)
{
    struct bpe *bpe = NULL;
    size_t slot_count = SMALLEST_SLOT_COUNT;

    assert(merge_count <= BPE_MERGE_MAX_COUNT);
    while (slot_count < 2 * merge_count)
        slot_count *= 2;
    bpe = xcalloc(1, sizeof(*bpe));
    bpe->rules.find = find_merge;
    memcpy(bpe->byte_tokens, byte_tokens, sizeof(bpe->byte_tokens));
    bpe->slot_mask = (uint32_t)(slot_count - 1);
    bpe->slots = malloc(slot_count * sizeof(*bpe->slots));
    if (bpe->slots == NULL) {
        bpe_free(bpe);
        return err_set_null(err, ERR_NO_MEMORY, "no memory for %zu merges", merge_count);
    }
    memset(bpe->slots, 0xff, slot_count * sizeof(*bpe->slots)); /* RANK_NONE */
    for (size_t i = 0; i < merge_count; i++) {
        if (add_merge(bpe, &merges[i], (uint32_t)i, err) != 0) {
            bpe_free(bpe);
            return NULL;
        }
    }
    return bpe;
}

void bpe_free(struct bpe *bpe)
{
    if (bpe == NULL)
        return;
    free(bpe->slots);
    free(bpe);
}

static int encode_part(const struct bpe *bpe, struct joining *work, const char *word, size_t len,
                       struct token_list *out, struct err *err)
{
    joining_begin(work, word, len);
    for (uint32_t i = 0; i < len; i++)
        joining_add(work, i, bpe->byte_tokens[(uint8_t)word[i]]);
    joining_run(work, &bpe->rules);
    for (uint32_t i = 0; i != JOINING_NONE; i = work->symbols[i].next) {
        if (work->symbols[i].token != VOCAB_NONE &&
            token_list_add(out, work->symbols[i].token, err) != 0)
            return -1;
    }
    return 0;
}

int bpe_encode(const struct bpe *bpe, struct joining *work, const char *word, size_t len,
               struct token_list *out, struct err *err)
{
    while (len > 0) {
        size_t part_len = len < JOINING_MAX_BYTES ? len : JOINING_MAX_BYTES;

        if (encode_part(bpe, work, word, part_len, out, err) != 0)
            return -1;
        word += part_len;
        len -= part_len;
    }
    return 0;
}

/* Owns the merges and the joining of symbols. Must not know texts, patterns or special tokens. */
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
    SMALLEST_WORK_BYTES = 64,
    /* Pairs ever waiting for a word of n symbols: n - 1 at first, and each of the n - 1 joins takes
     * one out and puts at most two in. */
    HEAP_ENTRIES_PER_BYTE = 2,
};

struct merge_slot {
    uint32_t left;
    uint32_t right;
    uint32_t result;
    uint32_t rank; /* RANK_NONE: empty */
};

struct bpe {
    uint32_t byte_tokens[256];
    struct merge_slot *slots; /* open addressing */
    uint32_t slot_mask;
};

/* A symbol and the pair it makes with the next one. Joined symbols are the left one; the right one
 * is dead: its pair has no rank any more. */
struct bpe_symbol {
    uint32_t token; /* VOCAB_NONE: a byte without a token */
    uint32_t previous;
    uint32_t next; /* index; SYMBOL_NONE at the ends */
    uint32_t pair_rank;
    uint32_t pair_token;
};
enum { SYMBOL_NONE = UINT32_MAX };

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

struct bpe *bpe_new(const uint32_t *byte_tokens, const struct bpe_merge *merges, size_t merge_count,
                    struct err *err)
{
    struct bpe *bpe = NULL;
    size_t slot_count = SMALLEST_SLOT_COUNT;

    assert(merge_count <= BPE_MERGE_MAX_COUNT);
    while (slot_count < 2 * merge_count)
        slot_count *= 2;
    bpe = xcalloc(1, sizeof(*bpe));
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

void bpe_work_init(struct bpe_work *work)
{
    memset(work, 0, sizeof(*work));
}

void bpe_work_release(struct bpe_work *work)
{
    free(work->symbols);
    free(work->heap);
    bpe_work_init(work);
}

static void work_reserve(struct bpe_work *work, size_t len)
{
    size_t capacity = work->capacity == 0 ? SMALLEST_WORK_BYTES : work->capacity;

    assert(len <= BPE_WORD_MAX_BYTES);
    while (capacity < len)
        capacity *= 2;
    if (capacity == work->capacity)
        return;
    work->symbols = xreallocarray(work->symbols, capacity, sizeof(*work->symbols));
    work->heap = xreallocarray(work->heap, capacity * HEAP_ENTRIES_PER_BYTE, sizeof(*work->heap));
    work->capacity = capacity;
}

static void heap_push(struct bpe_work *work, uint64_t entry)
{
    size_t at = work->heap_count++;

    assert(work->heap_count <= work->capacity * HEAP_ENTRIES_PER_BYTE);
    while (at > 0 && work->heap[(at - 1) / 2] > entry) {
        work->heap[at] = work->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    work->heap[at] = entry;
}

static uint64_t heap_pop(struct bpe_work *work)
{
    uint64_t *heap = work->heap;
    uint64_t smallest = heap[0];
    uint64_t last = heap[--work->heap_count];
    size_t count = work->heap_count;
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= last)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return smallest;
}

/* Looks up what the symbol at INDEX makes with its next one, and queues it. */
static void queue_pair(const struct bpe *bpe, struct bpe_work *work, uint32_t index)
{
    struct bpe_symbol *symbol = &work->symbols[index];
    const struct merge_slot *slot = NULL;

    symbol->pair_rank = RANK_NONE;
    if (symbol->next == SYMBOL_NONE)
        return;
    /* No merge names VOCAB_NONE, so bytes without a token stay apart. */
    slot = find_slot(bpe, symbol->token, work->symbols[symbol->next].token);
    if (slot == NULL || slot->rank == RANK_NONE)
        return;
    symbol->pair_rank = slot->rank;
    symbol->pair_token = slot->result;
    heap_push(work, (uint64_t)slot->rank << 32 | index);
}

static void begin_word(const struct bpe *bpe, struct bpe_work *work, const char *word, size_t len)
{
    work_reserve(work, len);
    work->heap_count = 0;
    for (size_t i = 0; i < len; i++) {
        work->symbols[i] = (struct bpe_symbol){
            .token = bpe->byte_tokens[(uint8_t)word[i]],
            .previous = i == 0 ? SYMBOL_NONE : (uint32_t)(i - 1),
            .next = i + 1 == len ? SYMBOL_NONE : (uint32_t)(i + 1),
        };
    }
    for (size_t i = 0; i < len; i++)
        queue_pair(bpe, work, (uint32_t)i);
}

/* Joins the symbol at INDEX with its next one. */
static void join(const struct bpe *bpe, struct bpe_work *work, uint32_t index)
{
    struct bpe_symbol *left = &work->symbols[index];
    struct bpe_symbol *right = &work->symbols[left->next];

    left->token = left->pair_token;
    left->next = right->next;
    right->pair_rank = RANK_NONE;
    if (left->next != SYMBOL_NONE)
        work->symbols[left->next].previous = index;
    queue_pair(bpe, work, index);
    if (left->previous != SYMBOL_NONE)
        queue_pair(bpe, work, left->previous);
}

static int encode_part(const struct bpe *bpe, struct bpe_work *work, const char *word, size_t len,
                       struct token_list *out, struct err *err)
{
    begin_word(bpe, work, word, len);
    while (work->heap_count > 0) {
        uint64_t entry = heap_pop(work);
        uint32_t index = (uint32_t)entry;

        /* An entry is stale when its symbol has been joined since: the pair is another now. */
        if (work->symbols[index].pair_rank == entry >> 32)
            join(bpe, work, index);
    }
    for (uint32_t i = 0; i != SYMBOL_NONE; i = work->symbols[i].next) {
        if (work->symbols[i].token != VOCAB_NONE &&
            token_list_add(out, work->symbols[i].token, err) != 0)
            return -1;
    }
    return 0;
}

int bpe_encode(const struct bpe *bpe, struct bpe_work *work, const char *word, size_t len,
               struct token_list *out, struct err *err)
{
    while (len > 0) {
        size_t part_len = len < BPE_WORD_MAX_BYTES ? len : BPE_WORD_MAX_BYTES;

        if (encode_part(bpe, work, word, part_len, out, err) != 0)
            return -1;
        word += part_len;
        len -= part_len;
    }
    return 0;
}

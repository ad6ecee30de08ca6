/* Owns the order in which symbols are joined. Must not know what a pair makes, nor texts or tokens.
 */
#include "hip/text/joining.h"

#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALLEST_WORD_BYTES = 64,
    /* Pairs ever waiting for a word of n symbols: n - 1 at first, and each of the n - 1 joins takes
     * one out and puts at most two in. */
    HEAP_ENTRIES_PER_BYTE = 2,
};

void joining_init(struct joining *joining)
{
    memset(joining, 0, sizeof(*joining));
}

void joining_release(struct joining *joining)
{
    free(joining->symbols);
    free(joining->heap);
    joining_init(joining);
}

static void reserve(struct joining *joining, size_t len)
{
    size_t capacity = joining->capacity == 0 ? SMALLEST_WORD_BYTES : joining->capacity;

    while (capacity < len)
        capacity *= 2;
    if (capacity == joining->capacity)
        return;
    joining->symbols = xreallocarray(joining->symbols, capacity, sizeof(*joining->symbols));
    joining->heap =
        xreallocarray(joining->heap, capacity * HEAP_ENTRIES_PER_BYTE, sizeof(*joining->heap));
    joining->capacity = capacity;
}

void joining_begin(struct joining *joining, const char *text, size_t len)
{
    assert(len > 0 && len <= JOINING_MAX_BYTES);
    reserve(joining, len);
    joining->heap_count = 0;
    joining->text = text;
    joining->len = len;
    joining->last = JOINING_NONE;
}

void joining_add(struct joining *joining, uint32_t at, uint32_t token)
{
    assert(at < joining->len);
    joining->symbols[at] =
        (struct joining_symbol){token, joining->last, JOINING_NONE, JOINING_NONE, JOINING_NONE};
    if (joining->last != JOINING_NONE)
        joining->symbols[joining->last].next = at;
    joining->last = at;
}

size_t joining_symbol_len(const struct joining *joining, uint32_t at)
{
    uint32_t next = joining->symbols[at].next;

    return (next == JOINING_NONE ? joining->len : next) - at;
}

static void heap_push(struct joining *joining, uint64_t entry)
{
    size_t at = joining->heap_count++;

    assert(joining->heap_count <= joining->capacity * HEAP_ENTRIES_PER_BYTE);
    while (at > 0 && joining->heap[(at - 1) / 2] > entry) {
        joining->heap[at] = joining->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    joining->heap[at] = entry;
}

static uint64_t heap_pop(struct joining *joining)
{
    uint64_t *heap = joining->heap;
    uint64_t smallest = heap[0];
    uint64_t last = heap[--joining->heap_count];
    size_t count = joining->heap_count;
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

/* Looks up what the symbol AT makes with its next one, and queues it. */
static void queue_pair(struct joining *joining, const struct joining_rules *rules, uint32_t at)
{
    struct joining_symbol *symbol = &joining->symbols[at];
    uint32_t rank = JOINING_NONE;
    uint32_t token = JOINING_NONE;

    symbol->pair_rank = JOINING_NONE;
    if (symbol->next == JOINING_NONE || !rules->find(rules, joining, at, &rank, &token))
        return;
    symbol->pair_rank = rank;
    symbol->pair_token = token;
    heap_push(joining, (uint64_t)rank << 32 | at);
}

/* Joins the symbol AT with its next one. */
static void join(struct joining *joining, const struct joining_rules *rules, uint32_t at)
{
    struct joining_symbol *left = &joining->symbols[at];
    struct joining_symbol *right = &joining->symbols[left->next];

    left->token = left->pair_token;
    left->next = right->next;
    right->pair_rank = JOINING_NONE;
    if (left->next != JOINING_NONE)
        joining->symbols[left->next].previous = at;
    queue_pair(joining, rules, at);
    if (left->previous != JOINING_NONE)
        queue_pair(joining, rules, left->previous);
}

void joining_run(struct joining *joining, const struct joining_rules *rules)
{
    for (uint32_t at = 0; at != JOINING_NONE; at = joining->symbols[at].next)
        queue_pair(joining, rules, at);
    while (joining->heap_count > 0) {
        uint64_t entry = heap_pop(joining);
        uint32_t at = (uint32_t)entry;

        /* An entry is stale when its symbol has been joined since: the pair is another now. One of
         * the same rank may take its place, as both are due at the same time. */
        if (joining->symbols[at].pair_rank == entry >> 32)
            join(joining, rules, at);
    }
}

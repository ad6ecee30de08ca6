/* Owns the KV block table: a list of blocks for each sequence, the free blocks in the order in
 * which they are given away, and a hash table of those that can be found by what they hold. */
#include "hip/engine/kv.h"

#include "common/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { KV_NONE = UINT32_MAX };

struct kv_block {
    uint32_t tokens[KV_BLOCK_TOKENS];
    uint32_t holder_count; /* sequences; 0: it is in the list of free ones */
    bool is_findable;
    /* Findable: the block before it, KV_NONE for the first, and which filling of that is meant. */
    uint32_t parent;
    uint64_t parent_filling;
    uint64_t filling; /* a number for each time it was given away; none comes twice */
    uint32_t next_in_bucket;
    uint32_t free_before; /* neighbours in the list of free ones */
    uint32_t free_after;
};

struct kv_table {
    uint32_t block_count;
    uint32_t sequence_count;
    uint32_t free_count;
    uint32_t first_free; /* given away next */
    uint32_t last_free;
    uint64_t filling_count;
    struct kv_block *blocks; /* [block_count] */
    uint32_t bucket_count;   /* a power of two */
    uint32_t *buckets;       /* [bucket_count] first block of each */
    uint32_t *lengths;       /* [sequence_count] in positions */
    uint32_t *committed;     /* [sequence_count] full blocks that have been computed */
    uint32_t *held;          /* [sequence_count][block_count] */
};

static uint32_t *sequence_blocks(const struct kv_table *table, uint32_t sequence)
{
    assert(sequence < table->sequence_count);
    return table->held + (size_t)sequence * table->block_count;
}

static uint32_t blocks_for(uint32_t length)
{
    return length / KV_BLOCK_TOKENS + (length % KV_BLOCK_TOKENS != 0);
}

/* ---- the free ones ---- */

static void free_list_add(struct kv_table *table, uint32_t id)
{
    struct kv_block *block = &table->blocks[id];

    block->free_before = table->last_free;
    block->free_after = KV_NONE;
    if (table->last_free == KV_NONE)
        table->first_free = id;
    else
        table->blocks[table->last_free].free_after = id;
    table->last_free = id;
    table->free_count++;
}

static void free_list_remove(struct kv_table *table, uint32_t id)
{
    const struct kv_block *block = &table->blocks[id];

    if (block->free_before == KV_NONE)
        table->first_free = block->free_after;
    else
        table->blocks[block->free_before].free_after = block->free_after;
    if (block->free_after == KV_NONE)
        table->last_free = block->free_before;
    else
        table->blocks[block->free_after].free_before = block->free_before;
    table->free_count--;
}

/* ---- found by what they hold ---- */

/* FNV-1a over words. http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t bucket_of(const struct kv_table *table, uint32_t parent, uint64_t parent_filling,
                          const uint32_t *tokens)
{
    const uint64_t prime = 0x100000001b3;
    uint64_t hash = 0xcbf29ce484222325;

    hash = (hash ^ parent) * prime;
    hash = (hash ^ parent_filling) * prime;
    for (int i = 0; i < KV_BLOCK_TOKENS; i++)
        hash = (hash ^ tokens[i]) * prime;
    hash ^= hash >> 32; /* the low bits of a product know only low bits */
    return (uint32_t)hash & (table->bucket_count - 1);
}

static uint64_t filling_of(const struct kv_table *table, uint32_t id)
{
    return id == KV_NONE ? 0 : table->blocks[id].filling;
}

/* The block behind PARENT that holds TOKENS [KV_BLOCK_TOKENS], or KV_NONE. */
static uint32_t find_block(const struct kv_table *table, uint32_t parent, const uint32_t *tokens)
{
    uint64_t parent_filling = filling_of(table, parent);
    uint32_t id = table->buckets[bucket_of(table, parent, parent_filling, tokens)];

    while (id != KV_NONE) {
        const struct kv_block *block = &table->blocks[id];

        if (block->parent == parent && block->parent_filling == parent_filling &&
            memcmp(block->tokens, tokens, sizeof(block->tokens)) == 0)
            return id;
        id = block->next_in_bucket;
    }
    return KV_NONE;
}

static uint32_t *bucket_of_block(const struct kv_table *table, const struct kv_block *block)
{
    return &table->buckets[bucket_of(table, block->parent, block->parent_filling, block->tokens)];
}

static void make_findable(struct kv_table *table, uint32_t id, uint32_t parent)
{
    struct kv_block *block = &table->blocks[id];
    uint32_t *bucket = NULL;

    assert(!block->is_findable);
    block->parent = parent;
    block->parent_filling = filling_of(table, parent);
    block->is_findable = true;
    bucket = bucket_of_block(table, block);
    block->next_in_bucket = *bucket;
    *bucket = id;
}

static void make_unfindable(struct kv_table *table, uint32_t id)
{
    struct kv_block *block = &table->blocks[id];
    uint32_t *link = NULL;

    if (!block->is_findable)
        return;
    link = bucket_of_block(table, block);
    while (*link != id)
        link = &table->blocks[*link].next_in_bucket;
    *link = block->next_in_bucket;
    block->is_findable = false;
}

/* ---- held by sequences ---- */

static void hold_block(struct kv_table *table, uint32_t id)
{
    if (table->blocks[id].holder_count++ == 0)
        free_list_remove(table, id);
}

static void let_go_of_block(struct kv_table *table, uint32_t id)
{
    assert(table->blocks[id].holder_count > 0);
    if (--table->blocks[id].holder_count == 0)
        free_list_add(table, id);
}

/* A free block for new contents; there is one. */
static uint32_t take_block(struct kv_table *table)
{
    uint32_t id = table->first_free;

    make_unfindable(table, id);
    hold_block(table, id);
    /* Blocks that name this one as what comes before them mean its last filling. */
    table->blocks[id].filling = ++table->filling_count;
    return id;
}

/* ---- the table ---- */

struct kv_table *kv_table_new(uint32_t block_count, uint32_t sequence_count)
{
    struct kv_table *table = xcalloc(1, sizeof(*table));

    assert(block_count < KV_NONE);
    table->block_count = block_count;
    table->sequence_count = sequence_count;
    table->first_free = KV_NONE;
    table->last_free = KV_NONE;
    table->bucket_count = 1;
    while (table->bucket_count < block_count)
        table->bucket_count *= 2;
    table->blocks = xcalloc(block_count, sizeof(*table->blocks));
    table->buckets = xcalloc(table->bucket_count, sizeof(*table->buckets));
    table->lengths = xcalloc(sequence_count, sizeof(*table->lengths));
    table->committed = xcalloc(sequence_count, sizeof(*table->committed));
    table->held = xcalloc((size_t)sequence_count * block_count, sizeof(*table->held));
    for (uint32_t i = 0; i < table->bucket_count; i++)
        table->buckets[i] = KV_NONE;
    for (uint32_t i = 0; i < block_count; i++)
        free_list_add(table, i);
    return table;
}

uint64_t kv_table_block_bytes(uint32_t sequence_count)
{
    /* Buckets are up to twice as many as blocks. */
    return sizeof(struct kv_block) + 2 * sizeof(uint32_t) +
           (uint64_t)sequence_count * sizeof(uint32_t);
}

void kv_table_free(struct kv_table *table)
{
    if (table == NULL)
        return;
    free(table->blocks);
    free(table->buckets);
    free(table->lengths);
    free(table->committed);
    free(table->held);
    free(table);
}

uint32_t kv_table_length(const struct kv_table *table, uint32_t sequence)
{
    assert(sequence < table->sequence_count);
    return table->lengths[sequence];
}

uint32_t kv_table_free_blocks(const struct kv_table *table)
{
    return table->free_count;
}

uint32_t kv_table_blocks_lacking(const struct kv_table *table, uint32_t sequence, uint32_t length)
{
    uint32_t held = blocks_for(kv_table_length(table, sequence));
    uint32_t wanted = blocks_for(length);

    return wanted > held ? wanted - held : 0;
}

uint32_t kv_table_reuse(struct kv_table *table, uint32_t sequence, const uint32_t *tokens,
                        uint32_t count)
{
    uint32_t *held = sequence_blocks(table, sequence);
    uint32_t parent = KV_NONE;
    uint32_t block_count = 0;

    assert(table->lengths[sequence] == 0);
    while ((block_count + 1) * KV_BLOCK_TOKENS < count) {
        uint32_t id = find_block(table, parent, tokens + (size_t)block_count * KV_BLOCK_TOKENS);

        if (id == KV_NONE)
            break;
        hold_block(table, id);
        held[block_count++] = id;
        parent = id;
    }
    table->committed[sequence] = block_count;
    table->lengths[sequence] = block_count * KV_BLOCK_TOKENS;
    return table->lengths[sequence];
}

int kv_table_append(struct kv_table *table, uint32_t sequence, uint32_t token, struct err *err)
{
    uint32_t position = kv_table_length(table, sequence);
    uint32_t *held = sequence_blocks(table, sequence) + position / KV_BLOCK_TOKENS;

    if (position % KV_BLOCK_TOKENS == 0) {
        if (table->free_count == 0)
            return err_set(err, ERR_NO_MEMORY, "the KV store of %u blocks of %d tokens is full",
                           table->block_count, KV_BLOCK_TOKENS);
        *held = take_block(table);
    }
    table->blocks[*held].tokens[position % KV_BLOCK_TOKENS] = token;
    table->lengths[sequence] = position + 1;
    return 0;
}

/* Two sequences may have computed the same: the later one takes over the block of the earlier one,
 * so that what it computes next is found behind that, too. */
void kv_table_commit(struct kv_table *table, uint32_t sequence)
{
    uint32_t *held = sequence_blocks(table, sequence);
    uint32_t full = table->lengths[sequence] / KV_BLOCK_TOKENS;

    for (uint32_t i = table->committed[sequence]; i < full; i++) {
        uint32_t parent = i > 0 ? held[i - 1] : KV_NONE;
        uint32_t same = find_block(table, parent, table->blocks[held[i]].tokens);

        if (same == KV_NONE) {
            make_findable(table, held[i], parent);
        } else {
            let_go_of_block(table, held[i]);
            hold_block(table, same);
            held[i] = same;
        }
    }
    table->committed[sequence] = full;
}

void kv_table_truncate(struct kv_table *table, uint32_t sequence, uint32_t from)
{
    uint32_t length = kv_table_length(table, sequence);
    uint32_t *held = sequence_blocks(table, sequence);

    if (from >= length)
        return;
    /* The last one first: what many have in common is at the front, and is to stay longest. */
    for (uint32_t i = blocks_for(length); i > blocks_for(from); i--)
        let_go_of_block(table, held[i - 1]);
    if (from % KV_BLOCK_TOKENS != 0) { /* its end will be written again */
        uint32_t cut = held[from / KV_BLOCK_TOKENS];

        assert(table->blocks[cut].holder_count == 1);
        make_unfindable(table, cut);
        table->blocks[cut].filling = ++table->filling_count;
    }
    table->lengths[sequence] = from;
    if (table->committed[sequence] > from / KV_BLOCK_TOKENS)
        table->committed[sequence] = from / KV_BLOCK_TOKENS;
}

void kv_table_discard(struct kv_table *table, uint32_t sequence)
{
    const uint32_t *held = sequence_blocks(table, sequence);

    for (uint32_t i = 0; i < blocks_for(table->lengths[sequence]); i++)
        make_unfindable(table, held[i]);
    kv_table_truncate(table, sequence, 0);
}

const uint32_t *kv_table_blocks(const struct kv_table *table)
{
    return table->held;
}

uint32_t kv_table_blocks_per_sequence(const struct kv_table *table)
{
    return table->block_count;
}

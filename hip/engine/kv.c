/* Owns the KV block table: a stack of free blocks, and a list of blocks for each sequence. */
#include "hip/engine/kv.h"

#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>

struct kv_table {
    uint32_t block_count;
    uint32_t sequence_count;
    uint32_t free_count;
    uint32_t *free_blocks; /* [block_count], the first free_count are free */
    uint32_t *lengths;     /* [sequence_count] in positions */
    uint32_t *blocks;      /* [sequence_count][block_count] */
};

struct kv_table *kv_table_new(uint32_t block_count, uint32_t sequence_count)
{
    struct kv_table *table = xcalloc(1, sizeof(*table));

    table->block_count = block_count;
    table->sequence_count = sequence_count;
    table->free_count = block_count;
    table->free_blocks = xcalloc(block_count, sizeof(*table->free_blocks));
    table->lengths = xcalloc(sequence_count, sizeof(*table->lengths));
    table->blocks = xcalloc((size_t)sequence_count * block_count, sizeof(*table->blocks));
    for (uint32_t i = 0; i < block_count; i++)
        table->free_blocks[i] = block_count - 1 - i; /* block 0 is taken first */
    return table;
}

void kv_table_free(struct kv_table *table)
{
    if (table == NULL)
        return;
    free(table->free_blocks);
    free(table->lengths);
    free(table->blocks);
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

static uint32_t *sequence_blocks(const struct kv_table *table, uint32_t sequence)
{
    return table->blocks + (size_t)sequence * table->block_count;
}

int kv_table_append(struct kv_table *table, uint32_t sequence, struct err *err)
{
    uint32_t position = kv_table_length(table, sequence);

    if (position % KV_BLOCK_TOKENS == 0) {
        if (table->free_count == 0)
            return err_set(err, ERR_NO_MEMORY, "the KV store of %u blocks of %d tokens is full",
                           table->block_count, KV_BLOCK_TOKENS);
        sequence_blocks(table, sequence)[position / KV_BLOCK_TOKENS] =
            table->free_blocks[--table->free_count];
    }
    table->lengths[sequence] = position + 1;
    return 0;
}

static uint32_t blocks_for(uint32_t length)
{
    return length / KV_BLOCK_TOKENS + (length % KV_BLOCK_TOKENS != 0);
}

void kv_table_truncate(struct kv_table *table, uint32_t sequence, uint32_t from)
{
    uint32_t length = kv_table_length(table, sequence);

    if (from >= length)
        return;
    for (uint32_t block = blocks_for(length); block > blocks_for(from); block--)
        table->free_blocks[table->free_count++] = sequence_blocks(table, sequence)[block - 1];
    table->lengths[sequence] = from;
}

const uint32_t *kv_table_blocks(const struct kv_table *table)
{
    return table->blocks;
}

uint32_t kv_table_blocks_per_sequence(const struct kv_table *table)
{
    return table->block_count;
}

/* Which KV blocks hold which positions of which sequence. Only bookkeeping: the keys and values
 * themselves are the backend's. A sequence is a run of positions from 0 to its length, in blocks of
 * KV_BLOCK_TOKENS taken from one pool. */
#ifndef RBEE_HIP_ENGINE_KV_H
#define RBEE_HIP_ENGINE_KV_H

#include "common/err.h"

#include <stdint.h>

enum { KV_BLOCK_TOKENS = 32 };

struct kv_table;

/* A pool of BLOCK_COUNT blocks for SEQUENCE_COUNT sequences, each of which may take all of them. */
struct kv_table *kv_table_new(uint32_t block_count, uint32_t sequence_count);
void kv_table_free(struct kv_table *table);

uint32_t kv_table_length(const struct kv_table *table, uint32_t sequence);
uint32_t kv_table_free_blocks(const struct kv_table *table);
/* Adds one position at the end of SEQUENCE. ERR_NO_MEMORY when that needs a block and none is
 * free. */
int kv_table_append(struct kv_table *table, uint32_t sequence, struct err *err);
/* Forgets positions from FROM on; blocks that are no longer used go back to the pool. */
void kv_table_truncate(struct kv_table *table, uint32_t sequence, uint32_t from);
/* [sequence][kv_table_blocks_per_sequence()] block ids; those beyond a sequence's length mean
 * nothing. Borrowed; changes with append. */
const uint32_t *kv_table_blocks(const struct kv_table *table);
uint32_t kv_table_blocks_per_sequence(const struct kv_table *table);

#endif

/* Which KV blocks hold which positions of which sequence. Only bookkeeping: the keys and values
 * themselves are the backend's. A sequence is a run of positions from 0 to its length, in blocks of
 * KV_BLOCK_TOKENS taken from one pool.
 *
 * What has been computed once is found again. A full block that has been committed is known by its
 * tokens and by the block before it, so by everything from position 0 on; a sequence that begins
 * with the same tokens takes it over instead of computing it (kv_table_reuse). Blocks of ended
 * sequences stay findable until the pool needs them, the ones that were left longest ago first.
 * Only full blocks are shared, so none that is shared is ever written.
 *
 * It holds of one model and one device alone: tokens say nothing of which model they are for. */
#ifndef RBEE_HIP_ENGINE_KV_H
#define RBEE_HIP_ENGINE_KV_H

#include "common/err.h"

#include <stdint.h>

enum { KV_BLOCK_TOKENS = 32 };

struct kv_table;

/* A pool of BLOCK_COUNT blocks for SEQUENCE_COUNT sequences, each of which may take all of them. */
struct kv_table *kv_table_new(uint32_t block_count, uint32_t sequence_count);
void kv_table_free(struct kv_table *table);
/* What a table takes for each of its blocks, at most. */
uint64_t kv_table_block_bytes(uint32_t sequence_count);

uint32_t kv_table_length(const struct kv_table *table, uint32_t sequence);
/* Blocks that no sequence holds; those among them that can be found again count, too. */
uint32_t kv_table_free_blocks(const struct kv_table *table);
/* Blocks that SEQUENCE lacks to hold LENGTH positions. */
uint32_t kv_table_blocks_lacking(const struct kv_table *table, uint32_t sequence, uint32_t length);

/* Takes over, for SEQUENCE, which is empty, what is there of the COUNT tokens it begins with; whole
 * blocks, and never all of COUNT: the last token has to be computed for its logits. Returns how
 * many positions it holds now. */
uint32_t kv_table_reuse(struct kv_table *table, uint32_t sequence, const uint32_t *tokens,
                        uint32_t count);
/* Adds one position, of TOKEN, at the end of SEQUENCE. ERR_NO_MEMORY when that needs a block and
 * none is free. */
int kv_table_append(struct kv_table *table, uint32_t sequence, uint32_t token, struct err *err);
/* What was appended to SEQUENCE has been computed: its full blocks can be found from here on. */
void kv_table_commit(struct kv_table *table, uint32_t sequence);
/* Forgets positions from FROM on; blocks that are no longer used go back to the pool. FROM must not
 * cut a block that another sequence holds. */
void kv_table_truncate(struct kv_table *table, uint32_t sequence, uint32_t from);
/* Forgets all of SEQUENCE, and that none of its blocks is found again: what it computed is not to
 * be trusted. */
void kv_table_discard(struct kv_table *table, uint32_t sequence);

/* [sequence][kv_table_blocks_per_sequence()] block ids; those beyond a sequence's length mean
 * nothing. Borrowed; changes with append, commit and reuse. */
const uint32_t *kv_table_blocks(const struct kv_table *table);
uint32_t kv_table_blocks_per_sequence(const struct kv_table *table);

#endif

/* The KV block table: however sequences grow and shrink, each block is one sequence's or free, and
 * none is lost. */
#include "hip/engine/kv.h"

#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BLOCKS = 13, SEQUENCES = 4, ROUNDS = 20000 };

static uint32_t blocks_for(uint32_t length)
{
    return (length + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
}

static void check(const struct kv_table *table)
{
    uint32_t owners[BLOCKS] = {0};
    uint32_t used = 0;

    for (uint32_t s = 0; s < SEQUENCES; s++) {
        const uint32_t *blocks = kv_table_blocks(table) + s * kv_table_blocks_per_sequence(table);

        for (uint32_t i = 0; i < blocks_for(kv_table_length(table, s)); i++) {
            assert_true(blocks[i] < BLOCKS);
            assert_int_equal(owners[blocks[i]]++, 0);
            used++;
        }
    }
    assert_int_equal(kv_table_free_blocks(table), BLOCKS - used);
}

static void no_block_has_two_owners_or_none(void **state)
{
    struct kv_table *table = kv_table_new(BLOCKS, SEQUENCES);
    uint64_t seed = 9;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t sequence = (uint32_t)(tiny_next(&seed) % SEQUENCES);
        uint32_t length = kv_table_length(table, sequence);
        struct err err = ERR_INIT;

        if (tiny_next(&seed) % 32 == 0) {
            uint32_t from = (uint32_t)(tiny_next(&seed) % (length + 2));

            kv_table_truncate(table, sequence, from);
            assert_int_equal(kv_table_length(table, sequence), from < length ? from : length);
        } else if (kv_table_append(table, sequence, &err) == 0) {
            assert_int_equal(kv_table_length(table, sequence), length + 1);
        } else {
            assert_int_equal(err.kind, ERR_NO_MEMORY);
            assert_int_equal(kv_table_free_blocks(table), 0);
            assert_int_equal(kv_table_length(table, sequence), length);
        }
        check(table);
    }
    kv_table_free(table);
}

/* What is written stays where it is while the sequence grows. */
static void growing_moves_no_block(void **state)
{
    struct kv_table *table = kv_table_new(BLOCKS, 2);
    struct err err = ERR_INIT;
    uint32_t first = 0;

    assert_int_equal(kv_table_append(table, 0, &err), 0);
    first = kv_table_blocks(table)[0];
    for (uint32_t i = 1; i < BLOCKS * KV_BLOCK_TOKENS; i++)
        assert_int_equal(kv_table_append(table, 0, &err), 0);
    assert_int_equal(kv_table_blocks(table)[0], first);
    assert_int_equal(kv_table_append(table, 1, &err), -1);
    kv_table_truncate(table, 0, 1);
    assert_int_equal(kv_table_blocks(table)[0], first);
    assert_int_equal(kv_table_free_blocks(table), BLOCKS - 1);
    kv_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_block_has_two_owners_or_none),
        cmocka_unit_test(growing_moves_no_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

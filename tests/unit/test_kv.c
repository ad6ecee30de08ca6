/* The KV block table: however sequences grow, shrink, end and begin again with what is there, each
 * finds at every position what it wrote or took over, and no block is lost. */
#include "hip/engine/kv.h"

#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    BLOCKS = 13,
    SEQUENCES = 4,
    ROUNDS = 20000,
    PLACES = BLOCKS * KV_BLOCK_TOKENS,
    B = KV_BLOCK_TOKENS,
};

/* A table, what a device would have written at each place of its store, and what each sequence
 * must find. */
struct rig {
    struct kv_table *table;
    uint32_t store[PLACES];
    uint32_t tokens[SEQUENCES][PLACES];
    uint64_t seed;
};

static uint32_t *place_of(struct rig *rig, uint32_t sequence, uint32_t position)
{
    const uint32_t *blocks =
        kv_table_blocks(rig->table) + (size_t)sequence * kv_table_blocks_per_sequence(rig->table);

    assert_true(blocks[position / B] < BLOCKS);
    return &rig->store[blocks[position / B] * B + position % B];
}

static void check(struct rig *rig)
{
    uint32_t holders[BLOCKS] = {0};
    uint32_t held = 0;

    for (uint32_t s = 0; s < SEQUENCES; s++) {
        uint32_t length = kv_table_length(rig->table, s);

        for (uint32_t i = 0; i < length; i++) {
            uint32_t *place = place_of(rig, s, i);

            assert_int_equal(*place, rig->tokens[s][i]);
            if (i % B == 0)
                holders[(place - rig->store) / B]++;
        }
        if (length % B != 0) /* it will be written again */
            assert_int_equal(holders[(place_of(rig, s, length - 1) - rig->store) / B], 1);
    }
    for (uint32_t i = 0; i < BLOCKS; i++)
        held += holders[i] > 0 ? 1 : 0;
    assert_int_equal(kv_table_free_blocks(rig->table), BLOCKS - held);
}

static uint32_t draw(struct rig *rig, uint32_t below)
{
    return (uint32_t)(tiny_next(&rig->seed) % below);
}

/* Two kinds of blocks only, so that sequences often begin alike. */
static uint32_t token_at(const struct rig *rig, uint32_t kind, uint32_t position)
{
    return kind >> position / B % 4 & 1;
}

static int append(struct rig *rig, uint32_t sequence, uint32_t token)
{
    uint32_t position = kv_table_length(rig->table, sequence);
    struct err err = ERR_INIT;

    if (kv_table_append(rig->table, sequence, token, &err) != 0) {
        assert_int_equal(err.kind, ERR_NO_MEMORY);
        assert_int_equal(kv_table_free_blocks(rig->table), 0);
        assert_int_equal(kv_table_length(rig->table, sequence), position);
        return -1;
    }
    assert_int_equal(kv_table_length(rig->table, sequence), position + 1);
    rig->tokens[sequence][position] = token;
    *place_of(rig, sequence, position) = token;
    return 0;
}

/* One step: some positions are added and committed, or, when the step fails, forgotten. */
static void grow(struct rig *rig, uint32_t sequence, uint32_t kind)
{
    uint32_t before = kv_table_length(rig->table, sequence);
    uint32_t count = 1 + draw(rig, 2 * B);
    uint32_t lacking = kv_table_blocks_lacking(rig->table, sequence, before + count);
    uint32_t free_before = kv_table_free_blocks(rig->table);

    for (uint32_t i = 0; i < count; i++) {
        if (append(rig, sequence, token_at(rig, kind, before + i)) != 0) {
            assert_true(lacking > free_before);
            kv_table_truncate(rig->table, sequence, before);
            return;
        }
    }
    assert_int_equal(free_before - kv_table_free_blocks(rig->table), lacking);
    if (draw(rig, 8) == 0)
        kv_table_truncate(rig->table, sequence, before);
    else
        kv_table_commit(rig->table, sequence);
}

static void begin(struct rig *rig, uint32_t sequence, uint32_t kind)
{
    uint32_t prompt[PLACES];
    uint32_t count = 1 + draw(rig, PLACES);
    uint32_t held = 0;

    for (uint32_t i = 0; i < count; i++)
        prompt[i] = token_at(rig, kind, i);
    held = kv_table_reuse(rig->table, sequence, prompt, count);
    assert_true(held < count && held % B == 0);
    assert_int_equal(kv_table_length(rig->table, sequence), held);
    memcpy(rig->tokens[sequence], prompt, held * sizeof(*prompt));
}

static void every_sequence_finds_what_it_wrote(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES), .seed = 9};
    uint32_t kinds[SEQUENCES] = {0};
    uint32_t reused = 0;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t sequence = draw(&rig, SEQUENCES);

        if (draw(&rig, 6) == 0) {
            if (draw(&rig, 16) == 0)
                kv_table_discard(rig.table, sequence);
            else
                kv_table_truncate(rig.table, sequence, 0);
            assert_int_equal(kv_table_length(rig.table, sequence), 0);
            kinds[sequence] = draw(&rig, 16);
            begin(&rig, sequence, kinds[sequence]);
            reused += kv_table_length(rig.table, sequence) > 0 ? 1 : 0;
        } else {
            grow(&rig, sequence, kinds[sequence]);
        }
        check(&rig);
    }
    assert_true(reused > ROUNDS / 100); /* or the rest says little */
    kv_table_free(rig.table);
}

/* What is written stays where it is while the sequence grows. */
static void growing_moves_no_block(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};
    uint32_t first = 0;

    assert_int_equal(append(&rig, 0, 7), 0);
    first = kv_table_blocks(rig.table)[0];
    for (uint32_t i = 1; i < PLACES; i++)
        assert_int_equal(append(&rig, 0, 7), 0);
    assert_int_equal(kv_table_blocks(rig.table)[0], first);
    assert_int_equal(append(&rig, 1, 7), -1);
    kv_table_truncate(rig.table, 0, 1);
    assert_int_equal(kv_table_blocks(rig.table)[0], first);
    assert_int_equal(kv_table_free_blocks(rig.table), BLOCKS - 1);
    kv_table_free(rig.table);
}

/* COUNT tokens from FIRST on, counting up, computed or, without IS_COMMITTED, only begun. */
static void fill(struct rig *rig, uint32_t sequence, uint32_t first, uint32_t count,
                 bool is_committed)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(append(rig, sequence, first + i), 0);
    if (is_committed)
        kv_table_commit(rig->table, sequence);
}

static uint32_t reuse_counting(struct rig *rig, uint32_t sequence, uint32_t first, uint32_t count)
{
    uint32_t prompt[PLACES];
    uint32_t held = 0;

    for (uint32_t i = 0; i < count; i++)
        prompt[i] = first + i;
    held = kv_table_reuse(rig->table, sequence, prompt, count);
    memcpy(rig->tokens[sequence], prompt, held * sizeof(*prompt));
    return held;
}

/* Whole blocks, not the last token, which has to be computed, and nothing that only was begun. */
static void whole_computed_blocks_are_found_again(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};

    fill(&rig, 0, 100, 3 * B + 5, true);
    assert_int_equal(reuse_counting(&rig, 1, 100, 3 * B + 5), 3 * B);
    kv_table_truncate(rig.table, 1, 0);
    assert_int_equal(reuse_counting(&rig, 1, 100, 3 * B), 2 * B);
    kv_table_truncate(rig.table, 1, 0);
    assert_int_equal(reuse_counting(&rig, 1, 100, 2 * B + 1), 2 * B);
    kv_table_truncate(rig.table, 1, 0);
    assert_int_equal(reuse_counting(&rig, 1, 101, 3 * B), 0);

    fill(&rig, 2, 900, 2 * B, false);
    assert_int_equal(reuse_counting(&rig, 3, 900, 2 * B), 0);
    kv_table_free(rig.table);
}

/* The same tokens behind others are other keys and values. */
static void a_block_is_known_by_all_that_is_before_it(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};

    fill(&rig, 0, 100, B, false);
    fill(&rig, 0, 500, B, true);
    fill(&rig, 1, 300, B, true);
    fill(&rig, 2, 500, B, true); /* alone */
    kv_table_truncate(rig.table, 0, 0);
    assert_int_equal(reuse_counting(&rig, 0, 500, 2 * B), B);
    assert_int_equal(kv_table_blocks(rig.table)[0],
                     kv_table_blocks(rig.table)[2 * kv_table_blocks_per_sequence(rig.table)]);
    kv_table_free(rig.table);
}

/* Two that compute the same at the same time end with one copy of it, and with one line of what
 * comes behind. */
static void what_two_have_computed_is_kept_once(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};

    fill(&rig, 0, 100, 2 * B, false);
    fill(&rig, 1, 100, 2 * B, false);
    assert_int_equal(kv_table_free_blocks(rig.table), BLOCKS - 4);
    kv_table_commit(rig.table, 0);
    kv_table_commit(rig.table, 1);
    assert_int_equal(kv_table_free_blocks(rig.table), BLOCKS - 2);
    fill(&rig, 1, 100 + 2 * B, B, true);
    kv_table_truncate(rig.table, 0, 0);
    assert_int_equal(reuse_counting(&rig, 0, 100, 4 * B), 3 * B);
    check(&rig);
    kv_table_free(rig.table);
}

/* The front of a sequence, which others may have in common with it, stays longest, and what was
 * used last stays longer than what was used before. */
static void the_pool_forgets_ends_first_and_the_oldest_first(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};

    fill(&rig, 0, 100, 4 * B, true);
    fill(&rig, 1, 500, 4 * B, true);
    kv_table_truncate(rig.table, 0, 0);
    kv_table_truncate(rig.table, 1, 0);
    fill(&rig, 2, 900, 5 * B + 2 * B, false); /* the five that were never used, then two */
    assert_int_equal(reuse_counting(&rig, 0, 100, 4 * B + 1), 2 * B);
    assert_int_equal(reuse_counting(&rig, 1, 500, 4 * B + 1), 4 * B);
    kv_table_free(rig.table);
}

/* What was computed behind a block is not found behind what the block holds later. Many times, for
 * by chance it is looked for in another bucket. */
static void a_block_written_again_is_another_one(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};
    uint32_t prompt[2 * B + 1];

    for (uint32_t first = 0; first < 100 * PLACES; first += PLACES) {
        fill(&rig, 0, first, 2 * B, true);
        kv_table_truncate(rig.table, 0, B - 1);
        fill(&rig, 0, UINT32_MAX, 1, true);
        for (uint32_t i = 0; i < 2 * B + 1; i++)
            prompt[i] = i == B - 1 ? UINT32_MAX : first + i;
        assert_int_equal(kv_table_reuse(rig.table, 1, prompt, 2 * B + 1), B);
        kv_table_truncate(rig.table, 0, 0);
        kv_table_truncate(rig.table, 1, 0);
    }
    kv_table_free(rig.table);
}

static void what_is_discarded_is_never_found(void **state)
{
    struct rig rig = {.table = kv_table_new(BLOCKS, SEQUENCES)};

    fill(&rig, 0, 100, 3 * B, true);
    kv_table_discard(rig.table, 0);
    assert_int_equal(kv_table_free_blocks(rig.table), BLOCKS);
    assert_int_equal(reuse_counting(&rig, 1, 100, 3 * B), 0);
    kv_table_free(rig.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_finds_what_it_wrote),
        cmocka_unit_test(growing_moves_no_block),
        cmocka_unit_test(whole_computed_blocks_are_found_again),
        cmocka_unit_test(a_block_is_known_by_all_that_is_before_it),
        cmocka_unit_test(what_two_have_computed_is_kept_once),
        cmocka_unit_test(the_pool_forgets_ends_first_and_the_oldest_first),
        cmocka_unit_test(a_block_written_again_is_another_one),
        cmocka_unit_test(what_is_discarded_is_never_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

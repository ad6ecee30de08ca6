/* Who makes room for a model: each verdict, and in thousands of crowded rooms what holds for all.
 */
#include "supervisor/room.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BUDGET_BYTES = 100, HOLDER_MAX_COUNT = 6, HOLD_COUNT = ROOM_HOLD_COUNT };

static enum room_verdict judge(struct room_holder *holders, size_t count, int64_t need_bytes)
{
    struct room room = {
        .need_bytes = need_bytes,
        .budget_bytes = BUDGET_BYTES,
        .available_bytes = ROOM_UNLIMITED,
        .holders = holders,
        .holder_count = count,
    };

    return room_judge(&room);
}

static void what_fits_goes(void **state)
{
    struct room_holder kept[] = {{.hold = ROOM_KEPT, .bytes = 60}};

    assert_int_equal(judge(NULL, 0, BUDGET_BYTES), ROOM_GO);
    assert_int_equal(judge(NULL, 0, BUDGET_BYTES + 1), ROOM_NONE);
    assert_int_equal(judge(kept, 1, 40), ROOM_GO);
    assert_int_equal(judge(kept, 1, 41), ROOM_NONE);
}

/* One that holds 60 of 100, in each way, when 41 are needed. */
static void only_an_idle_one_is_evicted(void **state)
{
    static const enum room_verdict VERDICTS[HOLD_COUNT] = {
        [ROOM_IDLE] = ROOM_EVICT,
        [ROOM_BUSY] = ROOM_WAIT_BUSY,
        [ROOM_KEPT] = ROOM_NONE,
        [ROOM_LEAVING] = ROOM_WAIT_LEAVING,
    };

    for (int hold = 0; hold < HOLD_COUNT; hold++) {
        struct room_holder holder = {.hold = (enum room_hold)hold, .bytes = 60, .is_evicted = true};

        assert_int_equal(judge(&holder, 1, 41), VERDICTS[hold]);
        assert_int_equal(holder.is_evicted, hold == ROOM_IDLE);
    }
}

static void the_longest_idle_goes_first(void **state)
{
    struct room_holder holders[] = {
        {.hold = ROOM_IDLE, .bytes = 30, .idle_since_ms = 300},
        {.hold = ROOM_IDLE, .bytes = 30, .idle_since_ms = 100},
        {.hold = ROOM_IDLE, .bytes = 30, .idle_since_ms = 200},
    };

    assert_int_equal(judge(holders, 3, 40), ROOM_EVICT);
    assert_false(holders[0].is_evicted);
    assert_true(holders[1].is_evicted);
    assert_false(holders[2].is_evicted);
    assert_int_equal(judge(holders, 3, 41), ROOM_EVICT);
    assert_false(holders[0].is_evicted);
    assert_true(holders[1].is_evicted);
    assert_true(holders[2].is_evicted);
}

/* A small one that has been idle for longest does not go as well when a larger one must. */
static void nobody_goes_for_nothing(void **state)
{
    struct room_holder holders[] = {
        {.hold = ROOM_IDLE, .bytes = 10, .idle_since_ms = 100},
        {.hold = ROOM_IDLE, .bytes = 80, .idle_since_ms = 200},
    };

    assert_int_equal(judge(holders, 2, 60), ROOM_EVICT);
    assert_false(holders[0].is_evicted);
    assert_true(holders[1].is_evicted);
    assert_int_equal(judge(holders, 2, 20), ROOM_EVICT);
    assert_true(holders[0].is_evicted);
    assert_false(holders[1].is_evicted);
}

/* While one that works is in the way, evicting the others gains nothing. */
static void nobody_is_evicted_before_that_is_enough(void **state)
{
    struct room_holder holders[] = {
        {.hold = ROOM_IDLE, .bytes = 40},
        {.hold = ROOM_BUSY, .bytes = 40},
    };

    assert_int_equal(judge(holders, 2, 80), ROOM_WAIT_BUSY);
    assert_false(holders[0].is_evicted);
    holders[1].hold = ROOM_KEPT;
    assert_int_equal(judge(holders, 2, 80), ROOM_NONE);
    assert_false(holders[0].is_evicted);
}

/* With the device's own measure the memory of who has gone may be seen late: until then nobody else
 * is evicted, and when it does not come the start has no room, though others are idle. */
static void what_was_evicted_must_be_seen_to_give_back(void **state)
{
    static const enum room_verdict VERDICTS[] = {
        [ROOM_NOTHING_EVICTED] = ROOM_EVICT,
        [ROOM_RETURNING] = ROOM_WAIT_RETURN,
        [ROOM_RETURN_OVERDUE] = ROOM_NONE,
    };

    for (size_t i = 0; i < ARRAY_COUNT(VERDICTS); i++) {
        struct room_holder idle = {.hold = ROOM_IDLE, .bytes = 30};
        struct room room = {
            .need_bytes = 50,
            .budget_bytes = BUDGET_BYTES,
            .available_bytes = 40,
            .returning = (enum room_return)i,
            .holders = &idle,
            .holder_count = 1,
        };

        assert_int_equal(room_judge(&room), VERDICTS[i]);
        assert_int_equal(room_free_bytes(&room), 40);
        room.available_bytes = 50;
        assert_int_equal(room_judge(&room), ROOM_GO);
        /* Where only the sum counts there is nothing to wait for. */
        room.available_bytes = ROOM_UNLIMITED;
        room.need_bytes = 80;
        assert_int_equal(room_judge(&room), ROOM_EVICT);
        assert_int_equal(room_free_bytes(&room), 70);
    }
}

static void a_device_without_limits_takes_everything(void **state)
{
    struct room_holder liar = {.hold = ROOM_KEPT, .bytes = INT64_MAX};
    struct room room = {
        .need_bytes = INT64_MAX - 1,
        .budget_bytes = ROOM_UNLIMITED,
        .available_bytes = ROOM_UNLIMITED,
        .holders = &liar,
        .holder_count = 1,
    };

    assert_int_equal(room_judge(&room), ROOM_GO);
}

/* A worker that says it holds more than there can be is not what lets others in. */
static void numbers_that_cannot_be_do_not_overflow(void **state)
{
    struct room_holder liars[] = {
        {.hold = ROOM_KEPT, .bytes = INT64_MAX},
        {.hold = ROOM_KEPT, .bytes = INT64_MAX},
        {.hold = ROOM_IDLE, .bytes = INT64_MAX},
    };
    struct room room = {.budget_bytes = BUDGET_BYTES,
                        .available_bytes = ROOM_UNLIMITED,
                        .holders = liars,
                        .holder_count = 2};

    assert_int_equal(judge(liars, 2, INT64_MAX), ROOM_NONE);
    assert_int_equal(room_free_bytes(&room), 0);
    assert_int_equal(judge(liars + 2, 1, 50), ROOM_EVICT);
}

/* ---- all of them ---- */

static uint32_t next_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223; /* Knuth's, good enough to mix cases */
    return (*seed >> 16) % below;
}

static int64_t sum_of(const struct room *room, unsigned holds, bool are_evicted_only)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < room->holder_count; i++) {
        if ((holds >> room->holders[i].hold & 1) != 0 &&
            (!are_evicted_only || room->holders[i].is_evicted))
            bytes += room->holders[i].bytes;
    }
    return bytes;
}

static void assert_chosen_well(const struct room *room, int64_t lack_bytes)
{
    int64_t freed_bytes = sum_of(room, 1u << ROOM_IDLE, true);

    assert_true(freed_bytes >= lack_bytes);
    for (size_t i = 0; i < room->holder_count; i++) {
        const struct room_holder *holder = &room->holders[i];

        if (!holder->is_evicted)
            continue;
        assert_int_equal(holder->hold, ROOM_IDLE);
        assert_true(freed_bytes - holder->bytes < lack_bytes);
    }
}

static void in_every_room_no_more_go_than_must(void **state)
{
    enum { ROUNDS = 100000, ALL = (1u << HOLD_COUNT) - 1 };
    uint32_t seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        struct room_holder holders[HOLDER_MAX_COUNT];
        struct room room = {.need_bytes = next_random(&seed, BUDGET_BYTES),
                            .budget_bytes = BUDGET_BYTES,
                            .available_bytes = ROOM_UNLIMITED,
                            .holders = holders,
                            .holder_count = next_random(&seed, HOLDER_MAX_COUNT + 1)};
        enum room_verdict verdict = ROOM_GO;
        int64_t lack_bytes = 0;

        for (size_t i = 0; i < room.holder_count; i++)
            holders[i] = (struct room_holder){
                .hold = (enum room_hold)next_random(&seed, HOLD_COUNT),
                .bytes = next_random(&seed, 50),
                .idle_since_ms = next_random(&seed, 5),
            };
        lack_bytes = room.need_bytes + sum_of(&room, ALL, false) - BUDGET_BYTES;
        verdict = room_judge(&room);
        assert_int_equal(verdict == ROOM_GO, lack_bytes <= 0);
        if (verdict == ROOM_EVICT)
            assert_chosen_well(&room, lack_bytes - sum_of(&room, 1u << ROOM_LEAVING, false));
        else
            assert_int_equal(sum_of(&room, ALL, true), 0);
        if (verdict == ROOM_NONE)
            assert_true(sum_of(&room, 1u << ROOM_KEPT, false) + room.need_bytes > BUDGET_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_goes),
        cmocka_unit_test(only_an_idle_one_is_evicted),
        cmocka_unit_test(the_longest_idle_goes_first),
        cmocka_unit_test(nobody_goes_for_nothing),
        cmocka_unit_test(nobody_is_evicted_before_that_is_enough),
        cmocka_unit_test(what_was_evicted_must_be_seen_to_give_back),
        cmocka_unit_test(a_device_without_limits_takes_everything),
        cmocka_unit_test(numbers_that_cannot_be_do_not_overflow),
        cmocka_unit_test(in_every_room_no_more_go_than_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How a model is divided over two devices: each verdict, and in thousands of models and crowded
 * rooms what holds for all. */
#include "supervisor/split.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BUDGET_BYTES = 100, HOLDER_MAX_COUNT = 4, NAME_BYTES = 24, ROUNDS = 50000 };

/* Ten layers of 10, an embedding and scratch of 7, a head and scratch of 5. */
static const struct split_need TEN = {.layer_count = 10, .layers_bytes = 100, .part_bytes = {7, 5}};

static bool plan(const struct split_need *need, int64_t first_bytes, int64_t second_bytes,
                 int64_t out[SPLIT_PARTS])
{
    return split_plan(need, (const int64_t[SPLIT_PARTS]){first_bytes, second_bytes}, out);
}

static void each_gives_the_same_share_of_what_it_has(void **state)
{
    static const struct {
        int64_t free_bytes[SPLIT_PARTS];
        int64_t bytes[SPLIT_PARTS];
        bool fits;
    } CASES[] = {
        {{1000, 1000}, {57, 55}, true},
        {{2000, 1000}, {77, 35}, true},
        {{1000, 2000}, {37, 75}, true},
        {{57, 55}, {57, 55}, true},
        {{67, 45}, {67, 45}, true}, /* to the byte, and no other way */
        {{66, 45}, {57, 55}, false},
        {{97, 15}, {97, 15}, true}, /* each has one layer at least */
        {{1000, 14}, {97, 15}, false},
        {{1000, 0}, {97, 15}, false},
        {{ROOM_UNLIMITED, ROOM_UNLIMITED}, {57, 55}, true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t bytes[SPLIT_PARTS];

        assert_int_equal(plan(&TEN, CASES[i].free_bytes[0], CASES[i].free_bytes[1], bytes),
                         CASES[i].fits);
        if (!CASES[i].fits)
            continue;
        assert_int_equal(bytes[0], CASES[i].bytes[0]);
        assert_int_equal(bytes[1], CASES[i].bytes[1]);
    }
}

static void one_layer_is_not_divided(void **state)
{
    const struct split_need one = {.layer_count = 1, .layers_bytes = 10};
    const struct split_need none = {.layer_count = 0, .layers_bytes = 10};
    int64_t bytes[SPLIT_PARTS];

    assert_false(plan(&one, 1000, 1000, bytes));
    assert_false(plan(&none, 1000, 1000, bytes));
    assert_int_equal(bytes[0] + bytes[1], 10);
}

static void numbers_that_cannot_be_do_not_overflow(void **state)
{
    const struct split_need liar = {
        .layer_count = 3, .layers_bytes = INT64_MAX, .part_bytes = {INT64_MAX, INT64_MAX}};
    int64_t bytes[SPLIT_PARTS];

    assert_false(plan(&liar, 1000, 1000, bytes));
    assert_true(bytes[0] > 0 && bytes[1] > 0);
}

/* ---- rooms ---- */

/* A holder of so much on each device. */
struct tenant {
    enum room_hold hold;
    int64_t bytes[SPLIT_PARTS];
    char name[NAME_BYTES];
};

struct scene {
    struct tenant tenants[HOLDER_MAX_COUNT];
    size_t tenant_count;
    bool are_idle_alike; /* else the first one is idle for longest */
    struct room_holder holders[SPLIT_PARTS][HOLDER_MAX_COUNT];
    struct room rooms[SPLIT_PARTS];
};

static void scene_furnish(struct scene *scene)
{
    for (int part = 0; part < SPLIT_PARTS; part++) {
        struct room *room = &scene->rooms[part];

        *room = (struct room){.budget_bytes = BUDGET_BYTES,
                              .available_bytes = ROOM_UNLIMITED,
                              .holders = scene->holders[part]};
        for (size_t i = 0; i < scene->tenant_count; i++) {
            struct tenant *tenant = &scene->tenants[i];

            (void)snprintf(tenant->name, NAME_BYTES, "t%zu", i);
            if (tenant->bytes[part] > 0)
                room->holders[room->holder_count++] =
                    (struct room_holder){.name = tenant->name,
                                         .hold = tenant->hold,
                                         .bytes = tenant->bytes[part],
                                         .idle_since_ms = scene->are_idle_alike ? 0 : (int64_t)i};
        }
    }
}

static bool is_evicted(const struct scene *scene, const char *name)
{
    for (int part = 0; part < SPLIT_PARTS; part++) {
        for (size_t i = 0; i < scene->rooms[part].holder_count; i++) {
            const struct room_holder *holder = &scene->holders[part][i];

            if (holder->is_evicted && strcmp(holder->name, name) == 0)
                return true;
        }
    }
    return false;
}

static void each_room_has_its_part(void **state)
{
    struct scene scene = {.tenants = {{ROOM_KEPT, {40, 0}}}, .tenant_count = 1};

    scene_furnish(&scene);
    assert_int_equal(split_judge(&TEN, scene.rooms), ROOM_GO);
    assert_int_equal(scene.rooms[0].need_bytes, 37);
    assert_int_equal(scene.rooms[1].need_bytes, 75);
}

static void what_is_needed_on_each_is_evicted_there(void **state)
{
    const struct split_need large = {.layer_count = 10, .layers_bytes = 150, .part_bytes = {7, 5}};
    struct scene scene = {.tenants = {{ROOM_IDLE, {60, 0}}, {ROOM_IDLE, {0, 60}}},
                          .tenant_count = 2};

    scene_furnish(&scene);
    assert_int_equal(split_judge(&large, scene.rooms), ROOM_EVICT);
    assert_true(is_evicted(&scene, "t0"));
    assert_true(is_evicted(&scene, "t1"));
    /* Who works on one of them is waited for, and nobody is evicted for nothing. */
    scene.tenants[1].hold = ROOM_BUSY;
    scene_furnish(&scene);
    assert_int_equal(split_judge(&large, scene.rooms), ROOM_WAIT_BUSY);
    scene.tenants[1].hold = ROOM_KEPT;
    scene_furnish(&scene);
    assert_int_equal(split_judge(&large, scene.rooms), ROOM_NONE);
}

/* What is taken from one device need not be taken from the other: 100 and 110 are enough for 162.
 */
static void the_parts_are_such_that_few_go(void **state)
{
    const struct split_need large = {.layer_count = 10, .layers_bytes = 150, .part_bytes = {7, 5}};
    struct scene scene = {
        .tenants = {{ROOM_IDLE, {60, 0}}, {ROOM_IDLE, {0, 30}}, {ROOM_IDLE, {0, 31}}},
        .tenant_count = 3};

    scene_furnish(&scene);
    assert_int_equal(split_judge(&large, scene.rooms), ROOM_EVICT);
    assert_true(is_evicted(&scene, "t0"));
    assert_true(is_evicted(&scene, "t1"));
    assert_false(is_evicted(&scene, "t2"));
}

/* 100 and 90 are enough for 162: of three that became idle at once the one in the middle stays. */
static void who_became_idle_at_the_same_time_may_stay_each(void **state)
{
    const struct split_need large = {.layer_count = 10, .layers_bytes = 150, .part_bytes = {7, 5}};
    struct scene scene = {
        .tenants = {{ROOM_IDLE, {60, 0}}, {ROOM_IDLE, {0, 10}}, {ROOM_IDLE, {0, 60}}},
        .tenant_count = 3,
        .are_idle_alike = true};

    scene_furnish(&scene);
    assert_int_equal(split_judge(&large, scene.rooms), ROOM_EVICT);
    assert_true(is_evicted(&scene, "t0"));
    assert_false(is_evicted(&scene, "t1"));
    assert_true(is_evicted(&scene, "t2"));
}

/* One that is divided itself makes room on both by its one end. */
static void who_leaves_the_first_has_left_the_second(void **state)
{
    struct scene scene = {.tenants = {{ROOM_IDLE, {60, 50}}, {ROOM_IDLE, {0, 10}}},
                          .tenant_count = 2};

    scene_furnish(&scene);
    assert_int_equal(split_judge(&TEN, scene.rooms), ROOM_EVICT);
    assert_true(is_evicted(&scene, "t0"));
    assert_false(is_evicted(&scene, "t1"));
}

/* While the memory of those that were evicted is not seen to be back, nobody else is evicted. */
static void what_was_evicted_must_be_seen_to_give_back(void **state)
{
    static const enum room_verdict VERDICTS[] = {
        [ROOM_NOTHING_EVICTED] = ROOM_EVICT,
        [ROOM_RETURNING] = ROOM_WAIT_RETURN,
        [ROOM_RETURN_OVERDUE] = ROOM_NONE,
    };

    for (size_t i = 0; i < ARRAY_COUNT(VERDICTS); i++) {
        struct scene scene = {.tenants = {{ROOM_IDLE, {30, 0}}}, .tenant_count = 1};

        scene_furnish(&scene);
        for (int part = 0; part < SPLIT_PARTS; part++) {
            scene.rooms[part].available_bytes = part == 0 ? 40 : 60;
            scene.rooms[part].returning = (enum room_return)i;
        }
        assert_int_equal(split_judge(&TEN, scene.rooms), VERDICTS[i]);
    }
}

/* It fits by what there is, though nothing of what was measured says so yet. */
static void memory_that_has_to_come_back_is_waited_for(void **state)
{
    struct scene scene = {0};

    scene_furnish(&scene);
    for (int part = 0; part < SPLIT_PARTS; part++) {
        scene.rooms[part].available_bytes = 10;
        scene.rooms[part].returning = ROOM_RETURNING;
    }
    assert_int_equal(split_judge(&TEN, scene.rooms), ROOM_WAIT_RETURN);
}

/* ---- all of them ---- */

static uint32_t next_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223; /* Knuth's, good enough to mix cases */
    return (*seed >> 16) % below;
}

static struct split_need random_need(uint32_t *seed)
{
    int64_t count = 2 + next_random(seed, 12);

    return (struct split_need){.layer_count = count,
                               .layers_bytes = count * (1 + next_random(seed, 12)),
                               .part_bytes = {next_random(seed, 20), next_random(seed, 20)}};
}

static void a_plan_is_found_if_there_is_one(void **state)
{
    uint32_t seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        struct split_need need = random_need(&seed);
        int64_t layer_bytes = need.layers_bytes / need.layer_count;
        int64_t frees[SPLIT_PARTS] = {next_random(&seed, 120), next_random(&seed, 120)};
        int64_t bytes[SPLIT_PARTS];
        bool there_is = false;

        for (int64_t n = 1; n < need.layer_count; n++)
            there_is =
                there_is || (need.part_bytes[0] + n * layer_bytes <= frees[0] &&
                             need.part_bytes[1] + (need.layer_count - n) * layer_bytes <= frees[1]);
        assert_int_equal(split_plan(&need, frees, bytes), there_is);
        assert_int_equal(bytes[0] + bytes[1],
                         need.layers_bytes + need.part_bytes[0] + need.part_bytes[1]);
        assert_true(!there_is || (bytes[0] <= frees[0] && bytes[1] <= frees[1]));
    }
}

/* The scene without those that HOLDS names, and those that are evicted. */
static enum room_verdict judge_without(const struct scene *scene, const struct split_need *need,
                                       unsigned holds)
{
    struct scene rest = {0};

    for (size_t i = 0; i < scene->tenant_count; i++) {
        const struct tenant *tenant = &scene->tenants[i];

        if ((holds >> tenant->hold & 1) == 0 && (holds != 0 || !is_evicted(scene, tenant->name)))
            rest.tenants[rest.tenant_count++] = *tenant;
    }
    scene_furnish(&rest);
    return split_judge(need, rest.rooms);
}

/* Enough go, and without any one of them there would not be enough. */
static void assert_chosen_well(const struct scene *scene, const struct split_need *need)
{
    enum room_verdict then = judge_without(scene, need, 0);

    assert_true(then == ROOM_GO || then == ROOM_WAIT_LEAVING);
    for (size_t i = 0; i < scene->tenant_count; i++) {
        struct scene but_one = *scene;

        if (!is_evicted(scene, scene->tenants[i].name))
            continue;
        assert_int_equal(scene->tenants[i].hold, ROOM_IDLE);
        but_one.tenants[i].hold = ROOM_KEPT;
        but_one.tenants[i].name[0] = '-'; /* it is not evicted */
        then = judge_without(&but_one, need, 0);
        assert_true(then != ROOM_GO && then != ROOM_WAIT_LEAVING);
    }
}

static void in_every_pair_of_rooms_what_is_done_is_enough_and_needed(void **state)
{
    enum { ALL_BUT_KEPT = 1u << ROOM_IDLE | 1u << ROOM_BUSY | 1u << ROOM_LEAVING };
    unsigned seen[ROOM_NONE + 1] = {0};
    uint32_t seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        struct split_need need = random_need(&seed);
        struct scene scene = {.tenant_count = next_random(&seed, HOLDER_MAX_COUNT + 1),
                              .are_idle_alike = round % 2 == 1};
        enum room_verdict verdict = ROOM_GO;

        for (size_t i = 0; i < scene.tenant_count; i++)
            scene.tenants[i] =
                (struct tenant){.hold = (enum room_hold)next_random(&seed, ROOM_HOLD_COUNT),
                                .bytes = {next_random(&seed, 2) * next_random(&seed, 50),
                                          next_random(&seed, 2) * next_random(&seed, 50)}};
        scene_furnish(&scene);
        verdict = split_judge(&need, scene.rooms);
        seen[verdict]++;
        if (verdict == ROOM_EVICT)
            assert_chosen_well(&scene, &need);
        assert_int_equal(judge_without(&scene, &need, ALL_BUT_KEPT) == ROOM_GO,
                         verdict != ROOM_NONE);
    }
    assert_true(seen[ROOM_GO] > 0 && seen[ROOM_EVICT] > 0 && seen[ROOM_WAIT_LEAVING] > 0 &&
                seen[ROOM_WAIT_BUSY] > 0 && seen[ROOM_NONE] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gives_the_same_share_of_what_it_has),
        cmocka_unit_test(one_layer_is_not_divided),
        cmocka_unit_test(numbers_that_cannot_be_do_not_overflow),
        cmocka_unit_test(each_room_has_its_part),
        cmocka_unit_test(what_is_needed_on_each_is_evicted_there),
        cmocka_unit_test(the_parts_are_such_that_few_go),
        cmocka_unit_test(who_became_idle_at_the_same_time_may_stay_each),
        cmocka_unit_test(who_leaves_the_first_has_left_the_second),
        cmocka_unit_test(what_was_evicted_must_be_seen_to_give_back),
        cmocka_unit_test(memory_that_has_to_come_back_is_waited_for),
        cmocka_unit_test(a_plan_is_found_if_there_is_one),
        cmocka_unit_test(in_every_pair_of_rooms_what_is_done_is_enough_and_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Random histories of workers on two devices, each of which must keep the rules of
 * tests/history/rules.c. RBEE_HISTORIES: how many. RBEE_SEED: this one alone, told step by step. */
#include "tests/history/rules.h"
#include "tests/history/world.h"
#include "tests/unit/recovery_defaults.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    HISTORIES = 50000,
    STEPS_MAX_COUNT = 80,
    /* Longest way to where all is well: the highest open times one after the other, each with the
     * loads before it. */
    RECOVERY_STEPS_MAX_COUNT = 5000,
};

static void history_person(struct world *world, struct actor *actor)
{
    switch (world_draw(world, 11)) {
    case 0:
    case 1:
    case 2:
    case 3:
        world_start(actor);
        break;
    case 4:
        world_stop(actor, world_chance(world, 20));
        break;
    case 5:
        world_hold(actor);
        break;
    case 6:
    case 7:
    case 8:
        world_release(actor);
        break;
    case 9:
        world_reset(actor);
        break;
    default:
        if (world_chance(world, 30))
            world_force_open(actor);
        else
            world_change_model(actor);
        break;
    }
}

static void history_rare(struct world *world)
{
    struct station *gpu = &world->stations[WORLD_STATIONS - 1];

    switch (world_draw(world, 6)) {
    case 0:
        world_restore(world, true);
        break;
    case 1:
        world_station_reset(world, gpu);
        break;
    case 2:
        if (world_chance(world, 30))
            world_station_force_open(world, gpu);
        break;
    default:
        world_restore(world, false);
        break;
    }
}

/* To the next moment at which something happens, or somewhere else; timers may be late, as after a
 * sleep of the machine. */
static void history_time(struct world *world)
{
    int64_t next_ms = world_next_ms(world);
    int64_t to_ms = world->now_ms + world_draw(world, world_chance(world, 10) ? HOUR_MS : 60000);

    if (next_ms != INT64_MAX && world_chance(world, 80)) {
        world_advance(world, next_ms);
        return;
    }
    while (world_next_ms(world) < to_ms && world_chance(world, 95))
        world_advance(world, world_next_ms(world));
    world_advance(world, to_ms);
}

static void history_step(struct world *world)
{
    int64_t what = world_draw(world, 100);
    struct actor *actor = &world->actors[world_draw(world, WORLD_ACTORS)];

    if (what < 70)
        history_time(world);
    else if (what < 82)
        world_request(actor);
    else if (what < 96)
        history_person(world, actor);
    else if (what < 98)
        history_rare(world);
    else
        actor->badness_pct = world_draw(world, 101);
    world_advance(world, world->now_ms);
    rules_check(world);
}

/* From here on every process that is made is a good one: whatever has happened, time and requests
 * lead to where all is well. */
static void history_recovers(struct world *world)
{
    int steps = 0;

    world_tell(world, NULL, "all is well from here");
    for (int i = 0; i < WORLD_ACTORS; i++)
        world->actors[i].badness_pct = 0;
    for (steps = 0; steps < RECOVERY_STEPS_MAX_COUNT && !rules_all_is_well(world); steps++) {
        int64_t next_ms = world->now_ms + MINUTE_MS;

        for (int i = 0; i < WORLD_ACTORS; i++)
            world_request(&world->actors[i]);
        if (world_next_ms(world) < next_ms)
            next_ms = world_next_ms(world);
        world_advance(world, next_ms);
        rules_check(world);
    }
    rules_expect(world, steps < RECOVERY_STEPS_MAX_COUNT,
                 "no breaker stays open for good while workers are well");
}

static void history_run(uint64_t seed, bool is_told, struct rules *total)
{
    struct rules rules;
    struct world world;
    int64_t steps = 0;

    rules_init(&rules);
    world_init(&world, seed, &rules);
    world.is_told = is_told;
    steps = 1 + world_draw(&world, STEPS_MAX_COUNT);
    for (int64_t i = 0; i < steps; i++)
        history_step(&world);
    history_recovers(&world);
    total->start_count += rules.start_count;
    total->failure_count += rules.failure_count;
    total->open_count += rules.open_count;
}

static uint64_t history_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void every_history_keeps_the_rules(void **state)
{
    uint64_t count = history_number("RBEE_HISTORIES", HISTORIES);
    struct rules total = {0};

    if (getenv("RBEE_SEED") != NULL) {
        history_run(history_number("RBEE_SEED", 0), true, &total);
        return;
    }
    for (uint64_t seed = 1; seed <= count; seed++)
        history_run(seed, false, &total);
    print_message("# %" PRIu64 " histories, %" PRIu64 " starts, %" PRIu64 " failures, %" PRIu64
                  " openings\n",
                  count, total.start_count, total.failure_count, total.open_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_keeps_the_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

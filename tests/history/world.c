/* Owns the beginnings of a history: its chance, its policies, and what a new supervisor finds. */
#include "tests/history/world.h"

#include "common/mem.h"
#include "tests/history/rules.h"
#include "tests/unit/recovery_defaults.h"

#include <stdio.h>

/* ---- chance ---- */

/* SplitMix64. */
uint32_t world_random(struct world *world)
{
    uint64_t z = world->random += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

int64_t world_draw(struct world *world, int64_t count)
{
    return (int64_t)(((uint64_t)world_random(world) * (uint64_t)count) >> 32);
}

bool world_chance(struct world *world, int64_t pct)
{
    return world_draw(world, 100) < pct;
}

/* Most are short, some are very long. */
int64_t world_some_ms(struct world *world)
{
    static const int64_t TOPS_MS[] = {1, 1000, 10000, 90000, 400000, 4000000};

    return world_draw(world, TOPS_MS[world_draw(world, ARRAY_COUNT(TOPS_MS))]);
}

void world_tell(const struct world *world, const struct actor *actor, const char *what)
{
    const struct recovery *recovery = NULL;

    if (!world->is_told)
        return;
    if (actor == NULL) {
        (void)printf("%12lld          %s\n", (long long)world->now_ms, what);
        return;
    }
    recovery = &actor->recovery;
    (void)printf("%12lld actor %d  %-16s %-9s %s attempt=%lld due=%lld until=%lld fault=%s\n",
                 (long long)world->now_ms, actor->index, what, life_state_name(actor->life),
                 breaker_state_name(recovery->breaker.state), (long long)recovery->restart.attempt,
                 (long long)recovery->due_ms, (long long)recovery->breaker.until_ms,
                 fault_name(recovery->fault));
}

/* ---- beginnings ---- */

static void breaker_shift(struct breaker *breaker, int64_t ms)
{
    breaker->until_ms -= ms;
    if (breaker->window_from_ms != INT64_MIN)
        breaker->window_from_ms -= ms;
    if (breaker->flap_from_ms != INT64_MIN)
        breaker->flap_from_ms -= ms;
    for (size_t i = 0; i < BREAKER_FAILURES_MAX_COUNT; i++)
        breaker->failures[i].at_ms -= ms;
}

/* After a boot the monotonic clock begins anew: what was stored lies before it. */
static void world_shift(struct world *world, int64_t ms)
{
    world->now_ms -= ms;
    rules_shift(world, ms);
    for (int i = 0; i < WORLD_ACTORS; i++) {
        world->actors[i].recovery.due_ms -= ms;
        breaker_shift(&world->actors[i].recovery.breaker, ms);
    }
    for (int i = 0; i < WORLD_STATIONS; i++)
        breaker_shift(&world->stations[i].breaker, ms);
}

/* What stored.c keeps of a worker; its process is gone. */
static void actor_reload(struct actor *actor, bool is_new_boot)
{
    const struct recovery stored = actor->recovery;
    struct world *world = actor->world;
    struct recovery *recovery = &actor->recovery;

    recovery_init(recovery);
    recovery->restart = stored.restart;
    recovery->breaker = stored.breaker;
    recovery->is_held = stored.is_held;
    recovery->has_failed_for_good = stored.has_failed_for_good;
    recovery->is_reduced = stored.is_reduced;
    recovery->is_waiting = stored.is_waiting;
    recovery->owes_restart = stored.owes_restart;
    recovery->due_ms = stored.due_ms;
    recovery->fault = stored.fault;
    (void)breaker_on_restored(&recovery->breaker, &world->policy.breaker, is_new_boot,
                              world->now_ms, world_random(world));
}

void world_restore(struct world *world, bool is_new_boot)
{
    world_tell(world, NULL, is_new_boot ? "reboot" : "supervisor killed");
    if (is_new_boot)
        world_shift(world, world->now_ms - world_draw(world, MINUTE_MS));
    for (int i = 0; i < WORLD_STATIONS; i++) {
        struct station *station = &world->stations[i];

        station->guard = (struct guard){0};
        station->loading = station->probe = NULL;
        station->lost_count = 0;
        (void)breaker_on_restored(&station->breaker, &world->station_policy, is_new_boot,
                                  world->now_ms, world_random(world));
    }
    for (int i = 0; i < WORLD_ACTORS; i++) {
        struct actor *actor = &world->actors[i];

        actor->script = (struct script){0};
        actor->starts_again = false;
        actor->request_until_ms = 0;
        actor_postpone_none(actor);
        actor->life = LIFE_DOWN;
        actor_reload(actor, is_new_boot);
    }
    rules_on_restored(world, is_new_boot);
    for (int i = 0; i < WORLD_ACTORS; i++)
        actor_come_to_rest(&world->actors[i]);
}

static int64_t world_pick(struct world *world, const int64_t *values, size_t count)
{
    return values[world_draw(world, (int64_t)count)];
}

#define PICK(world, ...)                                                                           \
    world_pick((world), (const int64_t[]){__VA_ARGS__},                                            \
               sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* Half of the histories run at the defaults. */
static void world_choose_policy(struct world *world)
{
    struct restart_policy *restart = &world->policy.restart;
    struct breaker_policy *breaker = &world->policy.breaker;

    world->policy = recovery_defaults();
    world->guard_policy = guard_defaults();
    if (world_chance(world, 50)) {
        restart->base_ms = PICK(world, 0, 100, 1000, 90000);
        restart->jitter_pct = breaker->jitter_pct = PICK(world, 0, 20, 100);
        restart->max_attempts = PICK(world, 0, 1, 3, 10);
        restart->stable_after_ms = PICK(world, 100, 30000, 300000);
        breaker->failures = PICK(world, 0, 1, 5, 64);
        breaker->window_ms = PICK(world, 1000, 300000, HOUR_MS);
        breaker->open_time_ms = PICK(world, 1000, 300000, 2 * HOUR_MS);
        breaker->probe_stable_ms = PICK(world, 100, 60000, 600000);
        breaker->flap_failures = PICK(world, 0, 2, 10);
        world->guard_policy.starts = PICK(world, 0, 1, 10, 64);
    }
    world->station_policy = *breaker;
    world->station_policy.flap_failures = 0;
    world->station_policy.gpu_faults = 2;
}

void world_init(struct world *world, uint64_t seed, struct rules *rules)
{
    *world = (struct world){.seed = seed, .random = seed, .now_ms = HOUR_MS, .rules = rules};
    world_choose_policy(world);
    for (int i = 0; i < WORLD_STATIONS; i++) {
        world->stations[i].is_gpu = i > 0;
        breaker_init(&world->stations[i].breaker);
    }
    for (int i = 0; i < WORLD_ACTORS; i++) {
        struct actor *actor = &world->actors[i];

        actor->index = i;
        actor->world = world;
        /* One on the CPU, the others on the GPU. */
        actor->station = &world->stations[i == 0 ? 0 : 1];
        recovery_init(&actor->recovery);
        actor_postpone_none(actor);
        actor->badness_pct = PICK(world, 20, 60, 100);
    }
}

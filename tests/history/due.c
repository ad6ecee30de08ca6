/* Owns the time of a history: when something happens by itself, and that it does. */
#include "tests/history/world.h"

#include "tests/history/rules.h"

#include <assert.h>

static const int64_t NEVER_MS = INT64_MAX;

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t actor_request_due_ms(const struct actor *actor)
{
    return actor->request_until_ms == 0 ? NEVER_MS : actor->request_until_ms;
}

static int64_t actor_open_due_ms(const struct actor *actor)
{
    const struct breaker *breaker = &actor->recovery.breaker;

    if (breaker->state == BREAKER_OPEN)
        return breaker->until_ms;
    if (actor->postponed.answer == STATION_STORM)
        return actor->postponed.until_ms;
    return NEVER_MS;
}

static int64_t actor_ready_due_ms(const struct actor *actor)
{
    const struct script *script = &actor->script;
    const struct world *world = actor->world;
    const struct breaker *breaker = &actor->station->breaker;
    int64_t next_ms = recovery_next_ms(&actor->recovery, &world->policy);

    if (actor->station->probe == actor)
        next_ms = earlier(next_ms, script->ready_ms + world->station_policy.probe_stable_ms);
    if (breaker->state == BREAKER_CLOSED && breaker->open_time_ms > 0)
        next_ms = earlier(next_ms, script->ready_ms + world->policy.restart.stable_after_ms);
    next_ms = earlier(next_ms, script->hung_ms);
    return earlier(next_ms, script->end_ms);
}

static int64_t actor_due_ms(const struct actor *actor)
{
    const struct script *script = &actor->script;

    switch (actor->life) {
    case LIFE_STARTING:
        return earlier(earlier(script->loaded_ms, script->overdue_ms), script->end_ms);
    case LIFE_READY:
        return actor_ready_due_ms(actor);
    case LIFE_DRAINING:
        return earlier(earlier(script->drained_ms, script->hung_ms), script->end_ms);
    case LIFE_STOPPING:
        return earlier(script->grace_ms, script->end_ms);
    case LIFE_LOST:
        return script->end_ms;
    case LIFE_WAITING:
        return actor->postponed.answer == STATION_GO
                   ? recovery_next_ms(&actor->recovery, &actor->world->policy)
                   : actor->postponed.until_ms;
    case LIFE_OPEN:
        return actor_open_due_ms(actor);
    case LIFE_DOWN:
    case LIFE_HELD:
    case LIFE_FAILED:
    case LIFE_STATE_COUNT:
        break;
    }
    return NEVER_MS;
}

static void actor_exits(struct actor *actor)
{
    struct fault_signs signs = script_signs(actor->world, actor);
    enum fault_class fault = fault_classify(&signs);

    assert(actor->script.is_told_to_end ? fault == actor->script.judged
                                        : fault == actor->script.ends_by);
    actor_ended(actor, fault);
}

static void actor_on_stable_time(struct actor *actor)
{
    struct world *world = actor->world;
    struct station *station = actor->station;
    int64_t ready_for_ms = world->now_ms - actor->script.ready_ms;

    recovery_tick(&actor->recovery, &world->policy, world->now_ms);
    rules_see(world);
    if (station->probe == actor && ready_for_ms >= world->station_policy.probe_stable_ms &&
        breaker_on_probe_stable(&station->breaker, world->now_ms))
        station_breaker_changed(world, station);
    if (station->breaker.state == BREAKER_CLOSED &&
        ready_for_ms >= world->policy.restart.stable_after_ms)
        breaker_on_stable(&station->breaker);
}

static void actor_on_work_time(struct actor *actor)
{
    struct script *script = &actor->script;

    if (script->hung_ms <= actor->world->now_ms) {
        script->judged = FAULT_HANG;
        actor_step(actor, LIFE_ON_HUNG);
    } else if (script->drained_ms <= actor->world->now_ms) {
        actor_step(actor, LIFE_ON_DRAINED);
    }
}

static void actor_on_load_time(struct actor *actor)
{
    if (actor->script.overdue_ms <= actor->world->now_ms) {
        actor->script.judged = FAULT_LOAD_TIMEOUT;
        actor_step(actor, LIFE_ON_LOAD_OVERDUE);
    } else {
        actor_step(actor, LIFE_ON_LOADED);
    }
}

static void actor_on_stop_time(struct actor *actor)
{
    if (actor->script.is_killed)
        actor_step(actor, LIFE_ON_KILL_OVER);
    else
        actor_step(actor, LIFE_ON_GRACE_OVER);
}

static void actor_on_open_time(struct actor *actor)
{
    recovery_tick(&actor->recovery, &actor->world->policy, actor->world->now_ms);
    if (actor_is_wanted(actor))
        actor_wait_is_over(actor);
    else
        actor_postpone_none(actor);
}

static void actor_on_time(struct actor *actor)
{
    struct world *world = actor->world;

    if (actor->life == LIFE_READY)
        actor_on_stable_time(actor);
    if (life_has_process(actor->life) && actor->script.end_ms <= world->now_ms) {
        actor_exits(actor);
        return;
    }
    switch (actor->life) {
    case LIFE_STARTING:
        actor_on_load_time(actor);
        break;
    case LIFE_READY:
    case LIFE_DRAINING:
        actor_on_work_time(actor);
        break;
    case LIFE_STOPPING:
        actor_on_stop_time(actor);
        break;
    case LIFE_WAITING:
        recovery_tick(&actor->recovery, &world->policy, world->now_ms);
        actor_wait_is_over(actor);
        break;
    case LIFE_OPEN:
        actor_on_open_time(actor);
        break;
    default:
        break;
    }
}

int64_t world_next_ms(const struct world *world)
{
    int64_t next_ms = NEVER_MS;

    for (int i = 0; i < WORLD_ACTORS; i++) {
        next_ms = earlier(next_ms, actor_due_ms(&world->actors[i]));
        next_ms = earlier(next_ms, actor_request_due_ms(&world->actors[i]));
    }
    for (int i = 0; i < WORLD_STATIONS; i++) {
        if (world->stations[i].breaker.state == BREAKER_OPEN)
            next_ms = earlier(next_ms, world->stations[i].breaker.until_ms);
    }
    return next_ms;
}

static void world_fire(struct world *world)
{
    for (int i = 0; i < WORLD_STATIONS; i++) {
        if (breaker_tick(&world->stations[i].breaker, world->now_ms))
            station_breaker_changed(world, &world->stations[i]);
    }
    for (int i = 0; i < WORLD_ACTORS; i++) {
        struct actor *actor = &world->actors[i];

        if (actor_due_ms(actor) <= world->now_ms) {
            actor_on_time(actor);
            rules_see(world);
        }
        if (actor_request_due_ms(actor) <= world->now_ms)
            actor->request_until_ms = 0;
    }
}

void world_advance(struct world *world, int64_t now_ms)
{
    /* More rounds than that at one moment are a timer that does nothing. */
    enum { ROUNDS_MAX_COUNT = 1000 };

    world->now_ms = now_ms;
    for (int round = 0; world_next_ms(world) <= now_ms; round++) {
        assert(round < ROUNDS_MAX_COUNT);
        world_fire(world);
    }
}

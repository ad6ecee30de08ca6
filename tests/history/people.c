/* Owns what people and requests do in a history. */
#include "tests/history/world.h"

#include "tests/history/rules.h"

enum { REQUEST_MS = 60000 };

void world_request(struct actor *actor)
{
    bool may_try = actor->life == LIFE_DOWN ||
                   (actor->life == LIFE_OPEN && actor->postponed.answer == STATION_GO &&
                    recovery_allows(&actor->recovery, RECOVERY_REQUEST));

    world_tell(actor->world, actor, "request");
    if (actor->life == LIFE_STARTING && actor->recovery.breaker.has_probe)
        return; /* a probe is for the one that asked for it */
    if (!may_try && actor->life != LIFE_STARTING && actor->life != LIFE_WAITING)
        return;
    actor->request_until_ms = actor->world->now_ms + REQUEST_MS;
    if (may_try)
        actor_try_start(actor, RECOVERY_REQUEST);
}

void world_start(struct actor *actor)
{
    world_tell(actor->world, actor, "person: start");
    if (actor->life == LIFE_LOST || actor->life == LIFE_HELD ||
        (actor->life == LIFE_OPEN && (!recovery_allows(&actor->recovery, RECOVERY_PERSON) ||
                                      actor->postponed.answer == STATION_OPEN)))
        return;
    actor->wanted_up = true;
    if (actor->life == LIFE_DRAINING || actor->life == LIFE_STOPPING) {
        actor->starts_again = true;
        actor->again_asker = RECOVERY_PERSON;
        return;
    }
    actor_try_start(actor, RECOVERY_PERSON);
}

void world_stop(struct actor *actor, bool force)
{
    world_tell(actor->world, actor, force ? "person: force" : "person: stop");
    rules_on_person(actor->world, actor);
    actor->wanted_up = false;
    actor->starts_again = false;
    if (actor->life == LIFE_WAITING) {
        recovery_on_lapse(&actor->recovery);
        actor_postpone_none(actor);
    }
    actor_step(actor, force ? LIFE_ON_FORCE : LIFE_ON_STOP);
    if (actor->life == LIFE_DOWN)
        actor_come_to_rest(actor);
}

void world_hold(struct actor *actor)
{
    world_tell(actor->world, actor, "person: hold");
    rules_on_person(actor->world, actor);
    recovery_hold(&actor->recovery);
    actor->starts_again = false;
    if (life_has_process(actor->life)) {
        actor_step(actor, LIFE_ON_STOP);
        return;
    }
    actor_postpone_none(actor);
    actor_step(actor, LIFE_ON_HOLD);
}

void world_release(struct actor *actor)
{
    world_tell(actor->world, actor, "person: release");
    if (!actor->recovery.is_held)
        return;
    recovery_release(&actor->recovery);
    if (actor->life == LIFE_HELD) {
        actor_step(actor, LIFE_ON_RELEASED);
        actor_come_to_rest(actor);
    } else if (actor->wanted_up) {
        actor->starts_again = true;
        actor->again_asker = RECOVERY_OURSELVES;
    }
}

void world_reset(struct actor *actor)
{
    world_tell(actor->world, actor, "person: reset");
    recovery_reset(&actor->recovery, actor->world->now_ms);
    rules_on_reset(actor->world, actor);
    actor_postpone_none(actor);
    if (actor->life == LIFE_OPEN || actor->life == LIFE_FAILED) {
        actor_step(actor, LIFE_ON_RESET);
        actor_come_to_rest(actor);
    } else if (actor->life == LIFE_WAITING) {
        actor_wait_is_over(actor);
    }
}

void world_force_open(struct actor *actor)
{
    world_tell(actor->world, actor, "person: open");
    rules_on_person(actor->world, actor);
    recovery_force_open(&actor->recovery);
    if (!life_has_process(actor->life))
        actor_postpone_none(actor);
    actor_step(actor, LIFE_ON_TRIPPED);
}

void world_change_model(struct actor *actor)
{
    if (actor->life != LIFE_FAILED)
        return;
    world_tell(actor->world, actor, "model changed");
    recovery_on_model_changed(&actor->recovery);
    rules_on_new_incident(actor->world, actor);
    actor_step(actor, LIFE_ON_MODEL_CHANGED);
    actor_come_to_rest(actor);
}

void world_station_reset(struct world *world, struct station *station)
{
    world_tell(world, NULL, "person: reset of the device");
    (void)breaker_reset(&station->breaker, world->now_ms);
    if (station->is_gpu)
        rules_on_reset(world, NULL);
    station_breaker_changed(world, station);
}

void world_station_force_open(struct world *world, struct station *station)
{
    world_tell(world, NULL, "person: open of the device");
    (void)breaker_force_open(&station->breaker);
    station_breaker_changed(world, station);
}

/* Owns the devices of a history: who may start there, and what becomes of their breakers. */
#include "tests/history/world.h"

#include "tests/history/rules.h"

static const int64_t NEVER_MS = INT64_MAX;

enum station_answer world_ask(const struct actor *actor, int64_t *out_until_ms)
{
    const struct station *station = actor->station;
    const struct world *world = actor->world;

    *out_until_ms = NEVER_MS;
    if (station->lost_count > 0 || !breaker_allows_start(&station->breaker))
        return STATION_OPEN;
    switch (guard_ask(&station->guard, &world->guard_policy, world->now_ms, out_until_ms)) {
    case GUARD_STORM:
        return STATION_STORM;
    case GUARD_LOADING:
        return STATION_LOADING;
    case GUARD_GO:
        break;
    }
    return STATION_GO;
}

static struct actor *station_next(struct world *world, const struct station *station,
                                  enum station_answer answer)
{
    struct actor *first = NULL;

    for (int i = 0; i < WORLD_ACTORS; i++) {
        struct actor *actor = &world->actors[i];

        if (actor->station == station && !life_has_process(actor->life) &&
            actor->postponed.answer == answer &&
            (first == NULL || actor->postponed.turn < first->postponed.turn))
            first = actor;
    }
    return first;
}

static void station_changed(struct world *world, struct station *station)
{
    struct actor *actor = NULL;

    while (station->lost_count == 0 && breaker_allows_start(&station->breaker) &&
           (actor = station_next(world, station, STATION_OPEN)) != NULL) {
        actor_postpone_none(actor);
        if (actor->recovery.breaker.state == BREAKER_CLOSED)
            actor_step(actor, LIFE_ON_RESET);
        actor_come_to_rest(actor);
    }
    while (station->loading == NULL &&
           (actor = station_next(world, station, STATION_LOADING)) != NULL)
        actor_wait_is_over(actor);
}

void station_load_ends(struct actor *actor)
{
    struct station *station = actor->station;

    if (station->loading != actor)
        return;
    station->loading = NULL;
    guard_on_load_end(&station->guard);
    station_changed(actor->world, station);
}

void station_breaker_changed(struct world *world, struct station *station)
{
    if (station->breaker.state != BREAKER_HALF_OPEN)
        station->probe = NULL;
    world_tell(world, NULL, breaker_state_name(station->breaker.state));
    rules_see(world);
    station_changed(world, station);
}

void station_on_end(struct actor *actor, enum fault_class fault, int64_t load_ms)
{
    struct world *world = actor->world;
    struct station *station = actor->station;
    enum breaker_state before = station->breaker.state;
    const struct breaker_failure failure = {
        .at_ms = world->now_ms, .cycle_ms = load_ms, .fault = fault};

    if (station->is_gpu && fault_is_of_device(fault)) {
        rules_before_failure(world, NULL, &failure);
        (void)breaker_record(&station->breaker, &world->station_policy, &failure,
                             world_random(world));
        rules_after_failure(world, NULL, &failure);
    } else if (station->probe == actor) {
        (void)breaker_on_no_verdict(&station->breaker, &world->station_policy, world->now_ms,
                                    world_random(world));
    }
    if (station->breaker.state != before)
        station_breaker_changed(world, station);
    station_load_ends(actor);
}

void station_found(struct world *world, struct station *station)
{
    if (!station->is_gpu || --station->lost_count > 0)
        return;
    (void)breaker_trip(&station->breaker, &world->station_policy, BREAKER_BY_LOST, world->now_ms,
                       world_random(world));
    (void)breaker_half_open(&station->breaker, BREAKER_BY_LOST);
    station_breaker_changed(world, station);
}

/* Owns the life of a worker in a history: its steps, its starts and its ends. Decides nothing that
 * the supervisor's pure modules decide. */
#include "tests/history/world.h"

#include "tests/history/rules.h"

enum { TERM_GRACE_MS = 10000, KILL_GRACE_MS = 10000, DRAIN_MS = 30000 };

static const int64_t NEVER_MS = INT64_MAX;

/* ---- steps of a life ---- */

void actor_postpone_none(struct actor *actor)
{
    actor->postponed.answer = STATION_GO;
    actor->postponed.until_ms = NEVER_MS;
}

/* A stop, or an end without a restart: who waits is refused. */
static void actor_fail_waiting(struct actor *actor)
{
    if (!actor->starts_again)
        actor->request_until_ms = 0;
}

static void actor_settle(struct actor *actor)
{
    if (actor->life != LIFE_WAITING)
        actor_fail_waiting(actor);
    if (!actor->starts_again)
        return;
    actor->starts_again = false;
    /* A restart that is due is made when it is due; a person need not wait for that. */
    if (actor->life != LIFE_WAITING || actor->again_asker == RECOVERY_PERSON)
        actor_try_start(actor, actor->again_asker);
}

static void actor_kill(struct actor *actor)
{
    struct world *world = actor->world;
    struct script *script = &actor->script;

    actor_fail_waiting(actor);
    script->is_told_to_end = script->is_killed = true;
    script->grace_ms = world->now_ms + KILL_GRACE_MS;
    /* Some hang in the kernel for a while. */
    script->end_ms = world->now_ms + world_draw(world, world_chance(world, 5) ? 600000 : 100);
}

static void actor_terminate(struct actor *actor)
{
    struct world *world = actor->world;
    struct script *script = &actor->script;

    actor_fail_waiting(actor);
    script->is_told_to_end = true;
    script->grace_ms = world->now_ms + TERM_GRACE_MS;
    script->end_ms = world->now_ms + world_draw(world, 2 * TERM_GRACE_MS);
}

static void actor_act(struct actor *actor, enum life_action action)
{
    struct world *world = actor->world;

    switch (action) {
    case LIFE_NONE:
        break;
    case LIFE_SPAWN:
        actor->starts_again = false;
        script_write(actor);
        break;
    case LIFE_SERVE:
        actor->script.ready_ms = world->now_ms;
        actor->request_until_ms = 0;
        recovery_on_ready(&actor->recovery, world->now_ms);
        station_load_ends(actor);
        break;
    case LIFE_DRAIN:
        actor_fail_waiting(actor);
        actor->script.drained_ms = world->now_ms + world_draw(world, DRAIN_MS);
        break;
    case LIFE_TERMINATE:
        actor_terminate(actor);
        break;
    case LIFE_KILL:
        actor_kill(actor);
        break;
    case LIFE_GIVE_UP:
        actor->starts_again = false;
        actor->request_until_ms = 0;
        if (actor->station->is_gpu)
            actor->station->lost_count++;
        break;
    case LIFE_SETTLE:
        actor_settle(actor);
        break;
    case LIFE_REFUSE:
        actor->request_until_ms = 0;
        break;
    }
}

void actor_step(struct actor *actor, enum life_event event)
{
    const struct life_rule *rule = life_step(actor->life, event);

    if (rule == NULL)
        return;
    actor->life = rule->to;
    world_tell(actor->world, actor, life_event_name(event));
    actor_act(actor, rule->action);
}

/* ---- starts ---- */

static void actor_start_now(struct actor *actor, enum recovery_asker asker)
{
    static const enum life_event EVENTS[] = {[RECOVERY_PERSON] = LIFE_ON_START,
                                             [RECOVERY_REQUEST] = LIFE_ON_REQUESTED,
                                             [RECOVERY_OURSELVES] = LIFE_ON_RESTART};
    struct station *station = actor->station;

    rules_before_start(actor->world, actor, asker);
    actor_postpone_none(actor);
    recovery_on_start(&actor->recovery, asker);
    rules_after_start(actor->world, actor);
    guard_on_start(&station->guard, actor->world->now_ms);
    station->loading = actor;
    breaker_on_start(&station->breaker);
    if (station->breaker.has_probe)
        station->probe = actor;
    actor_step(actor, EVENTS[asker]);
}

void actor_try_start(struct actor *actor, enum recovery_asker asker)
{
    int64_t until_ms = NEVER_MS;
    enum station_answer answer = STATION_GO;

    if (life_has_process(actor->life) || !recovery_allows(&actor->recovery, asker))
        return;
    if (asker == RECOVERY_PERSON) {
        recovery_on_person(&actor->recovery);
        rules_on_new_incident(actor->world, actor);
        if (actor->life == LIFE_FAILED)
            actor_step(actor, LIFE_ON_RESET);
    }
    answer = world_ask(actor, &until_ms);
    if (answer == STATION_GO) {
        actor_start_now(actor, asker);
        return;
    }
    actor->postponed.answer = answer;
    actor->postponed.asker = asker;
    actor->postponed.until_ms = until_ms;
    actor->postponed.turn = ++actor->world->turns;
    actor_step(actor, answer == STATION_OPEN ? LIFE_ON_TRIPPED : LIFE_ON_POSTPONED);
    if (answer == STATION_OPEN)
        actor->request_until_ms = 0; /* refused: it does not wait for an open time */
}

/* ---- rest ---- */

bool actor_is_wanted(const struct actor *actor)
{
    return actor->wanted_up || actor->request_until_ms > 0 ||
           (actor->postponed.answer != STATION_GO && actor->postponed.asker == RECOVERY_PERSON);
}

/* From down to the way it rests in, and on if it is wanted. */
void actor_come_to_rest(struct actor *actor)
{
    static const enum life_event EVENTS[] = {[RECOVERY_WAITING] = LIFE_ON_POSTPONED,
                                             [RECOVERY_OPEN] = LIFE_ON_TRIPPED,
                                             [RECOVERY_HELD] = LIFE_ON_HOLD,
                                             [RECOVERY_FAILED] = LIFE_ON_WAS_FAILED};
    enum recovery_rest rest = recovery_rest(&actor->recovery);

    if (rest != RECOVERY_DOWN)
        actor_step(actor, EVENTS[rest]);
    if (actor->wanted_up && rest != RECOVERY_WAITING)
        actor_try_start(actor, RECOVERY_OURSELVES);
    else if (actor->request_until_ms > 0)
        actor_try_start(actor, RECOVERY_REQUEST);
}

/* What it waited for is there: the start is made, if anybody still wants it. */
void actor_wait_is_over(struct actor *actor)
{
    enum recovery_asker asker =
        actor->postponed.answer == STATION_GO ? RECOVERY_OURSELVES : actor->postponed.asker;
    bool is_wanted = actor_is_wanted(actor);

    actor_postpone_none(actor);
    if (is_wanted) {
        actor_try_start(actor, asker);
        return;
    }
    recovery_on_lapse(&actor->recovery);
    if (actor->life == LIFE_WAITING) {
        actor_step(actor, LIFE_ON_LAPSED);
        actor_come_to_rest(actor);
    }
}

/* ---- ends ---- */

void actor_ended(struct actor *actor, enum fault_class fault)
{
    static const enum life_event EVENTS[] = {[RECOVERY_DOWN] = LIFE_ON_EXITED,
                                             [RECOVERY_WAITING] = LIFE_ON_EXITED_RETRY,
                                             [RECOVERY_OPEN] = LIFE_ON_EXITED_OPEN,
                                             [RECOVERY_HELD] = LIFE_ON_EXITED_HELD,
                                             [RECOVERY_FAILED] = LIFE_ON_EXITED_FAILED};
    struct world *world = actor->world;
    struct script *script = &actor->script;
    int64_t end_ms = script->ready_ms == 0 ? world->now_ms : script->ready_ms;
    int64_t load_ms = end_ms - script->spawned_ms;
    const struct breaker_failure failure = {.at_ms = world->now_ms,
                                            .cycle_ms =
                                                load_ms + rules_delay_before_start_ms(world, actor),
                                            .fault = fault};
    bool was_lost = actor->life == LIFE_LOST;

    script->is_there = false;
    if (fault == FAULT_NONE) {
        recovery_on_end(&actor->recovery, &world->policy, world->now_ms, world_random(world));
    } else {
        rules_before_failure(world, actor, &failure);
        recovery_on_fault(&actor->recovery, &world->policy, fault, load_ms, world->now_ms,
                          world_random(world));
        rules_after_failure(world, actor, &failure);
    }
    station_on_end(actor, fault, load_ms);
    if (was_lost)
        station_found(world, actor->station);
    actor_step(actor, EVENTS[recovery_rest(&actor->recovery)]);
    /* Who wanted it up while it was lost has waited for this. */
    if (was_lost && actor->life == LIFE_DOWN && actor->wanted_up)
        actor_try_start(actor, RECOVERY_OURSELVES);
}

/* Owns the rules of test_histories.c. Reads the world, and changes nothing in it. */
#include "tests/history/rules.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PERCENT = 100 };

void rules_expect(const struct world *world, bool is_kept, const char *rule)
{
    if (is_kept)
        return;
    print_error("broken at %" PRId64 " ms: %s\ntold by: RBEE_SEED=%" PRIu64 "\n", world->now_ms,
                rule, world->seed);
    fail();
}

static void shadow_init(struct shadow *shadow)
{
    *shadow = (struct shadow){.window_from_ms = INT64_MIN, .flap_from_ms = INT64_MIN};
}

void rules_init(struct rules *rules)
{
    *rules = (struct rules){0};
    for (int i = 0; i < WORLD_ACTORS; i++) {
        shadow_init(&rules->actors[i].breaker);
        rules->actors[i].backed_off_until_ms = INT64_MIN;
    }
    shadow_init(&rules->station);
    for (int i = 0; i < WORLD_STATIONS; i++) {
        for (int k = 0; k < GUARD_STARTS_MAX_COUNT; k++)
            rules->starts_ms[i][k] = INT64_MIN / 2;
    }
}

static struct actor_rules *rules_of(const struct world *world, const struct actor *actor)
{
    return &world->rules->actors[actor->index];
}

static struct station *rules_gpu(struct world *world)
{
    return &world->stations[WORLD_STATIONS - 1];
}

/* ---- the breaker, reckoned anew ---- */

/* What a closing forgives is forgiven from the moment at which it is seen: the world shows itself
 * before every start and failure. */
static void shadow_see(const struct world *world, struct shadow *shadow,
                       const struct breaker *breaker)
{
    if (breaker->state == BREAKER_CLOSED && shadow->state == BREAKER_HALF_OPEN) {
        shadow->window_from_ms = world->now_ms;
        if (shadow->opened_by == BREAKER_BY_FLAPPING)
            shadow->flap_from_ms = world->now_ms;
    }
    if (breaker->state != BREAKER_CLOSED && shadow->state == BREAKER_CLOSED)
        shadow->opened_by = breaker->opened_by;
    if (breaker->state == BREAKER_FORCED_OPEN)
        shadow->opened_by = BREAKER_BY_PERSON;
    if (breaker->state == BREAKER_OPEN && breaker->cause == BREAKER_BY_NO_VERDICT &&
        shadow->state == BREAKER_HALF_OPEN && shadow->seen_open_time_ms > 0)
        rules_expect(world, breaker->open_time_ms == shadow->seen_open_time_ms,
                     "a probe without a verdict does not double the open time");
    if (breaker->state != BREAKER_HALF_OPEN)
        shadow->half_open_starts = 0;
    shadow->state = breaker->state;
    shadow->seen_open_time_ms = breaker->open_time_ms;
}

static void shadow_add(struct shadow *shadow, const struct breaker_failure *failure)
{
    if (shadow->failure_count == BREAKER_FAILURES_MAX_COUNT) {
        memmove(shadow->failures, shadow->failures + 1,
                (BREAKER_FAILURES_MAX_COUNT - 1) * sizeof(shadow->failures[0]));
        shadow->failure_count--;
    }
    shadow->failures[shadow->failure_count++] = *failure;
}

static int64_t shadow_window_ms(const struct shadow *shadow, const struct breaker_policy *policy)
{
    int64_t window_ms = policy->window_ms;

    for (size_t i = 0; i < shadow->failure_count; i++) {
        int64_t ms = shadow->failures[i].cycle_ms * policy->failures;

        if ((int64_t)(shadow->failure_count - i) <= policy->failures && ms > window_ms)
            window_ms = ms;
    }
    return window_ms;
}

static int64_t shadow_count(const struct shadow *shadow, int64_t now_ms, int64_t window_ms,
                            int64_t from_ms, bool only_gpu_faults)
{
    int64_t count = 0;

    for (size_t i = 0; i < shadow->failure_count; i++) {
        const struct breaker_failure *failure = &shadow->failures[i];

        if (failure->fault == FAULT_CONFIG || failure->at_ms < from_ms ||
            now_ms - failure->at_ms >= window_ms)
            continue;
        if (!only_gpu_faults || failure->fault == FAULT_GPU_FAULT)
            count++;
    }
    return count;
}

static bool shadow_is_full(const struct shadow *shadow, const struct breaker_policy *policy,
                           int64_t now_ms)
{
    int64_t window = shadow_count(shadow, now_ms, shadow_window_ms(shadow, policy),
                                  shadow->window_from_ms, false);
    int64_t gpu_faults =
        shadow_count(shadow, now_ms, policy->window_ms, shadow->window_from_ms, true);
    int64_t day = shadow_count(shadow, now_ms, policy->flap_window_ms, shadow->flap_from_ms, false);

    return (policy->failures > 0 && window >= policy->failures) ||
           (policy->gpu_faults > 0 && gpu_faults >= policy->gpu_faults) ||
           (policy->flap_failures > 0 && day >= policy->flap_failures);
}

/* A breaker that has just opened: for as long as it should. */
static void shadow_check_opening(struct world *world, const struct shadow *shadow,
                                 const struct breaker *breaker, const struct breaker_policy *policy)
{
    int64_t base_ms = shadow->open_time_ms == 0 ? policy->open_time_ms : shadow->open_time_ms;
    int64_t left_ms = breaker->until_ms - world->now_ms;
    int64_t expected_ms = base_ms;

    if (shadow->state == BREAKER_HALF_OPEN && shadow->had_probe && shadow->open_time_ms > 0)
        expected_ms *= 2;
    if (expected_ms > policy->open_max_ms)
        expected_ms = policy->open_max_ms;
    world->rules->open_count++;
    rules_expect(world, breaker->open_time_ms == expected_ms,
                 "an open time is doubled by a failed probe, and by nothing else");
    rules_expect(world, left_ms <= policy->open_max_ms, "no open time is above its maximum");
    rules_expect(world,
                 left_ms >= expected_ms - expected_ms * policy->jitter_pct / PERCENT &&
                     left_ms <= expected_ms + expected_ms * policy->jitter_pct / PERCENT,
                 "an open time is within its jitter");
}

/* ---- starts ---- */

/* Attempts go back to 0 alone, and only for a good reason. */
static void rules_see_counts(struct world *world, const struct actor *actor)
{
    struct actor_rules *rules = rules_of(world, actor);
    const struct recovery *recovery = &actor->recovery;
    int64_t ready_for_ms =
        actor->script.ready_ms == 0 ? -1 : world->now_ms - actor->script.ready_ms;
    int64_t needed_ms = world->policy.restart.stable_after_ms;

    if (world->policy.breaker.probe_stable_ms < needed_ms)
        needed_ms = world->policy.breaker.probe_stable_ms;
    rules_expect(world, recovery->restart.total == rules->total, "restarts are only counted up");
    if (recovery->restart.attempt != rules->attempt)
        rules_expect(world, recovery->restart.attempt == 0 && ready_for_ms >= needed_ms,
                     "attempts are forgiven for stability, or by a person");
    if (!recovery->restart.is_in_incident) {
        rules->attempt = 0;
        rules->delay_ms = 0;
        rules->owes_restart = false;
    }
}

void rules_see(struct world *world)
{
    for (int i = 0; i < WORLD_ACTORS; i++) {
        shadow_see(world, &world->rules->actors[i].breaker, &world->actors[i].recovery.breaker);
        rules_see_counts(world, &world->actors[i]);
    }
    shadow_see(world, &world->rules->station, &rules_gpu(world)->breaker);
}

static void rules_check_guard(struct world *world, const struct actor *actor)
{
    int64_t *starts_ms = world->rules->starts_ms[actor->station->is_gpu ? 1 : 0];
    int64_t limit = world->guard_policy.starts;

    for (int i = 0; i < WORLD_ACTORS; i++)
        rules_expect(world,
                     world->actors[i].station != actor->station ||
                         world->actors[i].life != LIFE_STARTING ||
                         !world->actors[i].script.is_there,
                     "one model loads at a time on a device");
    rules_expect(
        world, limit == 0 || world->now_ms - starts_ms[limit - 1] >= world->guard_policy.window_ms,
        "a device sees no more starts in a window than its guard allows");
    memmove(starts_ms + 1, starts_ms, (GUARD_STARTS_MAX_COUNT - 1) * sizeof(starts_ms[0]));
    starts_ms[0] = world->now_ms;
}

static void rules_check_probe(struct world *world, struct shadow *shadow,
                              const struct breaker *breaker)
{
    rules_expect(world, breaker->state != BREAKER_OPEN && breaker->state != BREAKER_FORCED_OPEN,
                 "nothing starts while a breaker is open");
    if (breaker->state == BREAKER_HALF_OPEN)
        rules_expect(world, ++shadow->half_open_starts == 1, "half-open allows exactly one start");
}

void rules_before_start(struct world *world, const struct actor *actor, enum recovery_asker asker)
{
    struct actor_rules *rules = rules_of(world, actor);

    rules_see(world);
    world->rules->start_count++;
    rules_expect(world, !actor->script.is_there && !life_has_process(actor->life),
                 "a worker has never more than one process");
    rules_expect(world, !actor->recovery.is_held, "what is held is not started");
    rules_expect(world, !actor->recovery.has_failed_for_good,
                 "what has failed for good is not started");
    rules_expect(world, asker == RECOVERY_PERSON || world->now_ms >= rules->backed_off_until_ms,
                 "only a person shortens a back-off");
    rules_check_probe(world, &rules->breaker, &actor->recovery.breaker);
    if (actor->station->is_gpu) {
        rules_check_probe(world, &world->rules->station, &actor->station->breaker);
        rules_expect(world, actor->station->lost_count == 0, "nothing starts on a lost GPU");
    }
    rules_check_guard(world, actor);
    if (rules->owes_restart) {
        rules->attempt++;
        rules->total++;
    }
    rules->owes_restart = false;
    rules->backed_off_until_ms = INT64_MIN;
}

void rules_after_start(struct world *world, const struct actor *actor)
{
    const struct actor_rules *rules = rules_of(world, actor);
    const struct recovery *recovery = &actor->recovery;

    rules_expect(world, recovery->restart.attempt == rules->attempt,
                 "every start that follows a failure is one attempt, no other start is");
    rules_expect(world, recovery->restart.total == rules->total, "every restart is counted once");
    rules_expect(world,
                 recovery->breaker.state != BREAKER_CLOSED ||
                     world->policy.restart.max_attempts == 0 ||
                     recovery->restart.attempt <= world->policy.restart.max_attempts,
                 "no incident has more restarts than it may");
    rules_expect(world, !recovery->is_waiting, "a start ends the wait");
}

/* ---- failures ---- */

int64_t rules_delay_before_start_ms(const struct world *world, const struct actor *actor)
{
    return rules_of(world, actor)->delay_ms;
}

void rules_before_failure(struct world *world, const struct actor *actor,
                          const struct breaker_failure *failure)
{
    struct shadow *shadow =
        actor == NULL ? &world->rules->station : &rules_of(world, actor)->breaker;
    const struct breaker *breaker =
        actor == NULL ? &rules_gpu(world)->breaker : &actor->recovery.breaker;

    rules_see(world);
    shadow->open_time_ms = breaker->open_time_ms;
    shadow->had_probe = breaker->has_probe;
    if (failure->fault != FAULT_CONFIG || breaker->has_probe)
        shadow_add(shadow, failure);
    world->rules->failure_count += actor != NULL;
}

static void rules_check_wait(struct world *world, const struct actor *actor)
{
    const struct restart_policy *policy = &world->policy.restart;
    const struct recovery *recovery = &actor->recovery;
    int64_t wait_ms = recovery->due_ms - world->now_ms;
    int64_t plain_ms = policy->base_ms;

    for (int64_t i = 0; i < recovery->restart.attempt && plain_ms < policy->max_ms; i++)
        plain_ms *= 2;
    if (plain_ms > policy->max_ms)
        plain_ms = policy->max_ms;
    rules_expect(world, wait_ms <= policy->max_ms, "no wait is above its maximum");
    rules_expect(world,
                 wait_ms >= plain_ms - plain_ms * policy->jitter_pct / PERCENT &&
                     wait_ms <= plain_ms + plain_ms * policy->jitter_pct / PERCENT,
                 "a wait is base × 2^attempt, within its jitter");
}

static void rules_check_answer(struct world *world, const struct actor *actor,
                               enum fault_class fault, bool is_full)
{
    struct actor_rules *rules = rules_of(world, actor);
    const struct recovery *recovery = &actor->recovery;
    int64_t max_attempts = world->policy.restart.max_attempts;
    bool is_memory = fault == FAULT_OOM_HOST || fault == FAULT_OOM_DEVICE;
    bool is_for_good = fault == FAULT_CONFIG || (is_memory && rules->was_reduced);
    bool is_exhausted = max_attempts > 0 && rules->attempt >= max_attempts;
    bool opens = is_full || (!is_for_good && is_exhausted);

    rules_expect(world, (recovery->breaker.state == BREAKER_OPEN) == opens,
                 "a breaker opens when a window is full or attempts are exhausted, and only then");
    if (opens)
        return;
    rules_expect(world, recovery->has_failed_for_good == is_for_good,
                 "configuration, or memory a second time, is a fault for good, nothing else is");
    if (!is_for_good)
        rules->was_reduced = rules->was_reduced || is_memory;
    rules_expect(world, recovery->is_reduced == rules->was_reduced,
                 "out of memory is retried with less, once");
    rules_expect(world, recovery->is_waiting == (!is_for_good && !recovery->is_held),
                 "a failure that may be mended has a restart that is due");
    if (recovery->is_waiting)
        rules_check_wait(world, actor);
}

void rules_after_failure(struct world *world, const struct actor *actor,
                         const struct breaker_failure *failure)
{
    struct shadow *shadow =
        actor == NULL ? &world->rules->station : &rules_of(world, actor)->breaker;
    const struct breaker_policy *policy =
        actor == NULL ? &world->station_policy : &world->policy.breaker;
    const struct breaker *breaker =
        actor == NULL ? &rules_gpu(world)->breaker : &actor->recovery.breaker;
    bool is_full = failure->fault != FAULT_CONFIG && shadow_is_full(shadow, policy, world->now_ms);

    switch (shadow->state) {
    case BREAKER_CLOSED:
        if (actor != NULL)
            rules_check_answer(world, actor, failure->fault, is_full);
        else
            rules_expect(world, (breaker->state == BREAKER_OPEN) == is_full,
                         "a GPU's breaker opens when a window is full, and only then");
        break;
    case BREAKER_HALF_OPEN:
        rules_expect(world, breaker->state == BREAKER_OPEN, "a probe that fails opens");
        break;
    default:
        rules_expect(world, breaker->state == shadow->state,
                     "a failure changes nothing while it is open");
        break;
    }
    if (breaker->state == BREAKER_OPEN && shadow->state != BREAKER_OPEN)
        shadow_check_opening(world, shadow, breaker, policy);
    if (actor != NULL) {
        struct actor_rules *rules = rules_of(world, actor);

        rules->owes_restart = true;
        if (actor->recovery.is_waiting)
            rules->delay_ms = actor->recovery.due_ms - world->now_ms;
        rules->backed_off_until_ms =
            actor->recovery.is_waiting ? actor->recovery.due_ms : INT64_MIN;
    }
    rules_see(world);
}

/* ---- people and supervisors ---- */

void rules_on_reset(struct world *world, const struct actor *actor)
{
    struct shadow *shadow =
        actor == NULL ? &world->rules->station : &rules_of(world, actor)->breaker;

    shadow_init(shadow);
    shadow->window_from_ms = shadow->flap_from_ms = world->now_ms;
    if (actor == NULL)
        return;
    rules_expect(world,
                 actor->recovery.breaker.state == BREAKER_CLOSED &&
                     !actor->recovery.has_failed_for_good && !actor->recovery.is_waiting,
                 "a reset leaves nothing of what was");
    rules_of(world, actor)->owes_restart = false;
    rules_of(world, actor)->was_reduced = false;
    rules_of(world, actor)->attempt = 0;
    rules_of(world, actor)->total = 0;
    rules_of(world, actor)->delay_ms = 0;
    rules_on_person(world, actor);
}

void rules_on_new_incident(struct world *world, const struct actor *actor)
{
    rules_of(world, actor)->owes_restart = false;
    rules_of(world, actor)->was_reduced = false;
    rules_of(world, actor)->attempt = 0;
    rules_of(world, actor)->delay_ms = 0;
    rules_of(world, actor)->backed_off_until_ms = INT64_MIN;
}

void rules_on_person(struct world *world, const struct actor *actor)
{
    rules_of(world, actor)->backed_off_until_ms = INT64_MIN;
}

static void rules_check_restored(struct world *world, struct shadow *shadow,
                                 const struct breaker *breaker, bool is_new_boot)
{
    rules_expect(world, !breaker->has_probe, "a probe is gone with its supervisor");
    rules_expect(world, !is_new_boot || breaker->state != BREAKER_OPEN,
                 "no breaker is open after a reboot, unless a person has opened it");
    /* A probe that is gone by a reboot is open and half-open again in one go. */
    shadow->half_open_starts = 0;
}

void rules_on_restored(struct world *world, bool is_new_boot)
{
    for (int i = 0; i < WORLD_STATIONS; i++) {
        for (int k = 0; k < GUARD_STARTS_MAX_COUNT; k++)
            world->rules->starts_ms[i][k] = INT64_MIN / 2;
    }
    for (int i = 0; i < WORLD_ACTORS; i++) {
        rules_expect(world,
                     world->actors[i].recovery.restart.attempt == world->rules->actors[i].attempt,
                     "a supervisor that is killed forgives nothing");
        world->rules->actors[i].delay_ms = 0; /* a wait that was over is not stored */
        rules_check_restored(world, &world->rules->actors[i].breaker,
                             &world->actors[i].recovery.breaker, is_new_boot);
    }
    rules_check_restored(world, &world->rules->station, &rules_gpu(world)->breaker, is_new_boot);
    rules_see(world);
}

static void shadow_shift(struct shadow *shadow, int64_t ms)
{
    for (size_t i = 0; i < shadow->failure_count; i++)
        shadow->failures[i].at_ms -= ms;
    if (shadow->window_from_ms != INT64_MIN)
        shadow->window_from_ms -= ms;
    if (shadow->flap_from_ms != INT64_MIN)
        shadow->flap_from_ms -= ms;
}

void rules_shift(struct world *world, int64_t ms)
{
    for (int i = 0; i < WORLD_ACTORS; i++) {
        shadow_shift(&world->rules->actors[i].breaker, ms);
        if (world->rules->actors[i].backed_off_until_ms != INT64_MIN)
            world->rules->actors[i].backed_off_until_ms -= ms;
    }
    shadow_shift(&world->rules->station, ms);
}

/* ---- at rest ---- */

static void rules_check_breaker(struct world *world, const struct shadow *shadow,
                                const struct breaker *breaker, const struct breaker_policy *policy)
{
    int64_t now_ms = world->now_ms;

    rules_expect(world, breaker->failure_count == shadow->failure_count,
                 "every failure is counted once");
    rules_expect(world,
                 breaker_count(breaker, policy, now_ms) ==
                     shadow_count(shadow, now_ms, shadow_window_ms(shadow, policy),
                                  shadow->window_from_ms, false),
                 "the count of the window is the number of failures in it");
    rules_expect(
        world, breaker->state != BREAKER_OPEN || breaker->until_ms - now_ms <= policy->open_max_ms,
        "no open time is above its maximum");
    rules_expect(world, !breaker->has_probe || breaker->state == BREAKER_HALF_OPEN,
                 "only a half-open breaker has a probe");
}

/* What stability must have done by now. */
static void rules_check_counts(struct world *world, const struct actor *actor)
{
    const struct recovery *recovery = &actor->recovery;

    if (actor->life == LIFE_READY &&
        world->now_ms - actor->script.ready_ms >= world->policy.restart.stable_after_ms)
        rules_expect(world,
                     !recovery->restart.is_in_incident && recovery->restart.attempt == 0 &&
                         recovery->breaker.open_time_ms == 0,
                     "stability ends the incident, and the open time begins anew");
}

/* When the device of ACTOR has room for one more start. */
static int64_t rules_storm_end_ms(const struct actor *actor)
{
    const struct world *world = actor->world;
    const int64_t *starts_ms = world->rules->starts_ms[actor->station->is_gpu ? 1 : 0];

    return starts_ms[world->guard_policy.starts - 1] + world->guard_policy.window_ms;
}

/* Why ACTOR, which somebody wants and which has no process, does not start now. */
static bool rules_has_reason(const struct actor *actor)
{
    const struct recovery *recovery = &actor->recovery;
    int64_t now_ms = actor->world->now_ms;
    int64_t until_ms = 0;

    switch (recovery_rest(recovery)) {
    case RECOVERY_HELD:
        return actor->life == LIFE_HELD;
    case RECOVERY_FAILED:
        return actor->life == LIFE_FAILED;
    case RECOVERY_OPEN:
        if (recovery->breaker.state == BREAKER_FORCED_OPEN)
            return actor->life == LIFE_OPEN;
        if (recovery->breaker.state == BREAKER_OPEN)
            return actor->life == LIFE_OPEN && recovery->breaker.until_ms > now_ms;
        break;
    case RECOVERY_WAITING:
        if (recovery->due_ms > now_ms)
            return actor->life == LIFE_WAITING;
        break;
    case RECOVERY_DOWN:
        break;
    }
    if (actor->postponed.answer == STATION_STORM)
        return actor->postponed.until_ms > now_ms &&
               actor->postponed.until_ms <= rules_storm_end_ms(actor);
    if (actor->postponed.answer == STATION_LOADING)
        return actor->station->loading != NULL;
    return world_ask(actor, &until_ms) == STATION_OPEN && actor->life == LIFE_OPEN;
}

static void rules_check_actor(struct world *world, const struct actor *actor)
{
    const struct recovery *recovery = &actor->recovery;
    enum recovery_rest rest = recovery_rest(recovery);

    rules_check_breaker(world, &rules_of(world, actor)->breaker, &recovery->breaker,
                        &world->policy.breaker);
    rules_check_counts(world, actor);
    rules_expect(world, life_has_process(actor->life) == actor->script.is_there,
                 "the life says whether there is a process");
    rules_expect(world, !recovery->breaker.has_probe || actor->script.is_there,
                 "a probe is a process");
    rules_expect(world, !recovery->is_waiting || rest == RECOVERY_WAITING,
                 "a restart is due only where one may be made");
    rules_expect(world, !recovery->is_waiting || !actor->script.is_there,
                 "no restart is due beside a process");
    if (actor->script.is_there)
        return;
    rules_expect(world, (actor->life == LIFE_HELD) == recovery->is_held,
                 "held is what a person holds");
    rules_expect(world, actor->life != LIFE_DOWN || rest == RECOVERY_DOWN,
                 "down is what nothing keeps from starting");
    if (actor->wanted_up || actor->request_until_ms > 0)
        rules_expect(world, rules_has_reason(actor),
                     "what is wanted starts, or waits for something that comes");
}

void rules_check(struct world *world)
{
    const struct station *gpu = rules_gpu(world);

    rules_see(world);
    rules_expect(world, world_next_ms(world) > world->now_ms, "what is due is done");
    for (int i = 0; i < WORLD_ACTORS; i++)
        rules_check_actor(world, &world->actors[i]);
    rules_check_breaker(world, &world->rules->station, &gpu->breaker, &world->station_policy);
    rules_expect(world,
                 !gpu->breaker.has_probe || (gpu->probe != NULL && gpu->probe->script.is_there),
                 "a GPU's probe is a process");
    for (int i = 0; i < WORLD_STATIONS; i++) {
        const struct actor *loading = world->stations[i].loading;

        rules_expect(world, world->stations[i].guard.is_loading == (loading != NULL),
                     "a guard waits for a load that there is");
        rules_expect(world,
                     loading == NULL || loading->life == LIFE_STARTING ||
                         loading->script.is_told_to_end,
                     "a guard waits for a process that loads");
    }
}

bool rules_all_is_well(const struct world *world)
{
    for (int i = 0; i < WORLD_ACTORS; i++) {
        const struct actor *actor = &world->actors[i];
        const struct recovery *recovery = &actor->recovery;

        if (recovery->is_held || recovery->breaker.state == BREAKER_FORCED_OPEN ||
            actor->station->breaker.state == BREAKER_FORCED_OPEN ||
            (recovery->has_failed_for_good && !actor->script.is_there))
            continue;
        if (actor->life != LIFE_READY || recovery->breaker.state != BREAKER_CLOSED ||
            actor->station->breaker.state == BREAKER_OPEN || actor->station->breaker.has_probe)
            return false;
    }
    return true;
}

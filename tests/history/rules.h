/* What must hold in every history, whatever happens in it: kept beside the world, from what the
 * world tells of starts and failures, and with a reckoning of its own. A rule that is broken ends
 * the test and names the history. */
#ifndef RBEE_TESTS_HISTORY_RULES_H
#define RBEE_TESTS_HISTORY_RULES_H

#include "tests/history/world.h"

/* A breaker, reckoned anew. */
struct shadow {
    struct breaker_failure failures[BREAKER_FAILURES_MAX_COUNT]; /* oldest first */
    size_t failure_count;
    enum breaker_state state; /* as last seen */
    int64_t seen_open_time_ms;
    enum breaker_cause opened_by;
    int64_t window_from_ms;
    int64_t flap_from_ms;
    int64_t open_time_ms; /* before the failure that is being told */
    bool had_probe;
    int64_t half_open_starts;
};

struct actor_rules {
    struct shadow breaker;
    bool owes_restart; /* failed, and not started since */
    int64_t attempt;   /* as last seen */
    int64_t total;     /* restarts made */
    int64_t delay_ms;  /* the wait that began with the last failure of this incident */
    int64_t backed_off_until_ms;
    bool was_reduced;
};

struct rules {
    struct actor_rules actors[WORLD_ACTORS];
    struct shadow station;                                     /* of the GPU */
    int64_t starts_ms[WORLD_STATIONS][GUARD_STARTS_MAX_COUNT]; /* the latest first */
    uint64_t start_count;
    uint64_t failure_count;
    uint64_t open_count;
};

void rules_init(struct rules *rules);

/* Looks at what has changed; between two looks no breaker opens and closes. */
void rules_see(struct world *world);
void rules_before_start(struct world *world, const struct actor *actor, enum recovery_asker asker);
void rules_after_start(struct world *world, const struct actor *actor);
/* ACTOR NULL: of the GPU. */
void rules_before_failure(struct world *world, const struct actor *actor,
                          const struct breaker_failure *failure);
void rules_after_failure(struct world *world, const struct actor *actor,
                         const struct breaker_failure *failure);
void rules_on_reset(struct world *world, const struct actor *actor);
/* A person has stopped, held or opened it: who asks for it now does not shorten its wait. */
void rules_on_person(struct world *world, const struct actor *actor);
/* A person's start, or another file. */
void rules_on_new_incident(struct world *world, const struct actor *actor);
void rules_on_restored(struct world *world, bool is_new_boot);
/* The clock has begun anew, MS later. */
void rules_shift(struct world *world, int64_t ms);
int64_t rules_delay_before_start_ms(const struct world *world, const struct actor *actor);

/* After every step: what holds at rest. */
void rules_check(struct world *world);
/* At the end, when all has been well for long: nothing is left open. */
bool rules_all_is_well(const struct world *world);
void rules_expect(const struct world *world, bool is_kept, const char *rule);

#endif

/* A small world for test_histories.c: workers on two devices, their processes as scripts, and time
 * as a number. What decides is the real thing (life.h, recovery.h, breaker.h, guard.h, fault.h);
 * the world only carries it out, as worker_recovery.c does with real processes, and as thinly.
 *
 * Every random choice comes from the seed, so that a history is told by its number. */
#ifndef RBEE_TESTS_HISTORY_WORLD_H
#define RBEE_TESTS_HISTORY_WORLD_H

#include "supervisor/guard.h"
#include "supervisor/life.h"
#include "supervisor/recovery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORLD_ACTORS = 4, WORLD_STATIONS = 2 };

struct world;
struct actor;

/* A process, with what it is going to do. INT64_MAX: never. */
struct script {
    bool is_there;
    bool is_told_to_end;      /* TERM or KILL has been sent */
    bool is_killed;           /* KILL has */
    enum fault_class judged;  /* why we killed it */
    enum fault_class ends_by; /* what it ends by at end_ms, when nobody tells it to */
    int64_t spawned_ms;
    int64_t loaded_ms;
    int64_t ready_ms;   /* 0: not yet */
    int64_t overdue_ms; /* its load makes no progress any more */
    int64_t hung_ms;
    int64_t end_ms;
    int64_t drained_ms;
    int64_t grace_ms; /* of TERM, then of KILL */
};

enum station_answer { STATION_GO, STATION_OPEN, STATION_STORM, STATION_LOADING };

/* A device. */
struct station {
    bool is_gpu;
    struct guard guard;
    struct actor *loading;
    struct breaker breaker;
    struct actor *probe;
    unsigned lost_count;
};

/* A worker. */
struct actor {
    int index;
    struct world *world;
    struct station *station;
    struct recovery recovery;
    enum life_state life;
    struct script script;
    bool wanted_up;
    bool starts_again;
    enum recovery_asker again_asker;
    int64_t request_until_ms; /* the deadline of the request that waits for it; 0: none */
    int64_t badness_pct;      /* how many of its processes come to a bad end */
    struct {
        enum station_answer answer; /* GO: not postponed */
        enum recovery_asker asker;
        int64_t until_ms;
        uint64_t turn;
    } postponed;
};

struct world {
    uint64_t seed;
    bool is_told; /* print what happens */
    uint64_t random;
    int64_t now_ms;
    struct recovery_policy policy;
    struct breaker_policy station_policy;
    struct guard_policy guard_policy;
    struct actor actors[WORLD_ACTORS];
    struct station stations[WORLD_STATIONS];
    uint64_t turns;
    struct rules *rules;
};

void world_init(struct world *world, uint64_t seed, struct rules *rules);
uint32_t world_random(struct world *world);
/* From 0 to COUNT - 1. */
int64_t world_draw(struct world *world, int64_t count);
bool world_chance(struct world *world, int64_t pct);
void world_tell(const struct world *world, const struct actor *actor, const char *what);

/* The next moment at which anything happens by itself; INT64_MAX: none. */
int64_t world_next_ms(const struct world *world);
/* Time is NOW_MS; what is due happens, until nothing is. */
void world_advance(struct world *world, int64_t now_ms);

void world_request(struct actor *actor);
void world_start(struct actor *actor);
void world_stop(struct actor *actor, bool force);
void world_hold(struct actor *actor);
void world_release(struct actor *actor);
void world_reset(struct actor *actor);
void world_force_open(struct actor *actor);
void world_change_model(struct actor *actor);
void world_station_reset(struct world *world, struct station *station);
void world_station_force_open(struct world *world, struct station *station);
/* The supervisor is killed and started again; a reboot when IS_NEW_BOOT. Processes are gone. */
void world_restore(struct world *world, bool is_new_boot);

/* ---- between the files of the world ---- */

/* Most are short, some are very long. */
int64_t world_some_ms(struct world *world);
void script_write(struct actor *actor);
struct fault_signs script_signs(struct world *world, const struct actor *actor);
void actor_step(struct actor *actor, enum life_event event);
void actor_postpone_none(struct actor *actor);
void actor_try_start(struct actor *actor, enum recovery_asker asker);
bool actor_is_wanted(const struct actor *actor);
void actor_come_to_rest(struct actor *actor);
void actor_wait_is_over(struct actor *actor);
void actor_ended(struct actor *actor, enum fault_class fault);
void station_load_ends(struct actor *actor);
void station_on_end(struct actor *actor, enum fault_class fault, int64_t load_ms);
void station_found(struct world *world, struct station *station);
void station_breaker_changed(struct world *world, struct station *station);

/* Why a start of ACTOR would not be made by its device now. */
enum station_answer world_ask(const struct actor *actor, int64_t *out_until_ms);

#endif

/* The life of a worker as a pure table: state and event in, next state and action out. No I/O, no
 * clock, no worker: what carries it out is worker.c.
 *
 *   down      no process, may be started by a person or by a request
 *   starting  a process that loads its model
 *   ready     the model is loaded and one token has been computed
 *   draining  no new work; what runs may finish
 *   stopping  told to end (TERM, then KILL), or killed
 *   waiting   no process: a restart is due, or its device takes no start just now
 *   open      no process: a circuit breaker, its own or its GPU's, allows none
 *   held      no process: a person keeps it down
 *   failed    no process: a configuration fault, or out of memory twice; only a person's start or a
 *             changed model file help
 *   lost      survived KILL; known again when the process is gone
 */
#ifndef RBEE_SUPERVISOR_LIFE_H
#define RBEE_SUPERVISOR_LIFE_H

#include <stdbool.h>

enum life_state {
#define STATE(name, text) LIFE_##name,
#define EVENT(name, text)
#include "supervisor/life_names.def"
#undef STATE
#undef EVENT
    LIFE_STATE_COUNT,
};

enum life_event {
#define STATE(name, text)
#define EVENT(name, text) LIFE_ON_##name,
#include "supervisor/life_names.def"
#undef STATE
#undef EVENT
    LIFE_EVENT_COUNT,
};

enum life_action {
    LIFE_NONE,
    LIFE_SPAWN,     /* write it down, then make the process; a failure is an exit that follows */
    LIFE_SERVE,     /* give it the requests that wait */
    LIFE_DRAIN,     /* refuse what waits, let what runs finish */
    LIFE_TERMINATE, /* TERM to the group, and KILL after the grace */
    LIFE_KILL,      /* KILL to the group */
    LIFE_GIVE_UP,   /* it survived KILL: nobody waits for it any more */
    LIFE_SETTLE,    /* it ended: what ran on it fails; start again if that was wanted meanwhile */
    LIFE_REFUSE,    /* it does not start: what waits for it fails */
};

struct life_rule {
    bool exists;
    enum life_state to;
    enum life_action action;
};

/* The rule for EVENT in STATE; NULL when the event changes nothing there. */
const struct life_rule *life_step(enum life_state state, enum life_event event);
/* Whether a worker in STATE has a process. */
bool life_has_process(enum life_state state);
const char *life_state_name(enum life_state state);
const char *life_event_name(enum life_event event);

#endif

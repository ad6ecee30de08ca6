/* Owns the table of a worker's life. Knows nothing of processes, time or requests. */
#include "supervisor/life.h"

#include <assert.h>
#include <stddef.h>

static const struct life_rule RULES[LIFE_STATE_COUNT][LIFE_EVENT_COUNT] = {
#define RULE(from, on, next, do)                                                                   \
    [LIFE_##from][LIFE_ON_##on] = {.exists = true, .to = LIFE_##next, .action = LIFE_##do},
#include "supervisor/life.def"
#undef RULE
};

const struct life_rule *life_step(enum life_state state, enum life_event event)
{
    assert(state < LIFE_STATE_COUNT && event < LIFE_EVENT_COUNT);
    return RULES[state][event].exists ? &RULES[state][event] : NULL;
}

bool life_has_process(enum life_state state)
{
    switch (state) {
    case LIFE_STARTING:
    case LIFE_READY:
    case LIFE_DRAINING:
    case LIFE_STOPPING:
    case LIFE_LOST:
        return true;
    case LIFE_DOWN:
    case LIFE_WAITING:
    case LIFE_OPEN:
    case LIFE_HELD:
    case LIFE_FAILED:
    case LIFE_STATE_COUNT:
        break;
    }
    return false;
}

const char *life_state_name(enum life_state state)
{
    static const char *const NAMES[LIFE_STATE_COUNT] = {
#define STATE(name, text) [LIFE_##name] = text,
#define EVENT(name, text)
#include "supervisor/life_names.def"
#undef STATE
#undef EVENT
    };

    assert(state < LIFE_STATE_COUNT);
    return NAMES[state];
}

const char *life_event_name(enum life_event event)
{
    static const char *const NAMES[LIFE_EVENT_COUNT] = {
#define STATE(name, text)
#define EVENT(name, text) [LIFE_ON_##name] = text,
#include "supervisor/life_names.def"
#undef STATE
#undef EVENT
    };

    assert(event < LIFE_EVENT_COUNT);
    return NAMES[event];
}

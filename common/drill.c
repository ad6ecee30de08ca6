/* Owns the names of drills. Makes none. */
#include "common/drill.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *name;
    const char *meaning;
} DRILLS[DRILL_COUNT] = {
#define DRILL(id, text, what) [DRILL_##id] = {.name = text, .meaning = what},
#include "common/drills.def"
#undef DRILL
};

const char *drill_name(enum drill_kind kind)
{
    assert(kind < DRILL_COUNT);
    return DRILLS[kind].name;
}

const char *drill_meaning(enum drill_kind kind)
{
    assert(kind < DRILL_COUNT);
    return DRILLS[kind].meaning;
}

int drill_of_name(const char *name, enum drill_kind *out, struct err *err)
{
    for (int kind = 0; kind < DRILL_COUNT; kind++) {
        if (strcmp(DRILLS[kind].name, name) != 0)
            continue;
        *out = (enum drill_kind)kind;
        return 0;
    }
    return err_set(err, ERR_INVALID_FIELD,
                   "a drill must be crash, hang, oom, slow or gpu-fault, not \"%s\"", name);
}

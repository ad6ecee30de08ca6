/* The kinds of drills (drills.def), as all three programs name them. */
#ifndef RBEE_COMMON_DRILL_H
#define RBEE_COMMON_DRILL_H

#include "common/err.h"

enum drill_kind {
#define DRILL(name, text, what) DRILL_##name,
#include "common/drills.def"
#undef DRILL
    DRILL_COUNT,
};

const char *drill_name(enum drill_kind kind);
/* What the worker does, as in "the worker dies". */
const char *drill_meaning(enum drill_kind kind);
/* ERR_INVALID_FIELD, with all there are. */
int drill_of_name(const char *name, enum drill_kind *out, struct err *err);

#endif

/* A WHY record as a screen of at most 24 lines of 80 columns. */
#ifndef RBEE_COMMON_WHY_TEXT_H
#define RBEE_COMMON_WHY_TEXT_H

#include "common/buf.h"

#include <jansson.h>

enum {
    WHY_TEXT_COLUMNS = 80,
    WHY_TEXT_LINES = 24,
    WHY_TEXT_CHANGES = 5,      /* of its state, at most */
    WHY_TEXT_STDERR_LINES = 5, /* at most; --json has all */
};

void why_text(const json_t *record, struct buf *out);

#endif

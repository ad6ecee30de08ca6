/* Which rows a person wants to see: an extended regular expression, without regard to case; with
 * "!" before it, the rows that it does not match. */
#ifndef RBEE_TUI_FILTER_H
#define RBEE_TUI_FILTER_H

#include "common/err.h"

#include <regex.h>
#include <stdbool.h>

enum { FILTER_MAX_BYTES = 128 };

struct filter {
    char text[FILTER_MAX_BYTES]; /* as it was typed; "": every row */
    bool is_inverse;
    bool has_regex;
    regex_t regex;
};

/* Storage of the caller, zeroed: every row. */
void filter_release(struct filter *filter);
/* ERR_USAGE: TEXT is no expression; the filter stays as it was. */
int filter_set(struct filter *filter, const char *text, struct err *err);
bool filter_lets_pass(const struct filter *filter, const char *row);

#endif

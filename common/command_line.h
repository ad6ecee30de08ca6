/* The command of a worker as the configuration has it: one text, split into words as sh splits
 * them, with places in braces that are filled in when it is started. Pure: looks at no file, runs
 * nothing.
 *
 *   words   blanks part them; '...' is literal; in "..." a backslash stands before " \ $ ` alone;
 *           outside of quotes it makes the next character an ordinary one
 *   places  {port} and the others of command_places.def, wherever in a word, quoted or not; {{ and
 *           }} are single braces
 *
 * There is no shell: what one would act on ($ ` | & ; < > ( ) outside of quotes, $ and ` in "...",
 * ~ and # at the beginning of a word) is refused rather than passed on as it stands. */
#ifndef RBEE_COMMON_COMMAND_LINE_H
#define RBEE_COMMON_COMMAND_LINE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    COMMAND_LINE_MAX_BYTES = 4096,
    COMMAND_LINE_WORD_MAX_COUNT = 256,
    /* All words once they are filled in: what Linux takes as one argument (MAX_ARG_STRLEN). */
    COMMAND_LINE_FILLED_MAX_BYTES = 128 << 10,
};

enum command_place {
#define PLACE(name, text, summary) COMMAND_PLACE_##name,
#include "common/command_places.def"
#undef PLACE
    COMMAND_PLACE_COUNT,
};

struct command_line {
    char **words; /* without their quotes, the places still in braces */
    size_t word_count;
    bool has[COMMAND_PLACE_COUNT];
};

/* ERR_CONFIG says what is wrong with TEXT and where: a quote that is not closed, an unknown place,
 * no word, a program by a relative path, not exactly one of {port} and {socket} (it could not be
 * reached, or in two places). */
int command_line_parse(const char *text, struct command_line *out, struct err *err);
/* Accepts an empty one. */
void command_line_release(struct command_line *line);

/* The words with VALUES in their places, NULL-terminated and allocated in one piece, which the
 * caller frees. VALUES has a text for each place that LINE has. ERR_CONFIG when it gets too long.
 */
char **command_line_fill(const struct command_line *line,
                         const char *const values[COMMAND_PLACE_COUNT], struct err *err);

#endif

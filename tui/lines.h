/* The last lines of something that goes on: events, a log. Text is as it came; the canvas makes it
 * harmless. */
#ifndef RBEE_TUI_LINES_H
#define RBEE_TUI_LINES_H

#include "tui/filter.h"
#include "tui/style.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LINES_MAX_COUNT = 2000,
    LINE_MAX_BYTES = 2048, /* the rest of a longer one is not kept */
};

struct line {
    char *text;
    enum tui_style style;
};

struct lines {
    struct line ring[LINES_MAX_COUNT];
    size_t next;
    size_t count;
};

/* Storage of the caller, zeroed. */
void lines_release(struct lines *lines); /* empty, and ready for more */
void lines_add(struct lines *lines, enum tui_style style, const char *text);
/* Line INDEX, 0 being the oldest that is kept. */
const struct line *lines_get(const struct lines *lines, size_t index);
/* Fills OUT (of LINES_MAX_COUNT) with the indices of the lines that FILTER lets pass; how many. */
size_t lines_filter(const struct lines *lines, const struct filter *filter, uint16_t *out);

#endif

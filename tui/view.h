/* The views and their columns: what views.def and columns.def say. */
#ifndef RBEE_TUI_VIEW_H
#define RBEE_TUI_VIEW_H

#include "common/records.h"

#include <stddef.h>

enum view_id {
#define VIEW(id, word, tab, record, rows) VIEW_##id,
#include "tui/views.def"
#undef VIEW
    VIEW_COUNT,
};

enum { VIEW_COLUMN_MAX_COUNT = 24 };

struct view {
    const char *word; /* what it is called by after ":" */
    const char *tab;
    enum record_kind record;
    const char *rows; /* the list of the snapshot; "none": it shows lines of text */
};

struct view_column {
    const struct record_field *field;
    int rank;
    int width;
};

const struct view *view_get(enum view_id id);
/* Fills OUT with the columns of VIEW; returns how many. */
size_t view_columns(enum view_id id, struct view_column out[VIEW_COLUMN_MAX_COUNT]);

#endif

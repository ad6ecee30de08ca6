/* A list of records as a table: which rows and columns of it are seen, in which order, and which
 * row is chosen. It is made anew from the snapshot for every frame; what must outlive a frame is
 * the table_state. */
#ifndef RBEE_TUI_TABLE_H
#define RBEE_TUI_TABLE_H

#include "tui/canvas.h"
#include "tui/filter.h"
#include "tui/view.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TABLE_KEY_BYTES = 128 };

struct table_state {
    char selected[TABLE_KEY_BYTES]; /* of the chosen row; it stays chosen wherever it goes */
    size_t selected_index;          /* where it was: its neighbour is chosen when it has gone */
    size_t first;                   /* the first row on the screen */
    int sort_column;                /* of the view; -1: as the supervisor has them */
    bool is_reversed;
    uint32_t hidden; /* bit i: column i is not wanted */
};
#define TABLE_STATE_INIT                                                                           \
    {                                                                                              \
        .sort_column = -1                                                                          \
    }

struct table {
    struct view_column columns[VIEW_COLUMN_MAX_COUNT];
    size_t column_count;
    const json_t **rows; /* [row_count], borrowed from the list */
    char **cells;        /* [row][column] */
    size_t row_count;
    size_t all_count; /* rows before the filter */
};

/* Makes OUT of LIST (NULL: no rows), and brings STATE in line with the rows there are. */
void table_build(struct table *out, enum view_id view, const json_t *list,
                 const struct filter *filter, struct table_state *state);
void table_release(struct table *table);
/* Draws headings and rows into AREA; scrolls so that the chosen row is seen, which is marked where
 * there is a person to choose. */
void table_draw(const struct table *table, struct table_state *state, struct canvas *canvas,
                const struct area *area, bool has_choice);
/* The chosen row; NULL: there is none. */
const json_t *table_selected(const struct table *table, const struct table_state *state);
/* Chooses the row STEPS further down (up, where negative), as far as there are rows. */
void table_move(const struct table *table, struct table_state *state, long steps);
/* Chooses the row that is drawn OFFSET rows below the headings; false: there is none. */
bool table_choose(const struct table *table, struct table_state *state, size_t offset);

#endif

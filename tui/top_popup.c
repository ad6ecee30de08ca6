/* Owns what lies over a view: the help, and the choice of columns. */
#include "tui/keys.h"
#include "tui/top.h"

#include <stdio.h>

enum {
    HELP_KEY_COLUMNS = 12,
    HELP_WHERE_COLUMNS = 10,
    HELP_LINE_MAX_COUNT = 64,
};

/* ---- help ---- */

void top_draw_help(struct top *top, struct canvas *canvas, const struct area *body)
{
    size_t count = 0;
    const struct key_row *keys = keys_table(&count);
    const struct key_row *shown[HELP_LINE_MAX_COUNT] = {NULL};
    int line_count = 0;

    for (size_t i = 0; i < count && line_count < HELP_LINE_MAX_COUNT; i++) {
        if (keys[i].help[0] != '\0')
            shown[line_count++] = &keys[i];
    }
    if (top->help_first > line_count - (body->rows - 1))
        top->help_first = line_count - (body->rows - 1);
    if (top->help_first < 0)
        top->help_first = 0;
    (void)canvas_text(canvas, body->row, body->column, body->columns, STYLE_HEADING,
                      "KEYS  (up and down go on, any other key closes this)");
    for (int i = 0; i < body->rows - 1 && top->help_first + i < line_count; i++) {
        const struct key_row *key = shown[top->help_first + i];
        int row = body->row + 1 + i;
        int at = body->column;

        (void)canvas_text(canvas, row, at, HELP_KEY_COLUMNS, STYLE_KEY, key->shown);
        at += HELP_KEY_COLUMNS;
        (void)canvas_text(canvas, row, at, HELP_WHERE_COLUMNS - 1, STYLE_DIM, key->where);
        at += HELP_WHERE_COLUMNS;
        (void)canvas_text(canvas, row, at, body->column + body->columns - at, STYLE_NORMAL,
                          key->help);
    }
}

/* ---- columns ---- */

void top_draw_columns(struct top *top, struct canvas *canvas, const struct area *body)
{
    struct view_column columns[VIEW_COLUMN_MAX_COUNT];
    int count = (int)view_columns(top->view, columns);
    const struct table_state *state = &top->tables[top->view];
    int visible = body->rows - 1;
    int first = (int)top->column_choice >= visible ? (int)top->column_choice - visible + 1 : 0;

    (void)canvas_text(canvas, body->row, body->column, body->columns, STYLE_HEADING,
                      "COLUMNS  (space: show or not, Enter: back)");
    for (int i = 0; i < visible && first + i < count; i++) {
        int row = body->row + 1 + i;
        bool is_hidden = (state->hidden >> (first + i) & 1) != 0;

        (void)canvas_printf(canvas, row, body->column, body->columns, STYLE_NORMAL, "[%c] %s",
                            is_hidden ? ' ' : 'x', columns[first + i].field->heading);
        if (first + i == (int)top->column_choice)
            canvas_set_style(canvas, row, body->column, body->columns, STYLE_SELECTED);
    }
}

/* Owns rows, columns and the choice of one. Must not know what the records mean. */
#include "tui/table.h"

#include "common/json.h"
#include "common/mem.h"
#include "tui/snapshot.h"
#include "tui/word.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLE_GAP = 2,
    TABLE_SIGN_COLUMNS = 2, /* a sign and a blank before a state */
    TABLE_ROW_MAX_BYTES = 4096,
    CODEPOINT_DOWN = 0x25be,
    CODEPOINT_UP = 0x25b4,
};

/* ---- rows ---- */

static bool is_state(const struct record_field *field)
{
    return strcmp(field->name, "state") == 0 || strcmp(field->name, "breaker") == 0;
}

/* What a filter looks at: all cells, also those that there is no room for. */
static bool row_passes(char *const *cells, size_t count, const struct filter *filter)
{
    AUTO_BUF struct buf row = BUF_INIT(TABLE_ROW_MAX_BYTES);

    for (size_t i = 0; i < count; i++)
        (void)buf_printf(&row, "%s%s", i > 0 ? " " : "", cells[i]); /* cut: nobody searches there */
    return filter_lets_pass(filter, row.data);
}

struct row {
    const json_t *record;
    size_t index;                   /* in the list */
    const struct view_column *sort; /* NULL: by index alone */
    bool is_reversed;
};

/* Words of states go from well to bad. */
static int compare_texts(const char *a, const char *b)
{
    int order = word_rank(a) - word_rank(b);

    return order != 0 ? order : strcmp(a, b);
}

/* Unknown values are last, whichever way the rest goes. */
static int compare_values(const json_t *a, const json_t *b, bool is_reversed)
{
    bool has_a = a != NULL && !json_is_null(a);
    bool has_b = b != NULL && !json_is_null(b);
    int order = 0;

    if (!has_a || !has_b)
        return (int)has_b - (int)has_a;
    if (json_is_number(a) && json_is_number(b))
        order = (json_number_value(a) > json_number_value(b)) -
                (json_number_value(a) < json_number_value(b));
    else if (json_is_string(a) && json_is_string(b))
        order = compare_texts(json_string_value(a), json_string_value(b));
    else
        order = (int)json_is_true(a) - (int)json_is_true(b);
    return is_reversed ? -order : order;
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left;
    const struct row *b = right;
    int order = 0;

    if (a->sort != NULL)
        order = compare_values(json_object_get(a->record, a->sort->field->name),
                               json_object_get(b->record, b->sort->field->name), a->is_reversed);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static struct row *sorted_rows(const struct table *table, const json_t *list,
                               const struct table_state *state)
{
    size_t count = json_array_size(list);
    struct row *rows = xcalloc(count + 1, sizeof(*rows));
    bool is_sorted = state->sort_column >= 0 && (size_t)state->sort_column < table->column_count;

    for (size_t i = 0; i < count; i++)
        rows[i] = (struct row){.record = json_array_get(list, i),
                               .index = i,
                               .sort = is_sorted ? &table->columns[state->sort_column] : NULL,
                               .is_reversed = state->is_reversed};
    qsort(rows, count, sizeof(*rows), compare_rows);
    return rows;
}

/* The chosen row where it is now; or, when it has gone, who stands in its place. */
static void follow_selection(const struct table *table, struct table_state *state)
{
    for (size_t i = 0; i < table->row_count; i++) {
        if (strcmp(snapshot_key(table->rows[i]), state->selected) == 0) {
            state->selected_index = i;
            return;
        }
    }
    table_move(table, state, 0);
}

void table_build(struct table *out, enum view_id view, const json_t *list,
                 const struct filter *filter, struct table_state *state)
{
    AUTO_FREE struct row *rows = NULL;

    *out = (struct table){.all_count = json_array_size(list)};
    out->column_count = view_columns(view, out->columns);
    rows = sorted_rows(out, list, state);
    out->rows = xcalloc(out->all_count + 1, sizeof(*out->rows));
    out->cells = xcalloc((out->all_count + 1) * out->column_count + 1, sizeof(*out->cells));
    for (size_t i = 0; i < out->all_count; i++) {
        char **cells = out->cells + out->row_count * out->column_count;

        for (size_t column = 0; column < out->column_count; column++) {
            const struct record_field *field = out->columns[column].field;

            free(cells[column]); /* of a row that did not pass */
            cells[column] = record_cell(field, json_object_get(rows[i].record, field->name));
        }
        if (row_passes(cells, out->column_count, filter))
            out->rows[out->row_count++] = rows[i].record;
    }
    follow_selection(out, state);
}

void table_release(struct table *table)
{
    for (size_t i = 0; i < (table->all_count + 1) * table->column_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->rows);
    *table = (struct table){.row_count = 0};
}

const json_t *table_selected(const struct table *table, const struct table_state *state)
{
    return state->selected_index < table->row_count ? table->rows[state->selected_index] : NULL;
}

void table_move(const struct table *table, struct table_state *state, long steps)
{
    long last = (long)table->row_count - 1;
    long index = (long)state->selected_index + steps;

    if (last < 0) {
        state->selected_index = 0;
        return; /* the name is kept: the row may come back */
    }
    index = index < 0 ? 0 : index > last ? last : index;
    state->selected_index = (size_t)index;
    (void)snprintf(state->selected, sizeof(state->selected), "%s",
                   snapshot_key(table->rows[index]));
}

bool table_choose(const struct table *table, struct table_state *state, size_t offset)
{
    if (state->first + offset >= table->row_count)
        return false;
    table_move(table, state, (long)(state->first + offset) - (long)state->selected_index);
    return true;
}

/* ---- columns ---- */

struct layout {
    int widths[VIEW_COLUMN_MAX_COUNT];  /* 0: not drawn */
    int natural[VIEW_COLUMN_MAX_COUNT]; /* of headings and all cells */
};

static int layout_total(const struct layout *layout, size_t count)
{
    int total = 0;

    for (size_t i = 0; i < count; i++) {
        if (layout->widths[i] > 0)
            total += layout->widths[i] + (total > 0 ? TABLE_GAP : 0);
    }
    return total;
}

static int natural_width(const struct table *table, size_t column)
{
    const struct record_field *field = table->columns[column].field;
    int width = canvas_text_width(field->heading) + 1; /* room for the mark of the order */

    for (size_t row = 0; row < table->row_count; row++) {
        int cell = canvas_text_width(table->cells[row * table->column_count + column]);

        cell += is_state(field) ? TABLE_SIGN_COLUMNS : 0;
        width = cell > width ? cell : width;
    }
    return width;
}

/* What is left over goes to columns that were cut, the most important first. */
static void spread(const struct table *table, struct layout *layout, int room)
{
    for (int rank = 0; rank <= VIEW_COLUMN_MAX_COUNT && room > 0; rank++) {
        for (size_t i = 0; i < table->column_count; i++) {
            int more = layout->natural[i] - layout->widths[i];

            if (table->columns[i].rank != rank || layout->widths[i] == 0 || more <= 0)
                continue;
            more = more < room ? more : room;
            layout->widths[i] += more > 0 ? more : 0;
            room -= more;
        }
    }
}

/* What a column takes as long as others have not enough. */
static int modest_width(const struct table *table, const struct layout *layout, size_t column)
{
    int heading = canvas_text_width(table->columns[column].field->heading) + 1;
    int cap = table->columns[column].width > heading ? table->columns[column].width : heading;

    return layout->natural[column] < cap ? layout->natural[column] : cap;
}

/* The most important columns first, each where there is room for it. */
static void lay_out(const struct table *table, const struct table_state *state, int columns,
                    struct layout *out)
{
    *out = (struct layout){.widths = {0}};
    for (size_t i = 0; i < table->column_count; i++)
        out->natural[i] = natural_width(table, i);
    for (int rank = 0; rank <= VIEW_COLUMN_MAX_COUNT; rank++) {
        for (size_t i = 0; i < table->column_count; i++) {
            bool is_hidden = (state->hidden >> i & 1) != 0;

            if (table->columns[i].rank != rank || is_hidden)
                continue;
            out->widths[i] = modest_width(table, out, i);
            if (rank == 0 && out->widths[i] > columns / 2)
                out->widths[i] = columns / 2 + 1; /* what names the row is always there */
            else if (layout_total(out, table->column_count) > columns)
                out->widths[i] = 0;
        }
    }
    spread(table, out, columns - layout_total(out, table->column_count));
}

/* ---- drawing ---- */

static void draw_headings(const struct table *table, const struct table_state *state,
                          const struct layout *layout, struct canvas *canvas,
                          const struct area *area)
{
    int at = area->column;

    for (size_t i = 0; i < table->column_count; i++) {
        const struct record_field *field = table->columns[i].field;
        bool is_sorted = state->sort_column == (int)i;
        int width = layout->widths[i];
        int text = canvas_text_width(field->heading);
        bool is_right = record_type_is_number(field->type);

        if (width == 0)
            continue;
        if (is_right)
            canvas_text_right(canvas, area->row, at, width, STYLE_HEADING, field->heading);
        else
            (void)canvas_text(canvas, area->row, at, width, STYLE_HEADING, field->heading);
        if (is_sorted)
            canvas_fill(canvas, area->row, is_right ? at + width - text - 1 : at + text, 1,
                        STYLE_HEADING,
                        canvas->is_ascii     ? (state->is_reversed ? 'v' : '^')
                        : state->is_reversed ? CODEPOINT_DOWN
                                             : CODEPOINT_UP);
        at += width + TABLE_GAP;
    }
}

static void draw_cell(const struct view_column *column, const char *text, struct canvas *canvas,
                      int row, int at, int width)
{
    char word[WORD_MAX_BYTES];

    if (record_type_is_number(column->field->type)) {
        canvas_text_right(canvas, row, at, width, STYLE_NORMAL, text);
    } else if (is_state(column->field)) {
        word_with_sign(canvas, text, word);
        (void)canvas_text(canvas, row, at, width, word_style(text), word);
    } else {
        (void)canvas_text(canvas, row, at, width,
                          strcmp(column->field->name, "last_fault") == 0 && strcmp(text, "-") != 0
                              ? STYLE_WARN
                              : STYLE_NORMAL,
                          text);
    }
}

static void draw_row(const struct table *table, const struct layout *layout, size_t index,
                     struct canvas *canvas, const struct area *area, int row)
{
    int at = area->column;

    for (size_t i = 0; i < table->column_count; i++) {
        if (layout->widths[i] == 0)
            continue;
        draw_cell(&table->columns[i], table->cells[index * table->column_count + i], canvas, row,
                  at, layout->widths[i]);
        at += layout->widths[i] + TABLE_GAP;
    }
}

static void scroll(const struct table *table, struct table_state *state, size_t visible)
{
    size_t last_first = table->row_count > visible ? table->row_count - visible : 0;

    if (state->selected_index < state->first)
        state->first = state->selected_index;
    if (state->selected_index >= state->first + visible)
        state->first = state->selected_index - visible + 1;
    if (state->first > last_first)
        state->first = last_first;
}

void table_draw(const struct table *table, struct table_state *state, struct canvas *canvas,
                const struct area *area, bool has_choice)
{
    struct layout layout;
    size_t visible = area->rows > 1 ? (size_t)area->rows - 1 : 0;

    if (area->rows <= 0)
        return;
    lay_out(table, state, area->columns, &layout);
    draw_headings(table, state, &layout, canvas, area);
    if (visible == 0)
        return;
    scroll(table, state, visible);
    for (size_t i = 0; i < visible && state->first + i < table->row_count; i++) {
        int row = area->row + 1 + (int)i;

        draw_row(table, &layout, state->first + i, canvas, area, row);
        if (has_choice && state->first + i == state->selected_index)
            canvas_set_style(canvas, row, area->column, area->columns, STYLE_SELECTED);
    }
}

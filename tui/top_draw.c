/* Owns the frame around a view: title, tabs, body, and the line at the bottom. Changes nothing but
 * where things were drawn. */
#include "common/clock.h"
#include "common/json.h"
#include "common/units.h"
#include "tui/keys.h"
#include "tui/top.h"
#include "tui/word.h"

#include <stdio.h>

enum {
    FRAME_ROWS = 3, /* title, tabs, bottom */
    FRAME_TITLE_ROW = 0,
    FRAME_TAB_ROW = 1,
    TAB_NUMBER_MIN_COLUMNS = 60, /* below, tabs are numbers alone, but for the one that is shown */
    CORNER_COLUMNS = CLOCK_RFC3339_TIME_LEN + 3,
    CORNER_MIN_COLUMNS = 40, /* below, how all is has the room */
    MS_PER_S = 1000,
};

/* ---- title ---- */

/* The clock in the corner. Returns where it begins. */
static int draw_corner(const struct top *top, struct canvas *canvas)
{
    char clock[CLOCK_RFC3339_BYTES];
    int width = canvas->columns < CORNER_MIN_COLUMNS ? 0 : CORNER_COLUMNS;

    clock_format_rfc3339(top->wall_ms, clock);
    clock[CLOCK_RFC3339_TIME_INDEX + CLOCK_RFC3339_TIME_LEN] = 'Z'; /* as logs and events have it */
    clock[CLOCK_RFC3339_TIME_INDEX + CLOCK_RFC3339_TIME_LEN + 1] = '\0';
    canvas_text_right(canvas, FRAME_TITLE_ROW, canvas->columns - width, width - 1, STYLE_DIM,
                      clock + CLOCK_RFC3339_TIME_INDEX);
    return canvas->columns - width;
}

/* That nobody answers, and how old what is shown is. Returns how many columns that took. */
static int draw_link(const struct top *top, struct canvas *canvas, int at, int end)
{
    char age[UNITS_TEXT_BYTES];
    uint64_t age_ms = top->now_ms - top->snapshot.at_ms;

    units_format_duration(age_ms - age_ms % MS_PER_S, age);
    if (top->snapshot.at_ms == 0)
        return canvas_printf(canvas, FRAME_TITLE_ROW, at, end - at, STYLE_WARN, "%s%s%s",
                             top->link == TOP_LOST ? "reconnecting" : "connecting",
                             top->link_reason[0] != '\0' ? ": " : "", top->link_reason);
    return canvas_printf(canvas, FRAME_TITLE_ROW, at, end - at, STYLE_ALERT,
                         " reconnecting; this is %s old ", age);
}

/* What does not fit whole is left out. Returns where the next one goes. */
static int draw_fact(struct canvas *canvas, int at, int end, enum tui_style style, const char *text)
{
    enum { GAP = 2 };
    int width = canvas_text_width(text);

    if (at + width > end)
        return at;
    return at + canvas_text(canvas, FRAME_TITLE_ROW, at, width, style, text) + GAP;
}

static void draw_health(const struct top *top, struct canvas *canvas, int at, int end)
{
    const json_t *status = top->snapshot.parts[SNAPSHOT_STATUS];
    const json_t *workers = snapshot_rows(&top->snapshot, "workers");
    const char *state = json_shown_text(status, "state");
    json_int_t uptime_ms = json_integer_value(json_object_get(status, "uptime_ms"));
    char text[WORD_MAX_BYTES];
    char uptime[UNITS_TEXT_BYTES];

    word_with_sign(canvas, state, text);
    at = draw_fact(canvas, at, end, word_style(state), text);
    (void)snprintf(text, sizeof(text), "workers %zu/%zu", snapshot_count(workers, "state", "ready"),
                   json_array_size(workers)); /* each far shorter than its room */
    at = draw_fact(canvas, at, end, STYLE_NORMAL, text);
    (void)snprintf(text, sizeof(text), "running %.0f", snapshot_sum(workers, "in_flight"));
    at = draw_fact(canvas, at, end, STYLE_NORMAL, text);
    (void)snprintf(text, sizeof(text), "queued %.0f", snapshot_sum(workers, "queued"));
    at = draw_fact(canvas, at, end, STYLE_NORMAL, text);
    (void)snprintf(text, sizeof(text), "%.1f tok/s", snapshot_sum(workers, "tokens_per_second"));
    at = draw_fact(canvas, at, end, STYLE_NORMAL, text);
    units_format_duration(uptime_ms > 0 ? (uint64_t)uptime_ms : 0, uptime);
    (void)snprintf(text, sizeof(text), "up %s", uptime);
    (void)draw_fact(canvas, at, end, STYLE_DIM, text);
}

void top_draw_title(const struct top *top, struct canvas *canvas)
{
    int end = draw_corner(top, canvas);
    int at = canvas_text(canvas, FRAME_TITLE_ROW, 0, end, STYLE_TITLE, " rbee ");

    at += 1;
    if (top->is_paused)
        at += canvas_text(canvas, FRAME_TITLE_ROW, at, end - at, STYLE_ALERT, " paused ") + 1;
    if (top->link != TOP_CONNECTED)
        at += draw_link(top, canvas, at, end) + 2;
    if (top->snapshot.at_ms != 0)
        draw_health(top, canvas, at, end);
}

/* ---- tabs ---- */

static void draw_tabs(struct top *top, struct canvas *canvas)
{
    bool is_narrow = canvas->columns < TAB_NUMBER_MIN_COLUMNS;
    int at = 0;

    for (int i = 0; i < VIEW_COUNT; i++) {
        enum tui_style style = i == (int)top->view ? STYLE_TAB : STYLE_NORMAL;
        bool has_name = !is_narrow || i == (int)top->view;

        at += canvas_printf(canvas, FRAME_TAB_ROW, at, canvas->columns - at, style, " %d%s%s ",
                            i + 1, has_name ? " " : "", has_name ? view_get(i)->tab : "");
        top->tab_ends[i] = at;
    }
    if (top->filters[top->view].text[0] != '\0')
        (void)canvas_printf(canvas, FRAME_TAB_ROW, at + 1, canvas->columns - at - 1, STYLE_WARN,
                            "/%s", top->filters[top->view].text);
}

/* ---- bottom ---- */

/* One that does not fit whole is left out. */
static void draw_keys(const struct top *top, struct canvas *canvas)
{
    size_t count = 0;
    const struct key_row *keys = keys_table(&count);
    int row = canvas->rows - 1;
    int at = 1;

    for (size_t i = 0; i < count; i++) {
        char other[2] = {(char)keys[i].key, '\0'}; /* of a key that the help names with another */
        const char *shown = keys[i].shown[0] != '\0' ? keys[i].shown : other;
        int width = canvas_text_width(shown) + 1 + canvas_text_width(keys[i].bottom);

        if (keys[i].bottom[0] == '\0' || !key_is_of_view(&keys[i], top->view) ||
            at + width >= canvas->columns)
            continue;
        at += canvas_text(canvas, row, at, canvas->columns - at, STYLE_KEY, shown) + 1;
        at += canvas_text(canvas, row, at, canvas->columns - at, STYLE_NORMAL, keys[i].bottom) + 2;
    }
}

static void draw_prompt(const struct top *top, struct canvas *canvas)
{
    static const char *const LABELS[] = {
        [TOP_PROMPT_FILTER] = "/", [TOP_PROMPT_COMMAND] = ":", [TOP_PROMPT_REASON] = "why? "};
    int row = canvas->rows - 1;
    int at = 0;

    if (top->prompt == TOP_PROMPT_REASON)
        at += canvas_printf(canvas, row, at, canvas->columns / 2, STYLE_WARN,
                            " %s: ", top->order.what);
    at += canvas_text(canvas, row, at, canvas->columns - at, STYLE_KEY, LABELS[top->prompt]);
    at += canvas_text(canvas, row, at, canvas->columns - at, STYLE_NORMAL, top->prompt_text);
    canvas_fill(canvas, row, at, 1, STYLE_SELECTED, ' '); /* where the next character goes */
    if (top->prompt_error[0] != '\0')
        (void)canvas_text(canvas, row, at + 2, canvas->columns - at - 2, STYLE_BAD,
                          top->prompt_error);
}

void top_draw_footer(struct top *top, struct canvas *canvas)
{
    int row = canvas->rows - 1;

    if (top->mode == TOP_PROMPT)
        draw_prompt(top, canvas);
    else if (top->mode == TOP_CONFIRM)
        (void)canvas_printf(canvas, row, 0, canvas->columns, STYLE_ALERT, " y: yes, else no   %s? ",
                            top->order.what);
    else if (top->message[0] != '\0')
        (void)canvas_text(canvas, row, 1, canvas->columns - 1, top->message_style, top->message);
    else
        draw_keys(top, canvas);
}

/* ---- body ---- */

void top_draw_table(struct top *top, struct canvas *canvas, const struct area *area)
{
    struct table table;

    top_build_table(top, &table);
    top->list_area = *area;
    table_draw(&table, &top->tables[top->view], canvas, area, true);
    if (table.row_count == 0 && area->rows > 1)
        (void)canvas_text(canvas, area->row + 1, area->column, area->columns, STYLE_DIM,
                          table.all_count > 0        ? "nothing fits the filter (Esc drops it)"
                          : top->snapshot.at_ms != 0 ? "none"
                                                     : "");
    table_release(&table);
}

void top_draw_plain_table(struct top *top, enum view_id view, struct canvas *canvas,
                          const struct area *area)
{
    static const struct filter EVERY_ROW = {.has_regex = false};
    const json_t *rows = snapshot_rows(&top->snapshot, view_get(view)->rows);
    struct table_state state = TABLE_STATE_INIT;
    struct table table;

    table_build(&table, view, rows, &EVERY_ROW, &state);
    table_draw(&table, &state, canvas, area, false);
    if (table.row_count == 0 && area->rows > 1)
        (void)canvas_text(canvas, area->row + 1, area->column, area->columns, STYLE_DIM, "none");
    table_release(&table);
}

static void draw_view(struct top *top, struct canvas *canvas, const struct area *body)
{
    static void (*const DRAW[VIEW_COUNT])(struct top *, struct canvas *, const struct area *) = {
        [VIEW_OVERVIEW] = top_draw_overview, [VIEW_WORKERS] = top_draw_table,
        [VIEW_REQUESTS] = top_draw_table,    [VIEW_GPUS] = top_draw_gpus,
        [VIEW_BREAKERS] = top_draw_table,    [VIEW_EVENTS] = top_draw_lines,
        [VIEW_LOGS] = top_draw_lines,
    };

    struct area whole = {body->row, 0, body->rows, canvas->columns}; /* a why is 80 columns wide */

    if (top->detail.is_open)
        top_draw_detail(top, canvas, &whole);
    else
        DRAW[top->view](top, canvas, body);
}

void top_draw(struct top *top, struct canvas *canvas)
{
    /* A column is left free on either side where there is room. */
    int margin = canvas->columns >= TAB_NUMBER_MIN_COLUMNS;
    struct area body = {.row = 2,
                        .column = margin,
                        .rows = canvas->rows - FRAME_ROWS,
                        .columns = canvas->columns - 2 * margin};

    top->wants_redraw = false;
    top_draw_title(top, canvas);
    draw_tabs(top, canvas);
    if (body.rows > 0 && body.columns > 0) {
        if (top->mode == TOP_HELP)
            top_draw_help(top, canvas, &body);
        else if (top->mode == TOP_COLUMNS)
            top_draw_columns(top, canvas, &body);
        else
            draw_view(top, canvas, &body);
    }
    top_draw_footer(top, canvas);
}

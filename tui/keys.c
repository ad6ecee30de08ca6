/* Owns what the keys of a view do to the dashboard. Must not know how a frame looks; prompts and
 * questions are answered in top_prompt.c. */
#include "tui/keys.h"

#include "common/attr.h"
#include "common/json.h"
#include "tui/top.h"

#include <stdio.h>
#include <string.h>

enum { KEYS_BACK_MAX = LINES_MAX_COUNT, KEYS_SHIFT_COLUMNS = 20 };

#define KEY(key, shown, views, function, bottom, help)                                             \
    static void function(struct top *top, uint32_t pressed);
#include "tui/keys.def"
#undef KEY

#define ONLY(view) (1U << VIEW_##view)
enum {
#define VIEW(id, word, tab, record, rows) VIEWS_##id = ONLY(id),
#include "tui/views.def"
#undef VIEW
    VIEWS_EVERY = (1U << VIEW_COUNT) - 1,
    VIEWS_TEXT = ONLY(EVENTS) | ONLY(LOGS),
    VIEWS_ROWS = VIEWS_EVERY & ~VIEWS_TEXT,
    VIEWS_WORKER_ROWS = ONLY(OVERVIEW) | ONLY(WORKERS),
};

/* The same for people. */
#define WHERE_EVERY ""
#define WHERE_TEXT "text"
#define WHERE_ROWS "tables"
#define WHERE_WORKER_ROWS "workers"
#define WHERE_REQUESTS "requests"
#define WHERE_BREAKERS "breakers"
#define WHERE_LOGS "logs"

static const struct key_row KEYS[] = {
#define KEY(key, shown, views, function, bottom, help)                                             \
    {key, shown, VIEWS_##views, WHERE_##views, function, bottom, help},
#include "tui/keys.def"
#undef KEY
};

const struct key_row *keys_table(size_t *out_count)
{
    *out_count = ARRAY_COUNT(KEYS);
    return KEYS;
}

bool key_is_of_view(const struct key_row *row, enum view_id view)
{
    return (row->views >> view & 1) != 0;
}

const struct key_row *key_find(uint32_t key, enum view_id view)
{
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        if (KEYS[i].key == key && key_is_of_view(&KEYS[i], view))
            return &KEYS[i];
    }
    return NULL;
}

/* ---- views ---- */

static void key_view_number(struct top *top, uint32_t pressed)
{
    top_show_view(top, (enum view_id)(pressed - '1'));
}

static void key_next_view(struct top *top, uint32_t pressed)
{
    top_show_view(top, (top->view + 1) % VIEW_COUNT);
}

static void key_previous_view(struct top *top, uint32_t pressed)
{
    top_show_view(top, (top->view + VIEW_COUNT - 1) % VIEW_COUNT);
}

static void key_command(struct top *top, uint32_t pressed)
{
    top_prompt_open(top, TOP_PROMPT_COMMAND, "");
}

static void key_filter(struct top *top, uint32_t pressed)
{
    top_prompt_open(top, TOP_PROMPT_FILTER, top->filters[top->view].text);
}

static void key_help(struct top *top, uint32_t pressed)
{
    top->mode = TOP_HELP;
    top->help_first = 0;
}

static void key_quit(struct top *top, uint32_t pressed)
{
    top->wants_quit = true;
}

static void key_pause(struct top *top, uint32_t pressed)
{
    top_pause(top, !top->is_paused);
}

/* From the detail to its view, then from the filter to every row. */
static void key_back(struct top *top, uint32_t pressed)
{
    if (top->detail.is_open)
        top->detail.is_open = false;
    else
        filter_release(&top->filters[top->view]);
}

/* ---- moving ---- */

static bool view_is_text(enum view_id view)
{
    return (VIEWS_TEXT >> view & 1) != 0;
}

static void scroll_text(struct top *top, long steps)
{
    struct top_scroll *scroll = &top->scrolls[top->view];
    long back = (long)scroll->back - steps;

    scroll->back = back < 0 ? 0 : back > KEYS_BACK_MAX ? KEYS_BACK_MAX : (size_t)back;
    scroll->is_held = scroll->back > 0; /* at its end it goes on by itself */
}

static void scroll_detail(struct top *top, long steps)
{
    long first = top->detail.first + steps;
    long last = top->detail.line_count - 1;

    first = first > last ? last : first;
    top->detail.first = first < 0 ? 0 : (int)first; /* drawing stops at the last page */
}

static void move(struct top *top, long steps)
{
    struct table table;

    if (top->detail.is_open) {
        scroll_detail(top, steps);
    } else if (view_is_text(top->view)) {
        scroll_text(top, steps);
    } else {
        top_build_table(top, &table);
        table_move(&table, &top->tables[top->view], steps);
        table_release(&table);
    }
}

static long page(const struct top *top)
{
    int rows = top->list_area.rows - 2;

    return rows > 1 ? rows : 1;
}

static void key_up(struct top *top, uint32_t pressed)
{
    move(top, -1);
}

static void key_down(struct top *top, uint32_t pressed)
{
    move(top, 1);
}

static void key_page_up(struct top *top, uint32_t pressed)
{
    move(top, -page(top));
}

static void key_page_down(struct top *top, uint32_t pressed)
{
    move(top, page(top));
}

static void key_home(struct top *top, uint32_t pressed)
{
    move(top, -KEYS_BACK_MAX);
}

static void key_end(struct top *top, uint32_t pressed)
{
    move(top, KEYS_BACK_MAX);
}

static void shift(struct top *top, int columns)
{
    struct top_scroll *scroll = &top->scrolls[top->view];

    scroll->shift += columns;
    if (scroll->shift < 0)
        scroll->shift = 0;
    if (scroll->shift > LINE_MAX_BYTES)
        scroll->shift = LINE_MAX_BYTES;
}

static void key_left(struct top *top, uint32_t pressed)
{
    shift(top, -KEYS_SHIFT_COLUMNS);
}

static void key_right(struct top *top, uint32_t pressed)
{
    shift(top, KEYS_SHIFT_COLUMNS);
}

static void key_follow(struct top *top, uint32_t pressed)
{
    struct top_scroll *scroll = &top->scrolls[top->view];

    scroll->is_held = !scroll->is_held;
    if (!scroll->is_held)
        scroll->back = 0;
}

/* ---- tables ---- */

static void sort_by(struct top *top, int step)
{
    struct view_column columns[VIEW_COLUMN_MAX_COUNT];
    int count = (int)view_columns(top->view, columns);
    struct table_state *state = &top->tables[top->view];

    /* One more place than there are columns: -1, the supervisor's own order. */
    state->sort_column = (state->sort_column + 1 + step + count + 1) % (count + 1) - 1;
    if (state->sort_column >= 0)
        top_say(top, STYLE_NORMAL, "ordered by %s", columns[state->sort_column].field->heading);
    else
        top_say(top, STYLE_NORMAL, "in the supervisor's order");
}

static void key_sort_left(struct top *top, uint32_t pressed)
{
    sort_by(top, -1);
}

static void key_sort_right(struct top *top, uint32_t pressed)
{
    sort_by(top, 1);
}

static void key_sort_invert(struct top *top, uint32_t pressed)
{
    struct table_state *state = &top->tables[top->view];

    state->is_reversed = !state->is_reversed;
}

static void key_columns(struct top *top, uint32_t pressed)
{
    top->mode = TOP_COLUMNS;
    top->column_choice = 0;
}

static void key_details(struct top *top, uint32_t pressed)
{
    enum view_id view;
    const json_t *row = top_subject(top, &view);

    if (row == NULL || top->detail.is_open)
        return;
    json_decref(top->detail.why);
    top->detail = (struct top_detail){.is_open = true, .view = view};
    (void)snprintf(top->detail.key, sizeof(top->detail.key), "%s", snapshot_key(row));
    if (top_wanted_why(top) != NULL)
        top_choose_log(top, top->detail.key);
}

/* ---- logs ---- */

static void key_log(struct top *top, uint32_t pressed)
{
    enum view_id view;
    const json_t *row = top_subject(top, &view);

    if (row == NULL)
        return;
    top_choose_log(top, snapshot_key(row));
    top_show_view(top, VIEW_LOGS);
}

/* The supervisor's log comes before those of the workers. */
static void step_log(struct top *top, long step)
{
    const json_t *workers = snapshot_rows(&top->snapshot, "workers");
    long count = (long)json_array_size(workers) + 1;
    long at = 0;

    for (long i = 1; i < count; i++) {
        if (strcmp(snapshot_key(json_array_get(workers, (size_t)i - 1)), top->log_worker) == 0)
            at = i;
    }
    at = (at + step + count) % count;
    top_choose_log(top, at == 0 ? "" : snapshot_key(json_array_get(workers, (size_t)at - 1)));
}

static void key_log_before(struct top *top, uint32_t pressed)
{
    step_log(top, -1);
}

static void key_log_next(struct top *top, uint32_t pressed)
{
    step_log(top, 1);
}

/* ---- orders ---- */

/* Of what can stand in an address as it is, which names and ids are made of. */
static bool is_addressable(const char *key)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";

    return key[0] != '\0' && key[0] != '.' && strspn(key, ALLOWED) == strlen(key);
}

/* Asks whether the row that is chosen shall be treated so: its name goes between BEFORE and AFTER.
 */
static void propose(struct top *top, enum http_method method, const char *before, const char *after,
                    const char *what)
{
    enum view_id view;
    const json_t *row = top_subject(top, &view);
    const char *key = row != NULL ? snapshot_key(row) : "";

    if (row == NULL)
        return;
    if (top->is_readonly) {
        top_say(top, STYLE_WARN, "nothing is changed from here: --readonly");
        return;
    }
    if (!is_addressable(key)) {
        top_say(top, STYLE_BAD, "no name that can be asked for: %s", key);
        return;
    }
    top->order = (struct top_order){.method = method};
    (void)snprintf(top->order.target, sizeof(top->order.target), "%s%s%s", before, key, after);
    (void)snprintf(top->order.what, sizeof(top->order.what), "%s %s", what, key);
    top->mode = TOP_CONFIRM;
}

static void key_restart(struct top *top, uint32_t pressed)
{
    propose(top, HTTP_POST, "/v1/workers/", "/restart", "restart worker");
}

static void key_start(struct top *top, uint32_t pressed)
{
    propose(top, HTTP_POST, "/v1/workers/", "/start", "start worker");
}

static void key_stop(struct top *top, uint32_t pressed)
{
    propose(top, HTTP_POST, "/v1/workers/", "/stop", "stop worker");
}

static void key_hold(struct top *top, uint32_t pressed)
{
    enum view_id view;
    const json_t *row = top_subject(top, &view);

    if (strcmp(json_shown_text(row, "state"), "held") == 0) {
        propose(top, HTTP_POST, "/v1/workers/", "/release", "release worker");
        return;
    }
    propose(top, HTTP_POST, "/v1/workers/", "/hold", "hold worker");
    if (top->mode == TOP_CONFIRM)
        top_prompt_open(top, TOP_PROMPT_REASON, "");
}

static void key_reset(struct top *top, uint32_t pressed)
{
    propose(top, HTTP_POST, "/v1/breakers/", "/reset", "reset the breaker of");
}

static void key_cancel(struct top *top, uint32_t pressed)
{
    propose(top, HTTP_DELETE, "/v1/inference/", "", "cancel request");
}

/* ---- other modes, and the mouse ---- */

static void help_on_key(struct top *top, uint32_t key)
{
    int page_rows = (int)page(top);

    if (key == TUI_KEY_UP || key == 'k')
        top->help_first--;
    else if (key == TUI_KEY_DOWN || key == 'j')
        top->help_first++;
    else if (key == TUI_KEY_PAGE_UP || key == TUI_KEY_WHEEL_UP)
        top->help_first -= page_rows;
    else if (key == TUI_KEY_PAGE_DOWN || key == TUI_KEY_WHEEL_DOWN || key == ' ')
        top->help_first += page_rows;
    else
        top->mode = TOP_NORMAL;
    if (top->help_first < 0)
        top->help_first = 0; /* drawing stops at the last page */
}

static void columns_on_key(struct top *top, uint32_t key)
{
    struct view_column columns[VIEW_COLUMN_MAX_COUNT];
    size_t count = view_columns(top->view, columns);
    struct table_state *state = &top->tables[top->view];

    if ((key == TUI_KEY_UP || key == 'k') && top->column_choice > 0)
        top->column_choice--;
    else if ((key == TUI_KEY_DOWN || key == 'j') && top->column_choice + 1 < count)
        top->column_choice++;
    else if (key == ' ' && top->column_choice > 0) /* the first one names the row */
        state->hidden ^= 1U << top->column_choice;
    else if (key == TUI_KEY_ESCAPE || key == TUI_KEY_ENTER || key == 'q' || key == 'c')
        top->mode = TOP_NORMAL;
}

static void click(struct top *top, const struct tui_event *event)
{
    struct table table;
    int offset = event->row - top->list_area.row - 1;
    bool is_chosen = false;

    for (int i = 0; event->row == 1 && i < VIEW_COUNT; i++) {
        if (event->column < top->tab_ends[i]) {
            top_show_view(top, (enum view_id)i);
            return;
        }
    }
    if (top->detail.is_open || view_is_text(top->view) || offset < 0 ||
        offset >= top->list_area.rows - 1)
        return;
    top_build_table(top, &table);
    is_chosen = table_choose(&table, &top->tables[top->view], (size_t)offset);
    table_release(&table);
    if (is_chosen && event->key == TUI_KEY_DOUBLE_CLICK)
        key_details(top, event->key);
}

static void on_key(struct top *top, const struct tui_event *event)
{
    enum { WHEEL_ROWS = 3 };
    const struct key_row *row = key_find(event->key, top->view);

    if (event->key == TUI_KEY_CLICK || event->key == TUI_KEY_DOUBLE_CLICK)
        click(top, event);
    else if (event->key == TUI_KEY_WHEEL_UP)
        move(top, -WHEEL_ROWS);
    else if (event->key == TUI_KEY_WHEEL_DOWN)
        move(top, WHEEL_ROWS);
    else if (row != NULL)
        row->run(top, event->key);
}

void top_on_event(struct top *top, const struct tui_event *event)
{
    top->message[0] = '\0'; /* it has been seen */
    switch (top->mode) {
    case TOP_NORMAL:
        on_key(top, event);
        break;
    case TOP_HELP:
        help_on_key(top, event->key);
        break;
    case TOP_COLUMNS:
        columns_on_key(top, event->key);
        break;
    case TOP_PROMPT:
        top_prompt_on_key(top, event->key);
        break;
    case TOP_CONFIRM:
        top_confirm_on_key(top, event->key);
        break;
    }
}

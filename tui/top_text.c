/* Owns what is shown as lines: events, logs, and everything known of one row. */
#include "common/json.h"
#include "common/records.h"
#include "common/why_text.h"
#include "tui/top.h"

#include <string.h>

enum {
    DETAIL_MAX_BYTES = 64 << 10,
    DETAIL_LOG_LINES = 200,
};

/* ---- events and logs ---- */

static const struct lines *lines_of(const struct top *top, enum view_id view)
{
    return view == VIEW_LOGS ? &top->log : &top->events;
}

static void draw_caption(const struct top *top, struct canvas *canvas, const struct area *area,
                         size_t count)
{
    const struct top_scroll *scroll = &top->scrolls[top->view];
    bool is_log = top->view == VIEW_LOGS;
    bool is_own = top->log_worker[0] == '\0';

    (void)canvas_printf(canvas, area->row, area->column, area->columns, STYLE_HEADING,
                        "%s%s  %zu lines%s", is_log ? "log of " : "events",
                        !is_log  ? ""
                        : is_own ? "the supervisor"
                                 : top->log_worker,
                        count, scroll->is_held ? "  (held: f goes on)" : "");
}

void top_draw_lines(struct top *top, struct canvas *canvas, const struct area *area)
{
    uint16_t found[LINES_MAX_COUNT];
    const struct lines *lines = lines_of(top, top->view);
    struct top_scroll *scroll = &top->scrolls[top->view];
    size_t count = lines_filter(lines, &top->filters[top->view], found);
    size_t visible = area->rows > 1 ? (size_t)area->rows - 1 : 0;
    size_t back_max = count > visible ? count - visible : 0;
    size_t first = 0;

    top->list_area = *area;
    scroll->back = scroll->back < back_max ? scroll->back : back_max;
    first = back_max - scroll->back;
    draw_caption(top, canvas, area, count);
    for (size_t i = 0; i < visible && first + i < count; i++) {
        const struct line *line = lines_get(lines, found[first + i]);

        (void)canvas_text(canvas, area->row + 1 + (int)i, area->column, area->columns, line->style,
                          canvas_text_skip(line->text, scroll->shift));
    }
}

void top_draw_last_events(struct top *top, struct canvas *canvas, const struct area *area)
{
    size_t visible = area->rows > 1 ? (size_t)area->rows - 1 : 0;
    size_t past = top->is_paused ? top->scrolls[VIEW_EVENTS].back : 0;
    size_t kept = top->events.count > past ? top->events.count - past : 0;
    size_t count = kept < visible ? kept : visible;

    (void)canvas_text(canvas, area->row, area->column, area->columns, STYLE_HEADING, "LAST EVENTS");
    for (size_t i = 0; i < count; i++) {
        const struct line *line = lines_get(&top->events, kept - count + i);

        (void)canvas_text(canvas, area->row + 1 + (int)i, area->column, area->columns, line->style,
                          line->text);
    }
}

/* ---- one row, whole ---- */

static void add_log(const struct top *top, struct buf *out)
{
    size_t count = top->log.count < DETAIL_LOG_LINES ? top->log.count : DETAIL_LOG_LINES;

    (void)buf_add_string(out, "\nlast lines of its log\n"); /* cut at its maximum, as the rest */
    for (size_t i = 0; i < count; i++)
        (void)buf_printf(out, "  %s\n", lines_get(&top->log, top->log.count - count + i)->text);
}

/* What the detail says, as lines. */
static void add_detail(struct top *top, struct buf *out)
{
    enum view_id view;
    const json_t *row = top_subject(top, &view);

    if (top_wanted_why(top) != NULL) {
        if (top->detail.why != NULL)
            why_text(top->detail.why, out);
        else
            (void)buf_printf(out, "%s\n", top->detail.key); /* far below the maximum */
        add_log(top, out);
    } else if (row != NULL) {
        record_print_details(view_get(view)->record, row, out);
    } else {
        (void)buf_printf(out, "%s has gone\n", top->detail.key);
    }
}

static int count_lines(const struct buf *text)
{
    int count = 0;

    for (size_t i = 0; i < text->len; i++)
        count += text->data[i] == '\n';
    return count;
}

void top_draw_detail(struct top *top, struct canvas *canvas, const struct area *body)
{
    AUTO_BUF struct buf text = BUF_INIT(DETAIL_MAX_BYTES);
    char *rest = NULL;
    char *line = NULL;
    int number = 0;

    add_detail(top, &text);
    top->list_area = *body;
    top->detail.line_count = count_lines(&text);
    if (top->detail.first > top->detail.line_count - body->rows)
        top->detail.first = top->detail.line_count - body->rows;
    if (top->detail.first < 0)
        top->detail.first = 0;
    rest = text.data;
    while ((line = strsep(&rest, "\n")) != NULL && number < top->detail.first + body->rows) {
        if (number >= top->detail.first)
            (void)canvas_text(canvas, body->row + number - top->detail.first, body->column,
                              body->columns, STYLE_NORMAL, line);
        number++;
    }
}

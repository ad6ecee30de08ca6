/* Owns the state of the dashboard, and what data does to it. Must not know keys or how it looks. */
#include "tui/top.h"

#include "common/clock.h"
#include "common/event_text.h"
#include "common/json.h"
#include "common/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TOP_STEP_MAX_MS = 3600 * 1000 };

void top_init(struct top *top, uint64_t look_ms, bool is_readonly)
{
    *top = (struct top){.look_ms = look_ms, .is_readonly = is_readonly};
    for (int i = 0; i < VIEW_COUNT; i++)
        top->tables[i] = (struct table_state)TABLE_STATE_INIT;
}

void top_release(struct top *top)
{
    snapshot_release(&top->snapshot);
    history_release(&top->history);
    lines_release(&top->events);
    lines_release(&top->log);
    for (int i = 0; i < VIEW_COUNT; i++)
        filter_release(&top->filters[i]);
    json_decref(top->detail.why);
}

void top_set_time(struct top *top, uint64_t monotonic_ms, int64_t wall_ms)
{
    top->now_ms = monotonic_ms;
    top->wall_ms = wall_ms;
    if (top->message[0] != '\0' && monotonic_ms >= top->message_end_ms)
        top->message[0] = '\0';
}

void top_say(struct top *top, enum tui_style style, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(top->message, sizeof(top->message), format, args); /* cut: it is one line */
    va_end(args);
    top->message_style = style;
    top->message_end_ms = top->now_ms + TOP_MESSAGE_MS;
    top->wants_redraw = true;
}

void top_take_link(struct top *top, enum top_link link, const char *reason)
{
    top->link = link;
    (void)snprintf(top->link_reason, sizeof(top->link_reason), "%s", reason); /* one line */
    top->wants_redraw = true;
}

/* ---- the snapshot ---- */

static void remember_load(struct top *top)
{
    const json_t *workers = snapshot_rows(&top->snapshot, "workers");

    history_add(&top->history, "tokens_per_second", snapshot_sum(workers, "tokens_per_second"));
    history_add(&top->history, "queued", snapshot_sum(workers, "queued"));
}

void top_name_gpu_series(const char *id, const char *field, char out[HISTORY_NAME_BYTES])
{
    (void)snprintf(out, HISTORY_NAME_BYTES, "%s %s", id, field); /* a longer id is no series */
}

static double reading(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void remember_gpus(struct top *top)
{
    size_t graph_count = 0;
    const struct top_gpu_graph *graphs = top_gpu_graphs(&graph_count);
    const json_t *gpu = NULL;
    size_t index = 0;

    json_array_foreach(snapshot_rows(&top->snapshot, "gpus"), index, gpu)
    {
        for (size_t i = 0; i < graph_count; i++) {
            char name[HISTORY_NAME_BYTES];

            top_name_gpu_series(snapshot_key(gpu), graphs[i].field, name);
            history_add(&top->history, name, reading(json_object_get(gpu, graphs[i].field)));
        }
    }
}

void top_take_part(struct top *top, enum snapshot_part part, json_t *reply)
{
    struct err err = ERR_INIT;

    if (top->is_paused) {
        json_decref(reply);
        return;
    }
    if (snapshot_take(&top->snapshot, part, reply, top->now_ms, &err) < 0) {
        top_take_link(top, TOP_LOST, err.message);
        return;
    }
    if (part == SNAPSHOT_STATUS)
        remember_load(top);
    if (part == SNAPSHOT_GPUS)
        remember_gpus(top);
    top->wants_redraw = true;
}

/* VALUES, one for each STEP_MS, as if they had been read every look, and behind them what has been
 * read since. */
static void remember_past(struct top *top, const char *name, const json_t *values, uint64_t step_ms)
{
    double own[HISTORY_COUNT];
    size_t own_count = history_copy(&top->history, name, own, HISTORY_COUNT);
    uint64_t look_count = json_array_size(values) * step_ms / top->look_ms;
    uint64_t first = look_count > HISTORY_COUNT ? look_count - HISTORY_COUNT : 0;

    history_forget(&top->history, name);
    for (uint64_t look = first; look < look_count; look++)
        history_add(&top->history, name,
                    reading(json_array_get(values, (size_t)(look * top->look_ms / step_ms))));
    for (size_t i = 0; i < own_count; i++)
        history_add(&top->history, name, own[i]);
}

void top_take_gpu_history(struct top *top, const char *id, const json_t *reply)
{
    size_t graph_count = 0;
    const struct top_gpu_graph *graphs = top_gpu_graphs(&graph_count);
    json_int_t step_ms = json_integer_value(json_object_get(reply, "step_ms"));

    if (step_ms <= 0 || step_ms > TOP_STEP_MAX_MS)
        return; /* none that we know how to draw */
    for (size_t i = 0; i < graph_count; i++) {
        char name[HISTORY_NAME_BYTES];

        top_name_gpu_series(id, graphs[i].field, name);
        remember_past(top, name, json_object_get(reply, graphs[i].field), (uint64_t)step_ms);
    }
}

/* ---- lines ---- */

/* "2026-11-21T22:51:07.123Z" has its time of day in the middle. */
static const char *time_of_day(const json_t *object, int *out_len)
{
    const char *at = json_shown_text(object, "at");
    bool has_time = strlen(at) >= CLOCK_RFC3339_TIME_INDEX + CLOCK_RFC3339_TIME_LEN;

    *out_len = has_time ? CLOCK_RFC3339_TIME_LEN : 0;
    return has_time ? at + CLOCK_RFC3339_TIME_INDEX : "";
}

static enum tui_style event_style(const json_t *event)
{
    static const char *const BAD[] = {"open", "failed", "lost", "forced_open"};
    const char *to = json_shown_text(json_object_get(event, "details"), "to");

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        if (strcmp(to, BAD[i]) == 0)
            return STYLE_BAD;
    }
    return strcmp(to, "waiting") == 0 || strcmp(to, "held") == 0 ? STYLE_WARN : STYLE_NORMAL;
}

/* A line came: what is on the screen stays there, where it shall. */
static void hold_place(struct top *top, enum view_id view)
{
    struct top_scroll *scroll = &top->scrolls[view];

    if ((scroll->is_held || top->is_paused) && scroll->back < LINES_MAX_COUNT)
        scroll->back++;
}

void top_take_event(struct top *top, const json_t *event)
{
    AUTO_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
    const char *worker = json_shown_text(event, "worker");
    int len = 0;
    const char *at = time_of_day(event, &len);

    if (strcmp(json_shown_text(event, "type"), "gap") == 0) {
        event_text_gap(&line, event);
    } else {
        (void)buf_printf(&line, "%.*s  %-12s  ", len, at, worker[0] != '\0' ? worker : "-");
        event_text_what(&line, event);
    }
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] == '\n')
            line.data[i] = ' '; /* a cause may have several lines */
    }
    lines_add(&top->events, event_style(event), line.data);
    hold_place(top, VIEW_EVENTS);
    top->wants_redraw = true;
}

void top_take_log_line(struct top *top, const json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "text"));
    int len = 0;
    const char *at = time_of_day(line, &len);
    AUTO_BUF struct buf out = BUF_INIT(LINE_MAX_BYTES);

    (void)buf_printf(&out, "%.*s%s", len, at, len > 0 ? " " : ""); /* shorter than its maximum */
    if (text == NULL)
        (void)buf_add_string(&out, "(lines are missing here: the log has turned over)");
    else
        (void)buf_add(&out, text, strnlen(text, LINE_MAX_BYTES - out.len));
    lines_add(&top->log, STYLE_NORMAL, out.data);
    hold_place(top, VIEW_LOGS);
    top->wants_redraw = true;
}

void top_take_why(struct top *top, const char *worker, json_t *why)
{
    if (top->is_paused || strcmp(worker, top->detail.key) != 0) {
        json_decref(why);
        return;
    }
    json_decref(top->detail.why);
    top->detail.why = why;
    top->wants_redraw = true;
}

/* ---- orders ---- */

bool top_next_order(struct top *top, struct top_order *out)
{
    if (!top->has_order)
        return false;
    *out = top->order;
    top->has_order = false;
    return true;
}

void top_take_outcome(struct top *top, const struct top_order *order, const struct err *failure)
{
    if (failure == NULL)
        top_say(top, STYLE_GOOD, "%s: done", order->what);
    else
        top_say(top, STYLE_BAD, "%s: %s", order->what, failure->message);
}

const char *top_wanted_log(const struct top *top)
{
    bool is_shown = top->view == VIEW_LOGS || top_wanted_why(top) != NULL;

    return is_shown ? top->log_worker : NULL;
}

const char *top_wanted_why(const struct top *top)
{
    bool is_worker = top->detail.view == VIEW_WORKERS || top->detail.view == VIEW_OVERVIEW;

    return top->detail.is_open && is_worker ? top->detail.key : NULL;
}

/* ---- what is shown ---- */

void top_pause(struct top *top, bool is_paused)
{
    top->is_paused = is_paused;
    for (int i = 0; !is_paused && i < VIEW_COUNT; i++) {
        if (!top->scrolls[i].is_held)
            top->scrolls[i].back = 0;
    }
}

void top_build_table(struct top *top, struct table *out)
{
    const json_t *rows = snapshot_rows(&top->snapshot, view_get(top->view)->rows);

    table_build(out, top->view, rows, &top->filters[top->view], &top->tables[top->view]);
}

void top_show_view(struct top *top, enum view_id view)
{
    top->view = view;
    top->detail.is_open = false;
    top->mode = TOP_NORMAL;
}

void top_choose_log(struct top *top, const char *worker)
{
    if (strcmp(top->log_worker, worker) == 0)
        return;
    (void)snprintf(top->log_worker, sizeof(top->log_worker), "%s", worker);
    lines_release(&top->log);
    top->scrolls[VIEW_LOGS] = (struct top_scroll){.back = 0};
}

const json_t *top_subject(struct top *top, enum view_id *out_view)
{
    struct table table;
    const json_t *row = NULL;

    *out_view = top->view;
    if (top->detail.is_open)
        return snapshot_find(&top->snapshot, view_get(top->view)->rows, top->detail.key);
    top_build_table(top, &table);
    row = table_selected(&table, &top->tables[top->view]);
    table_release(&table);
    return row;
}

/* Owns the overview: load as graphs, GPUs as bars, workers as a table, and what happened last. */
#include "common/json.h"
#include "common/units.h"
#include "tui/graph.h"
#include "tui/top.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    OVERVIEW_GRAPH_MIN_ROWS = 14, /* below, graphs are left out */
    OVERVIEW_GRAPH_ROWS = 4,
    OVERVIEW_TALL_ROWS = 40, /* from here on graphs are twice as high */
    OVERVIEW_GPU_MAX_ROWS = 4,
    OVERVIEW_REASON_MAX_ROWS = 2,
    OVERVIEW_EVENT_MIN_ROWS = 2,
    OVERVIEW_REQUEST_MIN_ROWS = 12, /* below, requests have their own view alone */
    OVERVIEW_BAR_COLUMNS = 12,
    OVERVIEW_MEMORY_COLUMNS = 20,
    GPU_NAME_MIN_COLUMNS = 110, /* from here on a GPU's name is shown, too */
    GPU_NAME_COLUMNS = 28,
    OVERVIEW_TOKENS_LEAST = 10, /* what the top of the graph stands for at least */
    OVERVIEW_QUEUE_LEAST = 4,   /* the same of the other one */
    PERCENT = 100,
};

/* ---- graphs ---- */

/* A graph of SERIES with a line above it: what it is, and the number now. */
static void draw_load(const struct top *top, struct canvas *canvas, const struct area *area,
                      const char *series, const char *caption, double least_max)
{
    double values[HISTORY_COUNT];
    size_t capacity = graph_capacity(canvas, area->columns);
    size_t count = history_copy(&top->history, series, values,
                                capacity < HISTORY_COUNT ? capacity : HISTORY_COUNT);
    double max = graph_scale(values, count, least_max);
    struct area graph = {area->row + 1, area->column, area->rows - 1, area->columns};
    char top_of[TOP_MESSAGE_MAX_BYTES];

    (void)snprintf(top_of, sizeof(top_of), "%g", max);
    (void)canvas_text(canvas, area->row, area->column, area->columns, STYLE_HEADING, caption);
    canvas_text_right(canvas, area->row, area->column + area->columns / 2,
                      area->columns - area->columns / 2, STYLE_DIM, top_of);
    graph_draw(canvas, &graph, STYLE_GRAPH, values, count, max);
}

static void draw_graphs(const struct top *top, struct canvas *canvas, const struct area *area)
{
    const json_t *workers = snapshot_rows(&top->snapshot, "workers");
    int half = (area->columns - 2) / 2;
    struct area left = {area->row, area->column, area->rows, half};
    struct area right = {area->row, area->column + area->columns - half, area->rows, half};
    char caption[TOP_MESSAGE_MAX_BYTES];

    (void)snprintf(caption, sizeof(caption), "tokens/s %.1f",
                   snapshot_sum(workers, "tokens_per_second"));
    draw_load(top, canvas, &left, "tokens_per_second", caption, OVERVIEW_TOKENS_LEAST);
    (void)snprintf(caption, sizeof(caption), "queued %.0f, running %.0f",
                   snapshot_sum(workers, "queued"), snapshot_sum(workers, "in_flight"));
    draw_load(top, canvas, &right, "queued", caption, OVERVIEW_QUEUE_LEAST);
}

/* ---- GPUs ---- */

static double number_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* "87%", or "-" for what is not known. */
static void format_with_unit(const json_t *gpu, const char *field, const char *unit,
                             char out[UNITS_TEXT_BYTES])
{
    size_t len = 0;

    top_format_reading(gpu, field, out);
    len = strlen(out);
    if (strcmp(out, "-") != 0)
        (void)snprintf(out + len, UNITS_TEXT_BYTES - len, "%s", unit);
}

static int draw_share(struct canvas *canvas, int row, int at, double share, const char *text,
                      int text_columns)
{
    graph_bar(canvas, row, at, OVERVIEW_BAR_COLUMNS, STYLE_GRAPH, share);
    canvas_text_right(canvas, row, at + OVERVIEW_BAR_COLUMNS, text_columns, STYLE_NORMAL, text);
    return OVERVIEW_BAR_COLUMNS + text_columns + 2;
}

static void draw_gpu(const json_t *gpu, struct canvas *canvas, const struct area *area, int row)
{
    enum { ID_COLUMNS = 7, PERCENT_COLUMNS = 5, NUMBER_COLUMNS = 6 };
    double used = number_of(gpu, "memory_used_bytes");
    double total = number_of(gpu, "memory_total_bytes");
    char text[UNITS_TEXT_BYTES];
    char used_text[UNITS_TEXT_BYTES];
    char both[2 * UNITS_TEXT_BYTES];
    int at = area->column;

    (void)canvas_text(canvas, row, at, ID_COLUMNS, STYLE_HEADING, snapshot_key(gpu));
    at += ID_COLUMNS;
    if (area->columns >= GPU_NAME_MIN_COLUMNS) {
        (void)canvas_text(canvas, row, at, GPU_NAME_COLUMNS, STYLE_NORMAL,
                          json_shown_text(gpu, "name"));
        at += GPU_NAME_COLUMNS + 2;
    }
    format_with_unit(gpu, "busy_percent", "%", text);
    at += draw_share(canvas, row, at, number_of(gpu, "busy_percent") / PERCENT, text,
                     PERCENT_COLUMNS);
    top_format_reading(gpu, "memory_used_bytes", used_text);
    top_format_reading(gpu, "memory_total_bytes", text);
    (void)snprintf(both, sizeof(both), "%s/%s", used_text, text);
    at += draw_share(canvas, row, at, used / total, both, OVERVIEW_MEMORY_COLUMNS);
    format_with_unit(gpu, "temperature_celsius", "C", text);
    canvas_text_right(canvas, row, at, NUMBER_COLUMNS, STYLE_NORMAL, text);
    at += NUMBER_COLUMNS;
    format_with_unit(gpu, "power_watts", "W", text);
    canvas_text_right(canvas, row, at, NUMBER_COLUMNS, STYLE_NORMAL, text);
}

/* Returns how many rows it took, one blank one included. */
static int draw_gpu_bars(const struct top *top, struct canvas *canvas, const struct area *area)
{
    const json_t *gpus = snapshot_rows(&top->snapshot, "gpus");
    int count = (int)json_array_size(gpus);

    count = count < OVERVIEW_GPU_MAX_ROWS ? count : OVERVIEW_GPU_MAX_ROWS;
    count = count < area->rows - 1 ? count : area->rows - 1;
    for (int i = 0; i < count; i++)
        draw_gpu(json_array_get(gpus, (size_t)i), canvas, area, area->row + i);
    return count > 0 ? count + 1 : 0;
}

/* ---- reasons ---- */

/* Why not all is well. Returns how many rows it took. */
static int draw_reasons(const struct top *top, struct canvas *canvas, const struct area *area)
{
    const json_t *reasons = json_object_get(top->snapshot.parts[SNAPSHOT_STATUS], "reasons");
    int count = (int)json_array_size(reasons);

    count = count < OVERVIEW_REASON_MAX_ROWS ? count : OVERVIEW_REASON_MAX_ROWS;
    for (int i = 0; i < count; i++) {
        const char *reason = json_string_value(json_array_get(reasons, (size_t)i));

        (void)canvas_text(canvas, area->row + i, area->column, area->columns, STYLE_WARN,
                          reason != NULL ? reason : "");
    }
    return count;
}

/* ---- the whole ---- */

static void take_rows(struct area *area, int rows)
{
    area->row += rows;
    area->rows -= rows;
}

static int row_count(const struct top *top, const char *list)
{
    return (int)json_array_size(snapshot_rows(&top->snapshot, list));
}

/* Graphs and bars, where there is room for them. */
static void draw_upper_part(const struct top *top, struct canvas *canvas, struct area *rest)
{
    struct area part = *rest;
    bool is_tall = rest->rows >= OVERVIEW_TALL_ROWS;

    take_rows(rest, draw_reasons(top, canvas, rest));
    if (rest->rows < OVERVIEW_GRAPH_MIN_ROWS)
        return;
    part = *rest;
    part.rows = 1 + OVERVIEW_GRAPH_ROWS * (is_tall ? 2 : 1);
    draw_graphs(top, canvas, &part);
    take_rows(rest, part.rows + (is_tall ? 1 : 0));
    take_rows(rest, draw_gpu_bars(top, canvas, rest));
}

/* What there is still room for: requests, if any, and what happened last. */
static void draw_lower_part(struct top *top, struct canvas *canvas, struct area *rest)
{
    struct area part = *rest;
    int request_rows = row_count(top, "requests") + 1;

    part.rows = request_rows < rest->rows / 2 ? request_rows : rest->rows / 2;
    if (rest->rows >= OVERVIEW_REQUEST_MIN_ROWS && request_rows > 1) {
        top_draw_plain_table(top, VIEW_REQUESTS, canvas, &part);
        take_rows(rest, part.rows + 1);
    }
    if (rest->rows >= OVERVIEW_EVENT_MIN_ROWS)
        top_draw_last_events(top, canvas, rest);
}

void top_draw_overview(struct top *top, struct canvas *canvas, const struct area *body)
{
    struct area rest = *body;
    struct area part = *body;
    int worker_rows = row_count(top, "workers") + 1;

    draw_upper_part(top, canvas, &rest);
    part = rest;
    if (rest.rows - worker_rows > OVERVIEW_EVENT_MIN_ROWS)
        part.rows = worker_rows > 1 ? worker_rows : 2; /* "none" takes one, too */
    top_draw_table(top, canvas, &part);
    take_rows(&rest, part.rows + 1);
    draw_lower_part(top, canvas, &rest);
}

/* ---- at once ---- */

/* A table takes a line of headings, one for "none", and a blank one before it. */
static int static_table_rows(const struct top *top, const char *list)
{
    int count = row_count(top, list);

    return 2 + (count > 0 ? count : 1);
}

int top_static_rows(const struct top *top)
{
    return 1 + row_count(top, "gpus") + static_table_rows(top, "workers") +
           static_table_rows(top, "requests");
}

static void draw_static_table(struct top *top, enum view_id view, struct canvas *canvas,
                              struct area *rest)
{
    struct area part = *rest;

    part.rows = static_table_rows(top, view_get(view)->rows) - 1;
    part.row++;
    top_draw_plain_table(top, view, canvas, &part);
    take_rows(rest, part.rows + 1);
}

void top_draw_static(struct top *top, struct canvas *canvas)
{
    struct area rest = {
        .row = 1, .column = 0, .rows = canvas->rows - 1, .columns = canvas->columns};
    int gpu_count = row_count(top, "gpus");

    top_draw_title(top, canvas);
    for (int i = 0; i < gpu_count; i++)
        draw_gpu(json_array_get(snapshot_rows(&top->snapshot, "gpus"), (size_t)i), canvas, &rest,
                 rest.row + i);
    take_rows(&rest, gpu_count);
    draw_static_table(top, VIEW_OVERVIEW, canvas, &rest);
    draw_static_table(top, VIEW_REQUESTS, canvas, &rest);
}

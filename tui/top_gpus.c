/* Owns the view of GPUs: a table, and of the chosen one its readings over time and who is on it. */
#include "common/json.h"
#include "common/records.h"
#include "common/units.h"
#include "tui/graph.h"
#include "tui/top.h"

#include <stdio.h>

enum {
    GPUS_GRAPH_MIN_ROWS = 3,
    GPUS_GRAPH_MAX_ROWS = 8,
    GPUS_GRAPHS_IN_A_ROW = 2,
    GPUS_PROCESS_MAX_ROWS = 8,
    GPUS_PERCENT = 100,
};

static const struct top_gpu_graph GRAPHS[] = {
    {"busy_percent", "busy %", NULL, GPUS_PERCENT},
    {"memory_used_bytes", "memory", "memory_total_bytes", 1},
    {"power_watts", "power W", "power_limit_watts", 1},
    {"temperature_celsius", "temperature C", NULL, GPUS_PERCENT},
};

const struct top_gpu_graph *top_gpu_graphs(size_t *out_count)
{
    *out_count = ARRAY_COUNT(GRAPHS);
    return GRAPHS;
}

void top_format_reading(const json_t *gpu, const char *field, char out[UNITS_TEXT_BYTES])
{
    const json_t *value = json_object_get(gpu, field);
    double number = json_number_value(value);

    if (!json_is_number(value))
        (void)snprintf(out, UNITS_TEXT_BYTES, "-");
    else if (record_field(RECORD_GPU, field)->type == RECORD_BYTES && number >= 0)
        units_format_size((uint64_t)number, out);
    else
        (void)snprintf(out, UNITS_TEXT_BYTES, "%.0f", number);
}

static void draw_graph(const struct top *top, const json_t *gpu, size_t graph,
                       struct canvas *canvas, const struct area *area)
{
    double values[HISTORY_COUNT];
    char name[HISTORY_NAME_BYTES];
    char text[UNITS_TEXT_BYTES];
    size_t capacity = graph_capacity(canvas, area->columns);
    struct area dots = {area->row + 1, area->column, area->rows - 1, area->columns};
    const json_t *limit =
        GRAPHS[graph].limit != NULL ? json_object_get(gpu, GRAPHS[graph].limit) : NULL;
    double max = json_number_value(limit);
    size_t count = 0;

    top_name_gpu_series(snapshot_key(gpu), GRAPHS[graph].field, name);
    count = history_copy(&top->history, name, values,
                         capacity < HISTORY_COUNT ? capacity : HISTORY_COUNT);
    top_format_reading(gpu, GRAPHS[graph].field, text);
    (void)canvas_printf(canvas, area->row, area->column, area->columns, STYLE_HEADING, "%s %s",
                        GRAPHS[graph].caption, text);
    graph_draw(canvas, &dots, STYLE_GRAPH, values, count,
               max > 0 ? max : graph_scale(values, count, GRAPHS[graph].least_max));
}

static void draw_graphs(const struct top *top, const json_t *gpu, struct canvas *canvas,
                        const struct area *area)
{
    int half = (area->columns - 2) / GPUS_GRAPHS_IN_A_ROW;
    int rows = area->rows / GPUS_GRAPHS_IN_A_ROW;

    for (size_t i = 0; i < ARRAY_COUNT(GRAPHS); i++) {
        bool is_right = i % GPUS_GRAPHS_IN_A_ROW != 0;
        struct area part = {area->row + (int)(i / GPUS_GRAPHS_IN_A_ROW) * rows,
                            is_right ? area->column + area->columns - half : area->column, rows,
                            half};

        draw_graph(top, gpu, i, canvas, &part);
    }
}

static void draw_process(const json_t *process, struct canvas *canvas, const struct area *area,
                         int row)
{
    const json_t *memory = json_object_get(process, "memory_bytes");
    const char *worker = json_shown_text(process, "worker");
    char text[UNITS_TEXT_BYTES] = "-";

    if (json_is_integer(memory) && json_integer_value(memory) >= 0)
        units_format_size((uint64_t)json_integer_value(memory), text);
    (void)canvas_printf(
        canvas, row, area->column, area->columns, worker[0] != '\0' ? STYLE_NORMAL : STYLE_DIM,
        "%8" JSON_INTEGER_FORMAT "  %10s  %-20s  %s",
        json_integer_value(json_object_get(process, "pid")), text,
        worker[0] != '\0' ? worker : "(not ours)", json_shown_text(process, "command"));
}

/* Returns how many rows it took, from the end of AREA. */
static int draw_processes(const json_t *gpu, struct canvas *canvas, const struct area *area)
{
    const json_t *processes = json_object_get(gpu, "processes");
    int count = (int)json_array_size(processes);
    int row = 0;

    count = count < GPUS_PROCESS_MAX_ROWS ? count : GPUS_PROCESS_MAX_ROWS;
    if (count == 0 || area->rows < count + 1)
        return 0;
    row = area->row + area->rows - count - 1;
    (void)canvas_printf(canvas, row, area->column, area->columns, STYLE_HEADING,
                        "%8s  %10s  %-20s  %s", "PID", "MEMORY", "WORKER", "COMMAND");
    for (int i = 0; i < count; i++)
        draw_process(json_array_get(processes, (size_t)i), canvas, area, row + 1 + i);
    return count + 1;
}

void top_draw_gpus(struct top *top, struct canvas *canvas, const struct area *body)
{
    struct area part = *body;
    struct area rest = *body;
    int table_rows = (int)json_array_size(snapshot_rows(&top->snapshot, "gpus")) + 1;
    int graph_rows = 0;
    enum view_id view;
    const json_t *gpu = NULL;

    part.rows = table_rows < body->rows / 2 ? table_rows : body->rows / 2;
    part.rows = part.rows > 1 ? part.rows : 2;
    top_draw_table(top, canvas, &part);
    gpu = top_subject(top, &view);
    if (gpu == NULL)
        return;
    rest.row += part.rows + 1;
    rest.rows -= part.rows + 1;
    rest.rows -= draw_processes(gpu, canvas, &rest);
    graph_rows = rest.rows / GPUS_GRAPHS_IN_A_ROW;
    graph_rows = graph_rows < GPUS_GRAPH_MAX_ROWS ? graph_rows : GPUS_GRAPH_MAX_ROWS;
    rest.rows = graph_rows * GPUS_GRAPHS_IN_A_ROW;
    if (graph_rows >= GPUS_GRAPH_MIN_ROWS)
        draw_graphs(top, gpu, canvas, &rest);
}

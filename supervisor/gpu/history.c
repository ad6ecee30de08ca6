/* Owns the ring of a GPU's past. Knows no GPU. */
#include "supervisor/gpu/history.h"

#include "common/attr.h"

#include <assert.h>
#include <math.h>

static const struct history_line {
    const char *name;
    enum gpu_figure figure;
} LINES[] = {
    {"busy_percent", GPU_FIGURE_BUSY},
    {"memory_used_bytes", GPU_FIGURE_MEMORY_USED},
    {"temperature_celsius", GPU_FIGURE_TEMPERATURE},
    {"power_watts", GPU_FIGURE_POWER},
};
static_assert(ARRAY_COUNT(LINES) == GPU_HISTORY_LINE_COUNT, "one line of values each");

static double *history_at(struct gpu_history *history, size_t line, int64_t slot)
{
    return &history->values[line][slot % GPU_HISTORY_SLOT_COUNT];
}

/* Makes SLOT the newest; those in between hold what was known last, for a while. */
static void history_advance(struct gpu_history *history, int64_t slot)
{
    int64_t last = history->end - 1;

    if (history->end == 0 || slot - last >= GPU_HISTORY_SLOT_COUNT) {
        history->first = history->end = slot; /* nothing of before is in the hour */
        last = slot;
    }
    for (; history->end <= slot; history->end++) {
        bool holds = history->end > history->first && history->end - last <= GPU_HISTORY_HOLD_COUNT;

        for (size_t line = 0; line < GPU_HISTORY_LINE_COUNT; line++)
            *history_at(history, line, history->end) =
                holds ? *history_at(history, line, last) : NAN;
    }
    if (history->end - history->first > GPU_HISTORY_SLOT_COUNT)
        history->first = history->end - GPU_HISTORY_SLOT_COUNT;
}

void gpu_history_add(struct gpu_history *history, int64_t now_ms, const struct gpu_figures *figures)
{
    int64_t slot = now_ms / GPU_HISTORY_STEP_MS;

    history_advance(history, slot);
    for (size_t line = 0; line < GPU_HISTORY_LINE_COUNT; line++)
        *history_at(history, line, slot) = figures->values[LINES[line].figure];
}

json_t *gpu_history_to_json(struct gpu_history *history, int64_t now_ms)
{
    json_t *object = json_pack("{s:i}", "step_ms", GPU_HISTORY_STEP_MS);

    if (history->end > 0)
        history_advance(history, now_ms / GPU_HISTORY_STEP_MS);
    for (size_t line = 0; line < GPU_HISTORY_LINE_COUNT; line++) {
        json_t *values = json_array();

        for (int64_t slot = history->first; slot < history->end; slot++)
            (void)json_array_append_new(
                values, gpu_figures_value(LINES[line].figure, *history_at(history, line, slot)));
        (void)json_object_set_new(object, LINES[line].name, values);
    }
    return object;
}

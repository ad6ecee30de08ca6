/* Owns the dashboard without a terminal: one screen of text, or of JSON. */
#include "common/clock.h"
#include "common/mem.h"
#include "tui/top.h"
#include "tui/tui.h"

#include <stdlib.h>

struct tui_once {
    struct top top;
};

struct tui_once *tui_once_new(void)
{
    struct tui_once *once = xcalloc(1, sizeof(*once));

    top_init(&once->top, 1, true);
    return once;
}

void tui_once_free(struct tui_once *once)
{
    if (once == NULL)
        return;
    top_release(&once->top);
    free(once);
}

const char *tui_once_target(size_t index)
{
    return index < SNAPSHOT_PART_COUNT ? snapshot_target((enum snapshot_part)index) : NULL;
}

int tui_once_take(struct tui_once *once, size_t index, json_t *reply, struct err *err)
{
    return snapshot_take(&once->top.snapshot, (enum snapshot_part)index, reply,
                         clock_monotonic_ms(), err);
}

void tui_once_draw(struct tui_once *once, int columns, bool is_ascii, struct buf *out)
{
    struct canvas canvas;

    top_set_time(&once->top, clock_monotonic_ms(), clock_wall_ms());
    once->top.link = TOP_CONNECTED;
    canvas_init(&canvas, top_static_rows(&once->top), columns, is_ascii);
    top_draw_static(&once->top, &canvas);
    canvas_add_text(&canvas, out);
    canvas_release(&canvas);
}

json_t *tui_once_json(const struct tui_once *once)
{
    return snapshot_to_json(&once->top.snapshot);
}

/* What the supervisor said, out of one JSON object, into the dashboard: the replies "status",
 * "gpus" and "breakers" of the API; "loads" and "gpu_history", which were measured before; "events"
 * and "log", lists of events; "why". Anything may be missing, or be something else. */
#ifndef RBEE_TESTS_TOP_FIXTURE_H
#define RBEE_TESTS_TOP_FIXTURE_H

#include "common/json.h"
#include "common/mem.h"
#include "tui/top.h"

#include <string.h>

enum { HEARD_NOW_MS = 1000000, HEARD_LOOK_MS = 10000 };
#define HEARD_WALL_MS INT64_C(1795009600000) /* 2026-11-18T13:46:40Z */

static inline void heard_take_loads(struct top *top, const json_t *loads)
{
    static const struct {
        const char *field;
        const char *series;
    } FIELDS[] = {{"tokens_per_second", "tokens_per_second"}, {"queued", "queued"}};
    const json_t *load = NULL;
    size_t index = 0;

    json_array_foreach(loads, index, load)
    {
        for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++)
            history_add(&top->history, FIELDS[i].series,
                        json_number_value(json_object_get(load, FIELDS[i].field)));
    }
}

static inline void heard_take_gpu_history(struct top *top, const json_t *histories)
{
    json_t *all = json_incref(json_object_get(histories, "gpu_history"));
    const char *id = NULL;
    json_t *history = NULL;

    json_object_foreach(all, id, history)
    {
        top_take_gpu_history(top, id, history);
    }
    json_decref(all);
}

static inline void heard_take_all(struct top *top, const json_t *heard)
{
    static const char *const PARTS[SNAPSHOT_PART_COUNT] = {"status", "gpus", "breakers"};
    const json_t *line = NULL;
    size_t index = 0;

    top_set_time(top, HEARD_NOW_MS, HEARD_WALL_MS);
    if (json_object_get(heard, "status") == NULL)
        return;
    top_take_link(top, TOP_CONNECTED, "");
    heard_take_loads(top, json_object_get(heard, "loads"));
    for (int i = 0; i < SNAPSHOT_PART_COUNT; i++)
        top_take_part(top, (enum snapshot_part)i, json_incref(json_object_get(heard, PARTS[i])));
    heard_take_gpu_history(top, heard);
    json_array_foreach(json_object_get(heard, "events"), index, line)
    {
        top_take_event(top, line);
    }
}

/* The log and the why come when a key has asked for them. */
static inline void heard_take_wanted(struct top *top, const json_t *heard)
{
    const json_t *line = NULL;
    size_t index = 0;

    if (top_wanted_why(top) != NULL)
        top_take_why(top, top_wanted_why(top), json_incref(json_object_get(heard, "why")));
    if (top_wanted_log(top) == NULL || top->log.count > 0)
        return;
    json_array_foreach(json_object_get(heard, "log"), index, line)
    {
        top_take_log_line(top, line);
    }
}

#endif

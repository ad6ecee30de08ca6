/* Owns what was heard from the supervisor, and how its parts belong together. Must not know how it
 * came, nor how it is shown. */
#include "tui/snapshot.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#include <string.h>

enum { SNAPSHOT_LIST_MAX_COUNT = 2 };

static const struct {
    const char *target;
    const char *lists[SNAPSHOT_LIST_MAX_COUNT]; /* that it must have, of objects */
} PARTS[SNAPSHOT_PART_COUNT] = {
    [SNAPSHOT_STATUS] = {"/v1/status", {"workers", "requests"}},
    [SNAPSHOT_GPUS] = {"/v1/gpus", {"gpus"}},
    [SNAPSHOT_BREAKERS] = {"/v1/breakers", {"breakers"}},
};

void snapshot_release(struct snapshot *snapshot)
{
    for (int i = 0; i < SNAPSHOT_PART_COUNT; i++)
        json_decref(snapshot->parts[i]);
    memset(snapshot, 0, sizeof(*snapshot));
}

const char *snapshot_target(enum snapshot_part part)
{
    return PARTS[part].target;
}

const char *snapshot_key(const json_t *row)
{
    const char *id = json_string_value(json_object_get(row, "id"));

    return id != NULL ? id : json_shown_text(row, "name");
}

static int check_list(const json_t *reply, const char *list, struct err *err)
{
    const json_t *rows = json_object_get(reply, list);
    const json_t *row = NULL;
    size_t index = 0;

    if (!json_is_array(rows))
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has no list \"%s\"", list);
    json_array_foreach(rows, index, row)
    {
        if (!json_is_object(row) || snapshot_key(row)[0] == '\0')
            return err_set(err, ERR_PROTOCOL, "\"%s\" has something without a name", list);
    }
    return 0;
}

/* Gives ROW the worker's FIELDS, as far as it has none of that name itself; of a worker that is not
 * known yet, later. */
static void join(json_t *row, const json_t *worker, const char *const *fields)
{
    if (worker == NULL)
        return;
    for (; *fields != NULL; fields++) {
        json_t *value = json_object_get(worker, *fields);

        if (json_object_get(row, *fields) == NULL)
            (void)json_object_set(row, *fields, value != NULL ? value : json_null());
    }
}

static void join_list(const struct snapshot *snapshot, const char *list, const char *worker_field,
                      const char *const *fields)
{
    const json_t *rows = snapshot_rows(snapshot, list);
    json_t *row = NULL;
    size_t index = 0;

    json_array_foreach(rows, index, row)
    {
        const char *name = json_shown_text(row, worker_field);

        join(row, snapshot_find(snapshot, "workers", name), fields);
    }
}

static void join_all(const struct snapshot *snapshot)
{
    static const char *const OF_REQUESTS[] = {"model", "device", "pid", NULL};
    static const char *const OF_BREAKERS[] = {"model", "pid", NULL};

    join_list(snapshot, "requests", "worker", OF_REQUESTS);
    join_list(snapshot, "breakers", "name", OF_BREAKERS);
}

int snapshot_take(struct snapshot *snapshot, enum snapshot_part part, json_t *reply,
                  uint64_t now_ms, struct err *err)
{
    AUTO_JSON json_t *taken = reply;

    for (size_t i = 0; i < SNAPSHOT_LIST_MAX_COUNT && PARTS[part].lists[i] != NULL; i++) {
        if (check_list(taken, PARTS[part].lists[i], err) < 0)
            return -1;
    }
    json_decref(snapshot->parts[part]);
    snapshot->parts[part] = take_ptr(taken);
    if (part == SNAPSHOT_STATUS)
        snapshot->at_ms = now_ms;
    join_all(snapshot);
    return 0;
}

const json_t *snapshot_rows(const struct snapshot *snapshot, const char *name)
{
    for (int i = 0; i < SNAPSHOT_PART_COUNT; i++) {
        for (size_t list = 0; list < SNAPSHOT_LIST_MAX_COUNT; list++) {
            if (PARTS[i].lists[list] != NULL && strcmp(PARTS[i].lists[list], name) == 0)
                return json_object_get(snapshot->parts[i], name);
        }
    }
    return NULL;
}

const json_t *snapshot_find(const struct snapshot *snapshot, const char *list, const char *key)
{
    const json_t *row = NULL;
    size_t index = 0;

    json_array_foreach(snapshot_rows(snapshot, list), index, row)
    {
        if (strcmp(snapshot_key(row), key) == 0)
            return row;
    }
    return NULL;
}

double snapshot_sum(const json_t *rows, const char *field)
{
    const json_t *row = NULL;
    size_t index = 0;
    double sum = 0;

    json_array_foreach(rows, index, row)
    {
        sum += json_number_value(json_object_get(row, field)); /* 0 of null */
    }
    return sum;
}

size_t snapshot_count(const json_t *rows, const char *field, const char *value)
{
    const json_t *row = NULL;
    size_t index = 0;
    size_t count = 0;

    json_array_foreach(rows, index, row)
    {
        count += strcmp(json_shown_text(row, field), value) == 0;
    }
    return count;
}

static json_t *copy_list(const struct snapshot *snapshot, const char *name)
{
    const json_t *rows = snapshot_rows(snapshot, name);

    return rows != NULL ? json_deep_copy(rows) : json_null();
}

json_t *snapshot_to_json(const struct snapshot *snapshot)
{
    static const char *const LISTS[] = {"workers", "requests", "gpus", "breakers"};
    static const char *const FIELDS[] = {"state", "version", "uptime_ms", "reasons", "warnings"};
    const json_t *workers = snapshot_rows(snapshot, "workers");
    json_t *out = json_object();
    char at[CLOCK_RFC3339_BYTES];

    clock_format_rfc3339(clock_wall_ms(), at);
    (void)json_object_set_new(out, "at", json_string(at));
    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++) {
        json_t *value = json_object_get(snapshot->parts[SNAPSHOT_STATUS], FIELDS[i]);

        (void)json_object_set(out, FIELDS[i], value != NULL ? value : json_null());
    }
    (void)json_object_set_new(out, "tokens_per_second",
                              json_real(snapshot_sum(workers, "tokens_per_second")));
    (void)json_object_set_new(out, "running_count",
                              json_integer((json_int_t)snapshot_sum(workers, "in_flight")));
    (void)json_object_set_new(out, "queued_count",
                              json_integer((json_int_t)snapshot_sum(workers, "queued")));
    for (size_t i = 0; i < ARRAY_COUNT(LISTS); i++)
        (void)json_object_set_new(out, LISTS[i], copy_list(snapshot, LISTS[i]));
    return out;
}

/* Owns how an event reads. Must not know where events come from. */
#include "common/event_text.h"

#include "common/json.h"
#include "common/mem.h"

#include <stdint.h>
#include <string.h>

static void add_state(struct buf *out, const json_t *details)
{
    const char *cause = json_shown_text(details, "cause");

    (void)buf_printf(out, "%s -> %s  %s", json_shown_text(details, "from"),
                     json_shown_text(details, "to"),
                     cause[0] != '\0' ? cause : json_shown_text(details, "event"));
}

static void add_breaker(struct buf *out, const json_t *details)
{
    const char *device = json_shown_text(details, "device");

    (void)buf_printf(out, "breaker%s%s %s -> %s  %s", device[0] != '\0' ? " of " : "", device,
                     json_shown_text(details, "from"), json_shown_text(details, "to"),
                     json_shown_text(details, "cause"));
}

static void add_spawned(struct buf *out, const json_t *details)
{
    (void)buf_printf(out, "process %" JSON_INTEGER_FORMAT ", attempt %" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(details, "pid")),
                     json_integer_value(json_object_get(details, "attempt")));
}

static void add_drill(struct buf *out, const json_t *details)
{
    (void)buf_printf(out, "drill: %s", json_shown_text(details, "kind"));
}

static void add_value(struct buf *out, const char *name, const json_t *value)
{
    AUTO_FREE char *text = NULL;

    if (json_is_string(value)) {
        (void)buf_printf(out, " %s=%s", name, json_string_value(value));
        return;
    }
    text = json_to_text(value);
    (void)buf_printf(out, " %s=%s", name, text);
}

/* A kind that has no form of its own: a newer supervisor may send more. */
static void add_other(struct buf *out, const char *kind, const json_t *details)
{
    const char *name = NULL;
    json_t *value = NULL;

    (void)buf_add_string(out, kind);
    json_object_foreach((json_t *)(uintptr_t)details, name, value) /* it only reads */
    {
        if (!json_is_null(value))
            add_value(out, name, value);
    }
}

static const struct {
    const char *kind;
    void (*add)(struct buf *out, const json_t *details);
} KINDS[] = {
    {"worker_state", add_state},
    {"breaker", add_breaker},
    {"worker_spawned", add_spawned},
    {"drill", add_drill},
};

void event_text_what(struct buf *out, const json_t *event)
{
    const json_t *details = json_object_get(event, "details");
    const char *kind = json_shown_text(event, "kind");

    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (strcmp(KINDS[i].kind, kind) == 0) {
            KINDS[i].add(out, details);
            return;
        }
    }
    add_other(out, kind, details);
}

void event_text_add(struct buf *out, const json_t *event)
{
    const char *worker = json_shown_text(event, "worker");

    (void)buf_printf(out, "%s  %s  ", json_shown_text(event, "at"),
                     worker[0] != '\0' ? worker : "-");
    event_text_what(out, event);
}

void event_text_gap(struct buf *out, const json_t *gap)
{
    json_int_t next = json_integer_value(json_object_get(gap, "next"));

    if (next > 0)
        (void)buf_printf(out,
                         "events %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
                         " are not kept any more",
                         json_integer_value(json_object_get(gap, "after")) + 1, next - 1);
    else
        (void)buf_add_string(out, "the database was begun anew");
}

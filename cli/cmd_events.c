/* rbee events: what happened to the workers, and with -f what happens. */
#include "cli/call.h"
#include "cli/follow.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"

#include <inttypes.h>
#include <string.h>

enum {
    EVENTS_DEFAULT_COUNT = 20,
    EVENTS_PAGE_COUNT = 1000,
    EVENTS_LINE_MAX_BYTES = 64 << 10,
};

struct events {
    struct cli *cli;
    struct output output;
    const char *worker; /* NULL: all */
    int64_t since_ms;   /* 0: not given */
    int64_t count;      /* -1: all since since_ms */
    int64_t last_seq;   /* -1: none was shown yet */
};

/* ---- a line ---- */

static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));

    return text != NULL ? text : "";
}

static void add_state(struct buf *out, const json_t *details)
{
    const char *cause = text_of(details, "cause");

    (void)buf_printf(out, "%s -> %s  %s", text_of(details, "from"), text_of(details, "to"),
                     cause[0] != '\0' ? cause : text_of(details, "event"));
}

static void add_breaker(struct buf *out, const json_t *details)
{
    const char *device = text_of(details, "device");

    (void)buf_printf(out, "breaker%s%s %s -> %s  %s", device[0] != '\0' ? " of " : "", device,
                     text_of(details, "from"), text_of(details, "to"), text_of(details, "cause"));
}

static void add_spawned(struct buf *out, const json_t *details)
{
    (void)buf_printf(out, "process %" JSON_INTEGER_FORMAT ", attempt %" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(details, "pid")),
                     json_integer_value(json_object_get(details, "attempt")));
}

static void add_drill(struct buf *out, const json_t *details)
{
    (void)buf_printf(out, "drill: %s", text_of(details, "kind"));
}

/* A kind that has no form of its own: a newer supervisor may send more. */
static void add_other(struct buf *out, const char *kind, const json_t *details)
{
    AUTO_FREE char *text = json_to_text(details);

    (void)buf_printf(out, "%s %s", kind, text);
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

static void add_event(struct buf *out, const json_t *event)
{
    const json_t *details = json_object_get(event, "details");
    const char *kind = text_of(event, "kind");
    const char *worker = text_of(event, "worker");

    (void)buf_printf(out, "%s  %s  ", text_of(event, "at"), worker[0] != '\0' ? worker : "-");
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (strcmp(KINDS[i].kind, kind) == 0) {
            KINDS[i].add(out, details);
            return;
        }
    }
    add_other(out, kind, details);
}

static void add_gap(struct buf *out, const json_t *gap)
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

/* An error or a cause may have several lines; an event has one. */
static void end_line(struct buf *line)
{
    for (size_t i = 0; i < line->len; i++) {
        if (line->data[i] == '\n' || line->data[i] == '\r')
            line->data[i] = ' ';
    }
    (void)buf_add_byte(line, '\n'); /* a line that was cut has no end; the next one has */
}

static int on_event(void *owner, const json_t *event, struct err *err)
{
    struct events *events = owner;
    const json_t *seq = json_object_get(event, "seq");
    AUTO_BUF struct buf line = BUF_INIT(EVENTS_LINE_MAX_BYTES);

    if (json_is_integer(seq))
        events->last_seq = json_integer_value(seq);
    if (events->cli->wants_json)
        return output_json(&events->output, event, err);
    if (strcmp(text_of(event, "type"), "gap") == 0)
        add_gap(&line, event);
    else
        add_event(&line, event);
    end_line(&line);
    return output_text(&events->output, line.data, line.len, err);
}

/* ---- asking ---- */

/* From where it was left: after the last event that was shown, else as the options say. */
static char *events_target(const struct events *events, bool follows, bool is_forwards)
{
    char since[CLOCK_RFC3339_BYTES] = "";
    AUTO_BUF struct buf target = BUF_INIT(HTTP_TARGET_MAX_BYTES);
    bool is_resumed = events->last_seq >= 0;

    /* Names and numbers: all of it is far shorter than the maximum. */
    (void)buf_printf(&target, "/v1/events?follow=%d", follows);
    if (events->worker != NULL)
        (void)buf_printf(&target, "&worker=%s", events->worker);
    if (is_resumed || is_forwards)
        (void)buf_printf(&target, "&after=%" PRId64, is_resumed ? events->last_seq : 0);
    if (events->since_ms > 0 && !is_resumed) {
        clock_format_rfc3339(events->since_ms, since);
        (void)buf_printf(&target, "&since=%s", since);
    }
    if (events->count >= 0 || is_forwards)
        (void)buf_printf(&target, "&limit=%" PRId64,
                         is_forwards ? EVENTS_PAGE_COUNT : events->count);
    return xstrdup(target.data);
}

static char *follow_target(void *owner)
{
    return events_target(owner, true, false);
}

/* One page; *out_has_more says whether another one follows. */
static int print_page(struct events *events, bool *out_has_more, struct err *err)
{
    bool is_forwards = events->count < 0;
    AUTO_FREE char *target = events_target(events, false, is_forwards);
    struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *reply = NULL;
    const json_t *event = NULL;
    size_t index = 0;

    if (call_send(events->cli, &request, &reply, err) < 0)
        return -1;
    json_array_foreach(json_object_get(reply, "events"), index, event)
    {
        if (on_event(events, event, err) < 0)
            return -1;
    }
    *out_has_more = is_forwards && json_is_true(json_object_get(reply, "has_more"));
    return 0;
}

static int print_past(struct events *events, struct err *err)
{
    bool has_more = true;

    while (has_more) {
        if (print_page(events, &has_more, err) < 0)
            return -1;
    }
    return EXIT_DONE;
}

static int events_read_options(struct cli *cli, struct events *events, struct err *err)
{
    bool has_name = cli->args->operand_count > 0;

    *events = (struct events){.cli = cli, .last_seq = -1, .output = OUTPUT_INIT};
    events->worker = has_name ? cli->args->operands[0] : NULL;
    if (has_name && config_name_check(events->worker, ERR_WORKER_NOT_FOUND, err) < 0)
        return err_wrap(err, "there is no such worker");
    if (follow_read_since(cli, &events->since_ms, err) < 0)
        return -1;
    events->count = events->since_ms > 0 ? -1 : EVENTS_DEFAULT_COUNT;
    if (args_has(cli->args, OPTION_EVENT_COUNT))
        events->count = args_integer(cli->args, OPTION_EVENT_COUNT);
    return 0;
}

int command_events(struct cli *cli, struct err *err)
{
    struct events events;
    const struct follow follow = {.target = follow_target, .on_event = on_event, .owner = &events};

    if (events_read_options(cli, &events, err) < 0 || cli_connect(cli, err) < 0 ||
        interrupt_watch(&cli->interrupt, err) < 0 ||
        output_open(&events.output, &cli->interrupt, NULL, err) < 0)
        return -1;
    if (args_has(cli->args, OPTION_FOLLOW))
        return follow_run(cli, &follow, err);
    return print_past(&events, err);
}

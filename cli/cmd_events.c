/* rbee events: what happened to the workers, and with -f what happens. */
#include "cli/cli.h"
#include "cli/log_view.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"

#include <string.h>

enum { EVENTS_DEFAULT_COUNT = 20 };

/* ---- a line ---- */

static void add_state(struct buf *out, const json_t *details)
{
    const char *cause = log_view_text(details, "cause");

    (void)buf_printf(out, "%s -> %s  %s", log_view_text(details, "from"),
                     log_view_text(details, "to"),
                     cause[0] != '\0' ? cause : log_view_text(details, "event"));
}

static void add_breaker(struct buf *out, const json_t *details)
{
    const char *device = log_view_text(details, "device");

    (void)buf_printf(out, "breaker%s%s %s -> %s  %s", device[0] != '\0' ? " of " : "", device,
                     log_view_text(details, "from"), log_view_text(details, "to"),
                     log_view_text(details, "cause"));
}

static void add_spawned(struct buf *out, const json_t *details)
{
    (void)buf_printf(out, "process %" JSON_INTEGER_FORMAT ", attempt %" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(details, "pid")),
                     json_integer_value(json_object_get(details, "attempt")));
}

static void add_drill(struct buf *out, const json_t *details)
{
    (void)buf_printf(out, "drill: %s", log_view_text(details, "kind"));
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
    const char *kind = log_view_text(event, "kind");
    const char *worker = log_view_text(event, "worker");

    (void)buf_printf(out, "%s  %s  ", log_view_text(event, "at"), worker[0] != '\0' ? worker : "-");
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (strcmp(KINDS[i].kind, kind) == 0) {
            KINDS[i].add(out, details);
            return;
        }
    }
    add_other(out, kind, details);
}

int command_events(struct cli *cli, struct err *err)
{
    struct log_view view = {.cli = cli,
                            .path = "/v1/events",
                            .list = "events",
                            .filter = "worker",
                            .add_line = add_event,
                            .output = OUTPUT_INIT};

    if (cli->args->operand_count > 0)
        view.wanted = cli->args->operands[0];
    if (view.wanted != NULL && config_name_check(view.wanted, ERR_WORKER_NOT_FOUND, err) < 0)
        return err_wrap(err, "there is no such worker");
    if (log_view_read_options(&view, EVENTS_DEFAULT_COUNT, err) < 0)
        return -1;
    return log_view_run(&view, err);
}

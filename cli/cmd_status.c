/* rbee status: is all well? Starts nothing. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/start.h"
#include "common/json.h"
#include "common/terminal.h"
#include "common/units.h"

#include <string.h>

enum { STATUS_SCREEN_MAX_BYTES = 1 << 20 };

#define COLOR_GOOD "\033[32m"
#define COLOR_BAD "\033[1;31m"
#define COLOR_END "\033[m"

/* A STATUS record of no supervisor: every field is there, most of them unknown. */
static int print_stopped(struct cli *cli, struct err *err)
{
    size_t count = 0;
    const struct record_field *fields = record_fields(RECORD_STATUS, &count);
    AUTO_JSON json_t *record = json_object();
    AUTO_BUF struct buf text = BUF_INIT(STATUS_SCREEN_MAX_BYTES);

    for (size_t i = 0; i < count; i++) {
        bool is_list = fields[i].type == RECORD_JSON || fields[i].type == RECORD_TEXTS;
        json_t *value = is_list ? json_array() : json_null();

        (void)json_object_set_new(record, fields[i].name, value);
    }
    (void)json_object_set_new(record, "state", json_string("stopped"));
    /* One short line fits. */
    (void)buf_add_string(&text, "stopped: no supervisor is running; start it with \"rbee up\"\n");
    if (cli->wants_json ? output_print_json(cli, record, err) < 0
                        : output_print(cli, &text, err) < 0)
        return -1;
    return EXIT_STOPPED;
}

static bool is_degraded(const json_t *record)
{
    const char *state = json_string_value(json_object_get(record, "state"));

    return state == NULL || strcmp(state, "degraded") == 0;
}

static void add_headline(const struct cli *cli, const json_t *record, struct buf *out)
{
    const char *state = json_string_value(json_object_get(record, "state"));
    const char *version = json_string_value(json_object_get(record, "version"));
    const char *color = is_degraded(record) ? COLOR_BAD : COLOR_GOOD;
    json_int_t uptime_ms = json_integer_value(json_object_get(record, "uptime_ms"));
    char uptime[UNITS_TEXT_BYTES];

    units_format_duration(uptime_ms > 0 ? (uint64_t)uptime_ms : 0, uptime);
    (void)buf_printf(out, "%s%s%s: rbeed %s, pid %" JSON_INTEGER_FORMAT ", up %s\n",
                     cli->has_colors_out ? color : "", state != NULL ? state : "?",
                     cli->has_colors_out ? COLOR_END : "", version != NULL ? version : "?",
                     json_integer_value(json_object_get(record, "pid")), uptime);
}

/* LEAD stands before each. */
static void add_lines(const json_t *texts, const char *lead, struct buf *out)
{
    const json_t *text = NULL;
    size_t index = 0;

    json_array_foreach(texts, index, text)
    {
        (void)buf_add_string(out, lead);
        (void)terminal_clean(out, json_string_value(text), json_string_length(text));
        (void)buf_add_byte(out, '\n');
    }
}

/* A hold is no fault, but whoever looks for the worker must see it, and how it ends. */
static void add_holds(const json_t *workers, struct buf *out)
{
    const json_t *worker = NULL;
    size_t index = 0;

    json_array_foreach(workers, index, worker)
    {
        const char *name = json_string_value(json_object_get(worker, "name"));
        const char *state = json_string_value(json_object_get(worker, "state"));
        const json_t *reason = json_object_get(worker, "held_reason");

        if (name == NULL || state == NULL || strcmp(state, "held") != 0)
            continue;
        (void)buf_add_string(out, "  held: ");
        (void)terminal_clean(out, name, strlen(name));
        if (json_is_string(reason)) {
            (void)buf_add_string(out, " (");
            (void)terminal_clean(out, json_string_value(reason), json_string_length(reason));
            (void)buf_add_byte(out, ')');
        }
        (void)buf_add_string(out, "; rbee worker release ");
        (void)terminal_clean(out, name, strlen(name));
        (void)buf_add_byte(out, '\n');
    }
}

/* One screen: the headline, why it is not well, the workers, the requests. What would not fit is
 * left off: `ps` has it all. */
static int print_screen(struct cli *cli, const json_t *record, struct err *err)
{
    const json_t *workers = json_object_get(record, "workers");
    const json_t *requests = json_object_get(record, "requests");
    AUTO_BUF struct buf text = BUF_INIT(STATUS_SCREEN_MAX_BYTES);

    add_headline(cli, record, &text);
    add_lines(json_object_get(record, "reasons"), "  ", &text);
    add_lines(json_object_get(record, "warnings"), "  warning: ", &text);
    add_holds(workers, &text);
    if (json_array_size(workers) > 0) {
        (void)buf_add_byte(&text, '\n');
        record_print_table(RECORD_WORKER, workers, &text);
    }
    if (json_array_size(requests) > 0) {
        (void)buf_add_byte(&text, '\n');
        record_print_table(RECORD_REQUEST, requests, &text);
    }
    return output_print(cli, &text, err);
}

int command_status(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *record = NULL;

    if (start_find(cli, err) < 0 || call_get(cli, "/v1/status", &record, err) < 0) {
        if (err->kind != ERR_UNREACHABLE)
            return -1;
        message_detail(cli, "%s", err->message);
        err_clear(err);
        return print_stopped(cli, err);
    }
    if (cli->wants_json ? output_print_json(cli, record, err) < 0
                        : print_screen(cli, record, err) < 0)
        return -1;
    return is_degraded(record) ? EXIT_DEGRADED : EXIT_DONE;
}

/* rbee ps: the workers, once, or with --watch until Ctrl-C.
 *
 * A terminal is painted over from its upper left corner, with lines cut at its edge by the terminal
 * itself; whoever reads a pipe gets one table after the other, and with --json one object a line.
 */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/terminal.h"

#include <string.h>

enum {
    PS_TEXT_MAX_BYTES = 4 << 20,
    PS_DELAY_MS = 2000,
    PS_ROWS_DEFAULT = 24, /* of a terminal that does not say */
};

#define SCREEN_HOME "\033[H"
#define SCREEN_CLEAR_LINE "\033[K"
#define SCREEN_CLEAR_REST "\033[J"
#define SCREEN_WRAP_OFF "\033[?7l"
#define SCREEN_WRAP_ON "\033[?7h"

static int get_workers(struct cli *cli, json_t **out_reply, struct err *err)
{
    const struct api_request request = {
        .method = HTTP_GET, .target = "/v1/workers", .timeout_ms = API_ANSWER_MS};

    json_decref(take_ptr(cli->failure)); /* of an earlier round */
    if (call_send(cli, &request, out_reply, err) < 0)
        return -1;
    if (!json_is_array(json_object_get(*out_reply, "workers")))
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has no list \"workers\"");
    return 0;
}

static size_t screen_rows(void)
{
    unsigned rows = terminal_size(STDOUT_FILENO).rows;

    return rows > 0 ? rows : PS_ROWS_DEFAULT;
}

/* As many lines of TEXT as the screen has below the first one; the last of them says how many more
 * there are. The texts are shorter than their maximum. */
static void add_screen(struct buf *out, const struct buf *text)
{
    size_t rows = screen_rows() - 1;
    size_t count = 0;
    size_t shown = 0;
    char now[CLOCK_RFC3339_BYTES];

    for (size_t i = 0; i < text->len; i++)
        count += text->data[i] == '\n';
    clock_format_rfc3339(clock_wall_ms(), now);
    (void)buf_printf(out, SCREEN_WRAP_OFF SCREEN_HOME "rbee ps  %s  Ctrl-C ends this", now);
    for (const char *at = text->data; *at != '\0' && shown < rows; shown++) {
        size_t len = strcspn(at, "\n");

        (void)buf_add_string(out, SCREEN_CLEAR_LINE "\r\n");
        if (shown + 1 == rows && count > rows)
            (void)buf_printf(out, "... %zu more", count - shown);
        else
            (void)buf_add(out, at, len);
        at += len + (at[len] == '\n');
    }
    (void)buf_add_string(out, SCREEN_CLEAR_LINE SCREEN_CLEAR_REST "\r" SCREEN_WRAP_ON);
}

static int paint(struct cli *cli, const json_t *reply, bool is_first, struct err *err)
{
    AUTO_BUF struct buf table = BUF_INIT(PS_TEXT_MAX_BYTES);
    AUTO_BUF struct buf text = BUF_INIT(2 * PS_TEXT_MAX_BYTES);

    if (cli->wants_json)
        return output_print_json(cli, reply, err);
    record_print_table(RECORD_WORKER, json_object_get(reply, "workers"), &table);
    if (terminal_can_redraw(STDOUT_FILENO))
        add_screen(&text, &table);
    else
        (void)buf_printf(&text, "%s%s", is_first ? "" : "\n", table.data);
    return output_print(cli, &text, err);
}

/* A supervisor that was there and has gone is waited for. */
static bool may_come_back(const struct err *err)
{
    return err->kind == ERR_UNREACHABLE || err->kind == ERR_STREAM_BROKEN ||
           err->kind == ERR_BUSY || err->kind == ERR_TIMED_OUT;
}

/* 0: another round is due. */
static int rest(struct cli *cli, struct err *err)
{
    uint64_t delay_ms = args_has(cli->args, OPTION_WATCH_DELAY)
                            ? args_duration_ms(cli->args, OPTION_WATCH_DELAY)
                            : PS_DELAY_MS;
    AUTO_OUTPUT struct output output = OUTPUT_INIT;

    if (interrupt_rest(&cli->interrupt, delay_ms, err) == 0)
        return 0;
    /* What the shell says next begins a line of its own. */
    if (output_open(&output, &cli->interrupt, NULL, err) == 0 && output.is_terminal)
        (void)output_text(&output, "\n", 1, err); /* its failure is as good an end */
    return -1;
}

static int watch(struct cli *cli, struct err *err)
{
    bool was_there = false;
    bool is_waiting = false;

    do {
        AUTO_JSON json_t *reply = NULL;

        if (get_workers(cli, &reply, err) == 0) {
            if (paint(cli, reply, !was_there, err) < 0)
                return -1;
            was_there = true;
            is_waiting = false;
            continue;
        }
        if (!was_there || !may_come_back(err))
            return -1;
        if (!is_waiting)
            message_note(cli, "the supervisor has gone; waiting for it (Ctrl-C ends this)");
        is_waiting = true;
        err_clear(err);
    } while (rest(cli, err) == 0);
    return -1;
}

int command_ps(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;

    if (args_has(cli->args, OPTION_WATCH)) {
        if (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0)
            return -1;
        return watch(cli, err);
    }
    if (args_has(cli->args, OPTION_WATCH_DELAY))
        return err_set(err, ERR_USAGE, "--delay needs --watch, or there is no second look");
    if (call_get(cli, "/v1/workers", &reply, err) < 0)
        return -1;
    return call_print_list(cli, RECORD_WORKER, reply, "workers", err);
}

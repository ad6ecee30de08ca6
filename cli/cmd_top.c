/* rbee top: the dashboard; or one screen of it, as text or JSON. */
#include "cli/call.h"
#include "cli/output.h"
#include "cli/start.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/terminal.h"
#include "common/units.h"
#include "tui/tui.h"

#include <string.h>
#include <unistd.h>

enum {
    TOP_DEFAULT_DELAY_MS = 1000,
    TOP_DEFAULT_COLUMNS = 120, /* where there is no terminal and no COLUMNS */
    TOP_MAX_COLUMNS = 1000,
    TOP_TEXT_MAX_BYTES = 4 << 20,
};

static uint64_t delay_ms(const struct args *args)
{
    return args_has(args, OPTION_LOOK_DELAY) ? args_duration_ms(args, OPTION_LOOK_DELAY)
                                             : TOP_DEFAULT_DELAY_MS;
}

static uint64_t frame_count(const struct args *args)
{
    return args_has(args, OPTION_FRAME_COUNT) ? (uint64_t)args_integer(args, OPTION_FRAME_COUNT)
                                              : 0;
}

/* ---- as text ---- */

static int stdout_columns(void)
{
    const char *text = getenv("COLUMNS");
    struct err ignored = ERR_INIT; /* nonsense there is as good as nothing */
    unsigned shown = terminal_size(STDOUT_FILENO).columns;
    int64_t columns = TOP_DEFAULT_COLUMNS;

    if (shown > 0)
        return (int)shown;
    if (text != NULL)
        (void)units_parse_integer(text, 1, TOP_MAX_COLUMNS, &columns, &ignored);
    return (int)columns;
}

static int ask_all(struct cli *cli, struct tui_once *once, struct err *err)
{
    for (size_t i = 0; tui_once_target(i) != NULL; i++) {
        struct api_request request = {
            .method = HTTP_GET, .target = tui_once_target(i), .timeout_ms = API_ANSWER_MS};
        json_t *reply = NULL;

        if (call_send(cli, &request, &reply, err) < 0 || tui_once_take(once, i, reply, err) < 0)
            return -1;
    }
    return 0;
}

static int print_screen(struct cli *cli, struct output *output, struct err *err)
{
    struct tui_once *once = tui_once_new();
    AUTO_BUF struct buf text = BUF_INIT(TOP_TEXT_MAX_BYTES);
    AUTO_JSON json_t *json = NULL;
    bool is_ascii = !tui_locale_is_utf8() || args_has(cli->args, OPTION_ASCII);
    int rc = ask_all(cli, once, err);

    if (rc == 0 && cli->wants_json) {
        json = tui_once_json(once);
        rc = output_json(output, json, err);
    } else if (rc == 0) {
        tui_once_draw(once, stdout_columns(), is_ascii, &text);
        rc = output_text(output, text.data, text.len, err);
    }
    tui_once_free(once);
    return rc;
}

static int print_screens(struct cli *cli, struct err *err)
{
    AUTO_OUTPUT struct output output = OUTPUT_INIT;
    uint64_t count = frame_count(cli->args);

    if (count == 0 && args_has(cli->args, OPTION_ONCE))
        count = 1;
    if (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0 ||
        output_open(&output, &cli->interrupt, NULL, err) < 0)
        return -1;
    for (uint64_t i = 1;; i++) {
        if (print_screen(cli, &output, err) < 0)
            return -1;
        if (i == count)
            return EXIT_DONE;
        if (interrupt_rest(&cli->interrupt, delay_ms(cli->args), err) < 0)
            return -1;
    }
}

/* ---- on a terminal ---- */

static int show(struct cli *cli, struct err *err)
{
    struct tui_options options = {.delay_ms = delay_ms(cli->args),
                                  .frame_count = frame_count(cli->args),
                                  .is_readonly = args_has(cli->args, OPTION_READONLY),
                                  .has_colors = cli->has_colors_out,
                                  .has_mouse = !args_has(cli->args, OPTION_NO_MOUSE)};
    struct guard *guard = NULL;
    char *token = NULL;
    int rc = 0;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(err, ERR_USAGE,
                       "stdin and stdout must be a terminal; \"rbee top --once\" needs none");
    if (start_find(cli, err) < 0 || tui_guard(&guard, err) < 0 ||
        start_read_token(cli, &token, err) < 0)
        return -1;
    options.address = cli->address;
    options.token = token;
    options.is_ascii = !tui_locale_is_utf8() || args_has(cli->args, OPTION_ASCII);
    rc = tui_run(guard, &options, &cli->interrupt.signal, err);
    if (token != NULL)
        explicit_bzero(token, strlen(token));
    free(token);
    return rc < 0 ? -1 : EXIT_DONE;
}

int command_top(struct cli *cli, struct err *err)
{
    if (args_has(cli->args, OPTION_ONCE) || cli->wants_json)
        return print_screens(cli, err);
    return show(cli, err);
}

/* Owns the beginning and the end of a run of `rbee`: descriptors, signals, command line, and what
 * becomes of an err. Must not know what any command does. */
#include "cli/api.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/io.h"
#include "common/json.h"
#include "common/terminal.h"

#include <signal.h>

/* Writing to a reader that left, or over RLIMIT_FSIZE, is an error to handle, not a death. */
static void ignore_write_signals(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* both cannot fail */
    (void)signal(SIGXFSZ, SIG_IGN);
}

static void cli_init(struct cli *cli, const struct args *args)
{
    bool has_colors = !args_has(args, OPTION_NO_COLOR);

    *cli = (struct cli){
        .args = args,
        .wants_json = args_has(args, OPTION_JSON),
        .is_quiet = args_has(args, OPTION_QUIET),
        .is_verbose = args_has(args, OPTION_VERBOSE) && !args_has(args, OPTION_QUIET),
        .has_colors_out = has_colors && terminal_has_colors(STDOUT_FILENO),
        .has_colors_err = has_colors && terminal_has_colors(STDERR_FILENO),
        .has_progress = !args_has(args, OPTION_QUIET) && terminal_can_redraw(STDERR_FILENO),
        .interrupt = {.fd = -1},
    };
}

static void cli_release(struct cli *cli)
{
    api_free(cli->api);
    json_decref(cli->failure);
    attr_close(&cli->interrupt.fd);
}

static int print_version(struct cli *cli, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(sizeof("rbee " RBEE_VERSION "\n"));

    (void)buf_add_string(&text, "rbee " RBEE_VERSION "\n"); /* the maximum is its length */
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

static int print_help(struct cli *cli, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(HELP_MAX_BYTES);

    if (cli->args->command != NULL)
        help_command(&text, cli->args->command);
    else if (cli->args->group != NULL)
        help_group(&text, cli->args->group);
    else
        help_overview(&text);
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

static int dispatch(struct cli *cli, struct err *err)
{
    if (args_has(cli->args, OPTION_HELP))
        return print_help(cli, err);
    if (args_has(cli->args, OPTION_VERSION))
        return print_version(cli, err);
    if (cli->args->command == NULL)
        return err_set(err, ERR_USAGE, "no command; \"rbee help\" lists them");
    return cli->args->command->run(cli, err);
}

/* A failure for people on stderr, and with --json for programs on stdout. */
static int tell_failure(struct cli *cli, const struct err *failure)
{
    struct err ignored = ERR_INIT; /* stdout may be what failed */
    AUTO_JSON json_t *envelope = NULL;

    if (cli->interrupt.signal != 0)
        return err_exit_code(failure->kind);
    message_error(cli, failure);
    if (failure->kind == ERR_MISSING_API_KEY)
        message_note(cli, "--token-file FILE shows one; \"rbee token new\" there makes one");
    if (cli->wants_json) {
        envelope = cli->failure != NULL ? json_incref(cli->failure)
                                        : json_error_envelope(failure, NULL, NULL);
        (void)output_print_json(cli, envelope, &ignored); /* told on stderr already */
    }
    return err_exit_code(failure->kind);
}

int main(int argc, char **argv)
{
    struct args args;
    struct cli cli;
    struct err err = ERR_INIT;
    int exit_code = 0;
    int signo = 0;

    json_init();
    io_fill_closed_stdio();
    ignore_write_signals();
    exit_code = args_parse(&args, argc, argv, &err);
    cli_init(&cli, &args);
    if (exit_code == 0)
        exit_code = dispatch(&cli, &err);
    if (exit_code < 0)
        exit_code = tell_failure(&cli, &err);
    signo = cli.interrupt.signal;
    cli_release(&cli);
    args_release(&args);
    if (signo != 0)
        interrupt_end_process(signo);
    return exit_code;
}

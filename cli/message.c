/* Owns stderr. Must not know what the messages are about. */
#include "cli/message.h"

#include "cli/cli.h"
#include "common/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MESSAGE_MAX_BYTES = 1024, /* longer than any err, with its prefix */
    MESSAGE_CLEAN_MAX_BYTES = TERMINAL_GROWTH_MAX * MESSAGE_MAX_BYTES + 64,
};

#define COLOR_ERROR "\033[1;31m"
#define COLOR_END "\033[m"
#define LINE_CLEAR "\r\033[K"

static void write_stderr(const char *text, size_t len)
{
    /* There is nowhere left to say that stderr cannot be written. */
    if (write(STDERR_FILENO, text, len) < 0)
        return;
}

/* PREFIX and END are ours and go out as they are; TEXT may be a stranger's. */
static void write_line(struct cli *cli, const char *prefix, const char *text, const char *end)
{
    AUTO_BUF struct buf line = BUF_INIT(MESSAGE_CLEAN_MAX_BYTES);

    message_progress_clear(cli);
    /* Everything here is shorter than the maximum; a cut message would still be one. */
    (void)buf_add_string(&line, prefix);
    (void)terminal_clean(&line, text, strlen(text));
    for (size_t i = strlen(prefix); i < line.len; i++) {
        if (line.data[i] == '\n')
            line.data[i] = ' ';
    }
    (void)buf_add_string(&line, end);
    write_stderr(line.data, line.len);
}

void message_error(struct cli *cli, const struct err *err)
{
    write_line(cli,
               cli->has_colors_err ? COLOR_ERROR "rbee:" COLOR_END " " : "rbee: ", err->message,
               "\n");
}

PRINTF_LIKE(4, 0)
static void write_formatted(struct cli *cli, const char *prefix, const char *end,
                            const char *format, va_list args)
{
    char text[MESSAGE_MAX_BYTES];

    (void)vsnprintf(text, sizeof(text), format, args); /* cut when longer */
    write_line(cli, prefix, text, end);
}

void message_always(struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_formatted(cli, "rbee: ", "\n", format, args);
    va_end(args);
}

void message_plain(struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_formatted(cli, "", "\n", format, args);
    va_end(args);
}

void message_note(struct cli *cli, const char *format, ...)
{
    va_list args;

    if (cli->is_quiet)
        return;
    va_start(args, format);
    write_formatted(cli, "rbee: ", "\n", format, args);
    va_end(args);
}

void message_detail(struct cli *cli, const char *format, ...)
{
    va_list args;

    if (!cli->is_verbose)
        return;
    va_start(args, format);
    write_formatted(cli, "rbee: ", "\n", format, args);
    va_end(args);
}

void message_progress(struct cli *cli, const char *format, ...)
{
    va_list args;

    if (!cli->has_progress)
        return;
    va_start(args, format);
    write_formatted(cli, "", "", format, args);
    va_end(args);
    cli->progress_is_shown = true;
}

void message_progress_clear(struct cli *cli)
{
    if (!cli->progress_is_shown)
        return;
    write_stderr(LINE_CLEAR, strlen(LINE_CLEAR));
    cli->progress_is_shown = false;
}

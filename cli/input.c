/* Owns the reading of prompts. Must not know what becomes of them. */
#include "cli/input.h"

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "common/io.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

/* Silence on stdin after which we say what we wait for: a script that hangs here must say why. */
enum { STDIN_SILENCE_MS = 2000 };

int input_check_text(const char *what, const char *text, size_t len, struct err *err)
{
    size_t valid_len = utf8_valid_len(text, len);
    const char *nul = memchr(text, '\0', len);

    if (valid_len < len)
        return err_set(err, ERR_INVALID_UTF8, "%s is not UTF-8 at byte %zu", what, valid_len);
    if (nul != NULL)
        return err_set(err, ERR_INVALID, "%s holds a NUL at byte %zu", what, (size_t)(nul - text));
    return 0;
}

/* Reads all of FD into TEXT, which is empty. */
static int read_descriptor(const char *what, int fd, struct buf *text, struct err *err)
{
    if (io_read_all(fd, text, err) < 0) {
        if (err->kind == ERR_BODY_TOO_LARGE)
            return err_set(err, ERR_BODY_TOO_LARGE,
                           "%s is longer than %zu bytes, the most a prompt may have", what,
                           text->max);
        return err_wrap(err, "%s", what);
    }
    if (input_check_text(what, text->data, text->len, err) < 0)
        return -1;
    if (text->len > 0 && text->data[text->len - 1] == '\n')
        text->data[--text->len] = '\0';
    return 0;
}

/* Opening waits for the writer of a pipe: -f <(command) is meant to work. */
static int read_file(const char *path, struct buf *text, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info;

    if (fd < 0)
        return err_set(err, ERR_NO_FILE, "open %s: %m", path);
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
        return err_set(err, ERR_NO_FILE, "%s is a folder", path);
    return read_descriptor(path, fd, text, err);
}

/* Appends PART after a blank line; an empty one leaves no trace. */
static int add_part(struct buf *prompt, const struct buf *part, struct err *err)
{
    if (part->len == 0)
        return 0;
    if ((prompt->len > 0 && buf_add_string(prompt, "\n\n") < 0) ||
        buf_add(prompt, part->data, part->len) < 0)
        return err_set(err, ERR_BODY_TOO_LARGE, "the prompt is longer than %zu bytes", prompt->max);
    return 0;
}

static int add_file_part(const char *path, struct buf *prompt, struct err *err)
{
    AUTO_BUF struct buf part = BUF_INIT(prompt->max);

    return read_file(path, &part, err) < 0 ? -1 : add_part(prompt, &part, err);
}

static int add_stdin_part(struct cli *cli, struct buf *prompt, struct err *err)
{
    struct pollfd poller = {.fd = STDIN_FILENO, .events = POLLIN};
    AUTO_BUF struct buf part = BUF_INIT(prompt->max);

    if (poll(&poller, 1, STDIN_SILENCE_MS) == 0)
        message_note(cli, "waiting for the end of stdin; %s",
                     isatty(STDIN_FILENO) ? "Ctrl-D ends it" : "--no-stdin does not read it");
    if (read_descriptor("stdin", STDIN_FILENO, &part, err) < 0)
        return -1;
    return add_part(prompt, &part, err);
}

/* A pipe or a file is meant to be read; a terminal or /dev/null is just there. */
static bool stdin_is_input(void)
{
    struct stat info;

    return fstat(STDIN_FILENO, &info) == 0 &&
           (S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode));
}

/* Whether stdin is part of the prompt. */
static int decide_stdin(const struct args *args, bool *out_reads_stdin, struct err *err)
{
    bool is_dash = args->operand_count > 0 && strcmp(args->operands[0], "-") == 0;
    bool is_forbidden = args_has(args, OPTION_NO_STDIN);

    if (is_dash && is_forbidden)
        return err_set(err, ERR_USAGE, "\"-\" reads stdin, --no-stdin forbids it");
    *out_reads_stdin = is_dash || (!is_forbidden && stdin_is_input());
    if (args->operand_count == 0 && !args_has(args, OPTION_FILE) && !*out_reads_stdin)
        return err_set(err, ERR_USAGE, "no prompt: give one as an argument, with -f, or on stdin");
    return 0;
}

int input_read_prompt(struct cli *cli, struct buf *prompt, struct err *err)
{
    const struct args *args = cli->args;
    const char *argument = args->operand_count > 0 ? args->operands[0] : "";
    const char *path = NULL;
    size_t cursor = 0;
    bool reads_stdin = false;

    if (decide_stdin(args, &reads_stdin, err) < 0)
        return -1;
    if (strcmp(argument, "-") != 0) {
        if (input_check_text("the prompt", argument, strlen(argument), err) < 0)
            return -1;
        if (buf_add_string(prompt, argument) < 0)
            return err_set(err, ERR_BODY_TOO_LARGE, "the prompt is longer than %zu bytes",
                           prompt->max);
    }
    while ((path = args_next(args, OPTION_FILE, &cursor)) != NULL) {
        if (add_file_part(path, prompt, err) < 0)
            return -1;
    }
    if (reads_stdin && add_stdin_part(cli, prompt, err) < 0)
        return -1;
    return prompt->len > 0 ? 0 : err_set(err, ERR_INVALID, "the prompt is empty");
}

int input_read_system(const char *text_or_file, struct buf *system, struct err *err)
{
    if (text_or_file[0] == '@')
        return read_file(text_or_file + 1, system, err);
    if (input_check_text("the system message", text_or_file, strlen(text_or_file), err) < 0)
        return -1;
    if (buf_add_string(system, text_or_file) < 0)
        return err_set(err, ERR_BODY_TOO_LARGE, "the system message is longer than %zu bytes",
                       system->max);
    return 0;
}

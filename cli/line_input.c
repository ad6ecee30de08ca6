/* Owns lines of stdin, and the choice of who reads them. Must not know what they mean. */
#include "cli/line_input.h"

#include "cli/cli.h"
#include "cli/line_editor.h"
#include "cli/message.h"
#include "common/mem.h"

#include <errno.h>
#include <string.h>

enum { LINE_PIECE_BYTES = 4096 };

struct line_input {
    struct cli *cli;
    bool is_terminal;
    struct line_editor *editor;   /* NULL: none is needed, or libedit is not here */
    char piece[LINE_PIECE_BYTES]; /* what was read last */
    size_t piece_begin;           /* of what has not been given out yet */
    size_t piece_end;
    bool has_ended;
};

struct line_input *line_input_new(struct cli *cli, const char *history_path)
{
    struct line_input *input = xcalloc(1, sizeof(*input));
    struct err why = ERR_INIT;

    input->cli = cli;
    input->is_terminal = isatty(STDIN_FILENO);
    if (!input->is_terminal)
        return input;
    input->editor = line_editor_new(&cli->interrupt, history_path, &why);
    if (input->editor == NULL) /* the terminal's own editing of a line is left */
        message_detail(cli, "%s", why.message);
    return input;
}

void line_input_free(struct line_input *input)
{
    struct err why = ERR_INIT;

    if (input == NULL)
        return;
    if (input->editor != NULL && line_editor_save(input->editor, &why) < 0)
        message_note(input->cli, "the history is not kept: %s", why.message);
    line_editor_free(input->editor);
    free(input);
}

bool line_input_is_terminal(const struct line_input *input)
{
    return input->is_terminal;
}

/* Waits for bytes. *OUT_CLEARED: Ctrl-C came instead. */
static int read_piece(struct line_input *input, bool *out_cleared, struct err *err)
{
    struct interrupt *interrupt = &input->cli->interrupt;
    ssize_t got = 0;

    if (interrupt_wait_readable(interrupt, STDIN_FILENO) < 0) {
        *out_cleared = input->is_terminal && interrupt->signal == SIGINT;
        if (!*out_cleared)
            return err_set(err, ERR_CANCELLED, "interrupted");
        return interrupt_rearm(interrupt, err);
    }
    got = read(STDIN_FILENO, input->piece, sizeof(input->piece));
    if (got < 0 && errno != EINTR && errno != EAGAIN)
        return err_set(err, ERR_IO, "read stdin: %m");
    input->has_ended = got == 0;
    input->piece_begin = 0;
    input->piece_end = got > 0 ? (size_t)got : 0;
    return 0;
}

/* Appends what was read, up to the next newline, to LINE. */
static int take_line(struct line_input *input, struct buf *line, bool *out_is_whole,
                     struct err *err)
{
    const char *data = input->piece + input->piece_begin;
    size_t len = input->piece_end - input->piece_begin;
    const char *newline = memchr(data, '\n', len);

    *out_is_whole = newline != NULL;
    if (newline != NULL)
        len = (size_t)(newline - data);
    input->piece_begin += len + (newline != NULL);
    if (buf_add(line, data, len) < 0)
        return err_set(err, ERR_BODY_TOO_LARGE, "a line of more than %zu bytes", line->max);
    return 0;
}

static int read_plain(struct line_input *input, struct buf *line, enum line_result *out_result,
                      struct err *err)
{
    bool is_cleared = false;
    bool is_whole = false;

    *out_result = LINE_TEXT;
    for (;;) {
        if (take_line(input, line, &is_whole, err) < 0)
            return -1;
        if (is_whole)
            return 0;
        if (input->has_ended) {
            *out_result = line->len > 0 ? LINE_TEXT : LINE_END;
            return 0;
        }
        if (read_piece(input, &is_cleared, err) < 0)
            return -1;
        if (is_cleared) {
            *out_result = LINE_CLEARED;
            return 0;
        }
    }
}

int line_input_read(struct line_input *input, const char *prompt, struct buf *line,
                    enum line_result *out_result, struct err *err)
{
    buf_clear(line);
    if (input->editor != NULL)
        return line_editor_read(input->editor, prompt, line, out_result, err);
    if (input->is_terminal && write(STDERR_FILENO, prompt, strlen(prompt)) < 0)
        return err_set(err, ERR_OUTPUT, "write a prompt: %m");
    return read_plain(input, line, out_result, err);
}

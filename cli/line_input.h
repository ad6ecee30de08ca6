/* Lines that somebody gives on stdin, one at a time: with editing and history where stdin is a
 * terminal (libedit, line_editor.h), as they are where it is not.
 *
 * Signals must be watched (interrupt_watch). Ctrl-C at a terminal's prompt clears the line; every
 * other signal, and any signal where there is no prompt, is ERR_CANCELLED with interrupt.signal
 * set. */
#ifndef RBEE_CLI_LINE_INPUT_H
#define RBEE_CLI_LINE_INPUT_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>

struct cli;
struct line_input;

enum line_result {
    LINE_TEXT,    /* one line, without its newline */
    LINE_CLEARED, /* Ctrl-C: what stood in the line is gone */
    LINE_END,     /* Ctrl-D, or the end of the file */
};

/* HISTORY_PATH: the file of lines to go back to, absolute; NULL: none is kept. The caller frees it.
 */
struct line_input *line_input_new(struct cli *cli, const char *history_path);
/* Writes the history. */
void line_input_free(struct line_input *input);
/* Whether somebody sits there and sees a prompt. */
bool line_input_is_terminal(const struct line_input *input);
/* Replaces what is in LINE. ERR_BODY_TOO_LARGE: it does not fit. */
int line_input_read(struct line_input *input, const char *prompt, struct buf *line,
                    enum line_result *out_result, struct err *err);

#endif

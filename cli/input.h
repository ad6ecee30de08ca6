/* The prompt and the system message: arguments, files and stdin made one text.
 *
 * The parts of a prompt come in the order argument, files, stdin, with a blank line between two of
 * them; an empty part leaves no trace. One newline at the end of a file or of stdin is dropped: it
 * ends the last line there, and a model would take it for a finished paragraph. Everything must be
 * UTF-8 without NUL. */
#ifndef RBEE_CLI_INPUT_H
#define RBEE_CLI_INPUT_H

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

struct cli;

/* As much as the supervisor takes in one body [limits.body]. A stdin that never ends ends here. */
enum { INPUT_MAX_BYTES = 4 << 20 };

/* Appends the whole prompt. ERR_USAGE when there is none, ERR_INVALID when it is empty,
 * ERR_BODY_TOO_LARGE, ERR_INVALID_UTF8 with the offset, ERR_NO_FILE. */
int input_read_prompt(struct cli *cli, struct buf *prompt, struct err *err);
/* Appends what TEXT_OR_FILE gives: the text itself, or with "@" in front the file's. */
int input_read_system(const char *text_or_file, struct buf *system, struct err *err);
/* Checks TEXT; WHAT names it in the error. */
int input_check_text(const char *what, const char *text, size_t len, struct err *err);

#endif

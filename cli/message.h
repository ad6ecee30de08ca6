/* What goes to stderr: one line a message, foreign text made harmless. stdout is never touched. */
#ifndef RBEE_CLI_MESSAGE_H
#define RBEE_CLI_MESSAGE_H

#include "common/attr.h"
#include "common/err.h"

struct cli;

/* "rbee: MESSAGE"; also with --quiet. */
void message_error(struct cli *cli, const struct err *err);
/* What was asked for by an option of its own: with --quiet, too. */
void message_always(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same without "rbee: ": a line of a list. */
void message_plain(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* Not with --quiet. */
void message_note(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* Only with --verbose. */
void message_detail(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* A line that the next one replaces; only when stderr is a terminal. */
void message_progress(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
void message_progress_clear(struct cli *cli);

#endif

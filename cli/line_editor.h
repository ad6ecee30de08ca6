/* A line of a terminal, edited with libedit, which is loaded when the first one is made: no other
 * command pays for it. */
#ifndef RBEE_CLI_LINE_EDITOR_H
#define RBEE_CLI_LINE_EDITOR_H

#include "cli/line_input.h"
#include "common/buf.h"
#include "common/err.h"

struct interrupt;
struct line_editor;

/* On stdin, with its echo on stdout, or on stderr where stdout is no terminal. INTERRUPT must
 * outlive it. NULL when libedit is not here, or cannot work with this terminal. */
struct line_editor *line_editor_new(struct interrupt *interrupt, const char *history_path,
                                    struct err *err);
/* Gives the terminal back as it was. */
void line_editor_free(struct line_editor *editor);
/* Appends to LINE, which is empty. A line that is not blank goes into the history. */
int line_editor_read(struct line_editor *editor, const char *prompt, struct buf *line,
                     enum line_result *out_result, struct err *err);
/* Writes the last LINE_HISTORY_MAX_COUNT lines into the history's file, which nobody else may
 * read. */
int line_editor_save(struct line_editor *editor, struct err *err);

enum { LINE_HISTORY_MAX_COUNT = 1000 };

#endif

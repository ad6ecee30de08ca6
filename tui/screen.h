/* The terminal: the one user of ncurses. Between screen_open() and screen_close() it belongs to the
 * dashboard; guard.h restores it when the process does not come to closing it. */
#ifndef RBEE_TUI_SCREEN_H
#define RBEE_TUI_SCREEN_H

#include "common/err.h"
#include "tui/canvas.h"
#include "tui/event.h"

#include <stdbool.h>

struct guard;
struct screen;

/* Takes the terminal of stdin and stdout over, and leaves word with GUARD how to restore it.
 * ERR_USAGE: it is none that can be drawn on. */
struct screen *screen_open(struct guard *guard, bool has_colors, bool has_mouse, struct err *err);
void screen_close(struct screen *screen); /* accepts NULL */
/* Its size now, asked from the terminal. */
void screen_size(struct screen *screen, int *out_rows, int *out_columns);
/* Brings the terminal in line with CANVAS; only what differs is sent. */
void screen_show(struct screen *screen, const struct canvas *canvas);
/* Whether we are in the foreground; who is not must leave the terminal alone. */
bool screen_is_ours(void);
/* As if nothing were on it: after somebody else wrote there, or it was given back meanwhile. */
void screen_take_again(struct screen *screen);
/* The next thing the person did; false: nothing for now. *OUT_IS_GONE: there is no terminal any
 * more. */
bool screen_next_event(struct screen *screen, struct tui_event *out, bool *out_is_gone);

#endif

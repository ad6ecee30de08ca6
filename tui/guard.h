/* Restores the terminal after every way to die. The process that a person started becomes the
 * guard; the dashboard runs in a twin of it. A twin that is killed, crashes or is stopped leaves
 * the terminal as it is, and the guard puts it right before the shell can write to it; a guard that
 * is killed ends its twin, which closes the screen itself.
 *
 *   guard: the signals it gets go on to the twin     twin: the dashboard
 *          twin stopped  -> terminal restored, stops itself, too
 *          twin ended    -> terminal restored where it was not, ends in the same way
 *
 * (Only when both are killed with SIGKILL at the same moment is nobody left.) */
#ifndef RBEE_TUI_GUARD_H
#define RBEE_TUI_GUARD_H

#include "common/err.h"

#include <stddef.h>

enum { GUARD_WORDS_MAX_BYTES = 512 };

struct guard;

/* Makes the twin, and returns there alone: the guard never returns. To be called before there is
 * anything that two processes must not share (event loops, connections). */
int guard_begin(struct guard **out, struct err *err);

/* In the twin. The terminal is about to be taken; WORDS, written to it, undo that. */
void guard_take_terminal(struct guard *guard, const char *words, size_t len);
void guard_take_terminal_again(struct guard *guard); /* the same words hold */
/* It is as it was before. */
void guard_give_terminal_back(struct guard *guard);

#endif

/* The words of states, as words.def says how they read. */
#ifndef RBEE_TUI_WORD_H
#define RBEE_TUI_WORD_H

#include "tui/canvas.h"

enum { WORD_MAX_BYTES = 64 };

/* How TEXT reads; NORMAL where it is none of the words. */
enum tui_style word_style(const char *text);
/* Its place between well and bad, as words.def has them; the same for all that are no such words.
 */
int word_rank(const char *text);
/* TEXT with its sign before it, where it is one of the words. */
void word_with_sign(const struct canvas *canvas, const char *text, char out[WORD_MAX_BYTES]);

#endif

/* Text of strangers on a terminal: a model, or a worker's last words, must not drive it. */
#ifndef RBEE_COMMON_TERMINAL_H
#define RBEE_COMMON_TERMINAL_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Most bytes that one byte of text can become. */
enum { TERMINAL_GROWTH_MAX = 3 };

/* Appends TEXT with every control character but newline and tab replaced by a visible sign (the
 * escape character becomes U+241B), and what turns the direction of text, ends a line in a way of
 * its own, or is not UTF-8 by U+FFFD. -1: OUT is full. */
int terminal_clean(struct buf *out, const char *text, size_t len);
/* Whether FD is a terminal that takes colours: TERM is set and not "dumb", NO_COLOR is empty. */
bool terminal_has_colors(int fd);
/* Whether FD is a terminal that takes the usual ANSI sequences, so that what stands there can be
 * written over: TERM is set and not "dumb". */
bool terminal_can_redraw(int fd);

struct terminal_size {
    unsigned columns; /* 0: it does not say */
    unsigned rows;    /* likewise */
};
/* Both 0 where FD is no terminal. */
struct terminal_size terminal_size(int fd);

#endif

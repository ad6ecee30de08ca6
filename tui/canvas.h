/* A screen as cells, in memory: what views draw on, what the terminal is brought in line with, and
 * what tests read.
 *
 * Everything is clipped: a row or column outside is not drawn, and is no error. Text of strangers
 * becomes harmless on its way in: what is no printable character is '?', what has no width of its
 * own is left out, and what is two columns wide takes two cells. */
#ifndef RBEE_TUI_CANVAS_H
#define RBEE_TUI_CANVAS_H

#include "common/buf.h"
#include "tui/style.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CANVAS_MAX_ROWS = 500, /* more is not drawn on */
    CANVAS_MAX_COLUMNS = 1000,
};

struct canvas_cell {
    uint32_t codepoint; /* 0: the second half of the wide character before it */
    uint8_t style;
};

struct canvas {
    int rows;
    int columns;
    bool is_ascii;             /* nothing but ASCII of our own; text of others stays as it is */
    struct canvas_cell *cells; /* [row][column] */
};

/* A part of a canvas. */
struct area {
    int row;
    int column;
    int rows;
    int columns;
};

/* Storage of the caller; blank. */
void canvas_init(struct canvas *canvas, int rows, int columns, bool is_ascii);
void canvas_release(struct canvas *canvas);
/* Blank again, of that size. */
void canvas_clear(struct canvas *canvas, int rows, int columns);

/* Draws TEXT from COLUMN on, over at most WIDTH columns; one that is longer ends in a mark. A text
 * ends at its first newline. Returns how many columns it took. */
int canvas_text(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                const char *text);
/* The same, at the right end of these columns. */
void canvas_text_right(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                       const char *text);
int canvas_printf(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                  const char *format, ...) PRINTF_LIKE(6, 7);
/* CODEPOINT, of one column, WIDTH times. */
void canvas_fill(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                 uint32_t codepoint);
/* Gives cells that are drawn another style. */
void canvas_set_style(struct canvas *canvas, int row, int column, int width, enum tui_style style);
/* TEXT without its first COLUMNS columns. */
const char *canvas_text_skip(const char *text, int columns);
/* How many columns canvas_text() would take with room for all of it. */
int canvas_text_width(const char *text);

/* Appends the canvas as lines, without blanks at their ends; what does not fit is cut. */
void canvas_add_text(const struct canvas *canvas, struct buf *out);

#endif

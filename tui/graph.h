/* Graphs and bars of characters. Pure functions on a canvas. */
#ifndef RBEE_TUI_GRAPH_H
#define RBEE_TUI_GRAPH_H

#include "tui/canvas.h"

#include <stddef.h>

/* Draws the last of VALUES, of which VALUES[count - 1] is the newest and stands at the right end,
 * filled up from the lowest row. MAX is what the top of AREA stands for; a value that is not known
 * (NaN) is left blank. In braille a cell holds two values and four levels, in ASCII one and two. */
void graph_draw(struct canvas *canvas, const struct area *area, enum tui_style style,
                const double *values, size_t count, double max);
/* How many values fit into COLUMNS. */
size_t graph_capacity(const struct canvas *canvas, int columns);
/* A round number (1, 2 or 5 and zeros) that no value is above; at least LEAST. */
double graph_scale(const double *values, size_t count, double least);
/* A bar of WIDTH columns, of which SHARE (0 to 1; NaN: not known) is filled. */
void graph_bar(struct canvas *canvas, int row, int column, int width, enum tui_style style,
               double share);

#endif

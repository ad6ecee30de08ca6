/* Owns the cells of a screen. Must not know what they show, nor a terminal. */
#include "tui/canvas.h"

#include "common/mem.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum {
    CANVAS_LINE_MAX_BYTES = 4 * CANVAS_MAX_COLUMNS,
    CODEPOINT_ELLIPSIS = 0x2026,
};

static int least(int a, int b)
{
    return a < b ? a : b;
}

void canvas_clear(struct canvas *canvas, int rows, int columns)
{
    rows = least(rows, CANVAS_MAX_ROWS);
    columns = least(columns, CANVAS_MAX_COLUMNS);
    if (rows != canvas->rows || columns != canvas->columns || canvas->cells == NULL) {
        free(canvas->cells);
        canvas->cells = xcalloc((size_t)rows * (size_t)columns + 1, sizeof(*canvas->cells));
        canvas->rows = rows;
        canvas->columns = columns;
    }
    for (int i = 0; i < rows * columns; i++)
        canvas->cells[i] = (struct canvas_cell){.codepoint = ' ', .style = STYLE_NORMAL};
}

void canvas_init(struct canvas *canvas, int rows, int columns, bool is_ascii)
{
    *canvas = (struct canvas){.is_ascii = is_ascii};
    canvas_clear(canvas, rows, columns);
}

void canvas_release(struct canvas *canvas)
{
    free(canvas->cells);
    canvas->cells = NULL;
}

/* NULL outside. */
static struct canvas_cell *cell_at(struct canvas *canvas, int row, int column)
{
    if (row < 0 || row >= canvas->rows || column < 0 || column >= canvas->columns)
        return NULL;
    return &canvas->cells[row * canvas->columns + column];
}

static void put(struct canvas *canvas, int row, int column, enum tui_style style,
                uint32_t codepoint)
{
    struct canvas_cell *cell = cell_at(canvas, row, column);

    if (cell != NULL)
        *cell = (struct canvas_cell){.codepoint = codepoint, .style = (uint8_t)style};
}

/* The next character of TEXT that takes columns: its width, 0 at the end. */
static int next_character(const char **text, uint32_t *out_codepoint)
{
    int width = 0;

    while (width <= 0 && **text != '\0' && **text != '\n') {
        size_t step = utf8_decode(*text, strlen(*text), out_codepoint);

        width =
            step > 0 && utf8_is_printable(*out_codepoint) ? wcwidth((wchar_t)*out_codepoint) : -1;
        if (width < 0) {
            *out_codepoint = **text == '\t' ? ' ' : '?';
            width = 1;
        }
        *text += step > 0 ? step : 1;
    }
    return width;
}

int canvas_text_width(const char *text)
{
    uint32_t ignored = 0;
    int total = 0;
    int width = 0;

    while ((width = next_character(&text, &ignored)) > 0)
        total += width;
    return total;
}

const char *canvas_text_skip(const char *text, int columns)
{
    uint32_t ignored = 0;

    while (columns > 0 && *text != '\0' && *text != '\n')
        columns -= next_character(&text, &ignored);
    return text;
}

int canvas_text(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                const char *text)
{
    uint32_t codepoint = 0;
    int at = 0;
    int step = 0;
    int last = 0; /* where the last character begins that leaves room for a mark */

    while ((step = next_character(&text, &codepoint)) > 0) {
        if (at + step > width) {
            if (width > 0)
                put(canvas, row, column + last, style, canvas->is_ascii ? '>' : CODEPOINT_ELLIPSIS);
            return width > 0 ? last + 1 : 0;
        }
        put(canvas, row, column + at, style, codepoint);
        if (step > 1) /* the second half of one that begins in the last column is cut with it */
            put(canvas, row, column + at + 1, style, 0);
        at += step;
        if (at < width)
            last = at;
    }
    return at;
}

void canvas_text_right(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                       const char *text)
{
    int needed = canvas_text_width(text);

    if (needed < width)
        column += width - needed;
    (void)canvas_text(canvas, row, column, least(needed, width), style, text);
}

int canvas_printf(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                  const char *format, ...)
{
    char text[CANVAS_LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* what is cut would not be shown */
    va_end(args);
    return canvas_text(canvas, row, column, width, style, text);
}

void canvas_fill(struct canvas *canvas, int row, int column, int width, enum tui_style style,
                 uint32_t codepoint)
{
    for (int i = 0; i < width; i++)
        put(canvas, row, column + i, style, codepoint);
}

void canvas_set_style(struct canvas *canvas, int row, int column, int width, enum tui_style style)
{
    for (int i = 0; i < width; i++) {
        struct canvas_cell *cell = cell_at(canvas, row, column + i);

        if (cell != NULL)
            cell->style = (uint8_t)style;
    }
}

static int used_columns(const struct canvas *canvas, int row)
{
    int used = canvas->columns;

    while (used > 0 && canvas->cells[row * canvas->columns + used - 1].codepoint == ' ')
        used--;
    return used;
}

void canvas_add_text(const struct canvas *canvas, struct buf *out)
{
    for (int row = 0; row < canvas->rows; row++) {
        int used = used_columns(canvas, row);

        for (int column = 0; column < used; column++) {
            uint32_t codepoint = canvas->cells[row * canvas->columns + column].codepoint;
            char bytes[4];

            if (codepoint != 0)
                (void)buf_add(out, bytes, utf8_write(codepoint, bytes)); /* cut at its maximum */
        }
        (void)buf_add_byte(out, '\n');
    }
}

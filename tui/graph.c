/* Owns how numbers become dots. Must not know what they measure. */
#include "tui/graph.h"

#include "common/attr.h"

#include <math.h>

enum {
    BRAILLE_BLANK = 0x2800,
    BRAILLE_LEVELS = 4,
    BRAILLE_VALUES = 2,
    ASCII_LEVELS = 2,
    BLOCK_FULL = 0x2588,
    BLOCK_EIGHTHS = 8, /* U+2588 - n: 8 - n eighths of a block, from the left */
    SCALE_BASE = 10,
};

size_t graph_capacity(const struct canvas *canvas, int columns)
{
    return columns <= 0 ? 0 : (size_t)columns * (canvas->is_ascii ? 1 : BRAILLE_VALUES);
}

double graph_scale(const double *values, size_t count, double least_max)
{
    static const double STEPS[] = {1, 2, 5, SCALE_BASE};
    double max = least_max;
    double scale = 1;

    for (size_t i = 0; i < count; i++) {
        if (values[i] > max) /* false for NaN */
            max = values[i];
    }
    if (!isfinite(max) || max <= 0)
        return 1;
    scale = pow(SCALE_BASE, floor(log10(max)));
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        if (scale * STEPS[i] >= max)
            return scale * STEPS[i];
    }
    return max;
}

/* How many of LEVELS the value fills; one that is above 0 fills one at least. */
static int filled_levels(double value, double max, int levels)
{
    double level = round(value / max * levels);

    if (!(value > 0))
        return 0;
    return level < 1 ? 1 : level > levels ? levels : (int)level;
}

/* The dots of one of a cell's two columns, LEVEL (0 to 4) of them filled from below. */
static uint32_t braille_dots(int level, int side)
{
    /* Unicode numbers the dots 1 2 3 7 on the left and 4 5 6 8 on the right, from the top. */
    static const uint8_t DOTS[BRAILLE_VALUES][BRAILLE_LEVELS] = {{0x40, 0x04, 0x02, 0x01},
                                                                 {0x80, 0x20, 0x10, 0x08}};
    uint32_t bits = 0;

    for (int i = 0; i < level; i++)
        bits |= DOTS[side][i];
    return bits;
}

/* The cell that has ROWS_BELOW rows of the graph below it, of values that fill FILLED levels each.
 */
static uint32_t graph_cell(const struct canvas *canvas, const int filled[BRAILLE_VALUES],
                           int rows_below)
{
    uint32_t bits = 0;
    int level = 0;

    if (canvas->is_ascii) {
        level = filled[0] - rows_below * ASCII_LEVELS;
        return level <= 0 ? ' ' : level == 1 ? '.' : ':';
    }
    for (int side = 0; side < BRAILLE_VALUES; side++) {
        level = filled[side] - rows_below * BRAILLE_LEVELS;
        bits |= braille_dots(level < BRAILLE_LEVELS ? level : BRAILLE_LEVELS, side);
    }
    return bits == 0 ? ' ' : BRAILLE_BLANK + bits;
}

void graph_draw(struct canvas *canvas, const struct area *area, enum tui_style style,
                const double *values, size_t count, double max)
{
    int per_cell = canvas->is_ascii ? 1 : BRAILLE_VALUES;
    int levels = area->rows * (canvas->is_ascii ? ASCII_LEVELS : BRAILLE_LEVELS);
    long first = (long)count - (long)area->columns * per_cell;

    for (int column = 0; column < area->columns; column++) {
        int filled[BRAILLE_VALUES] = {0};

        for (int side = 0; side < per_cell; side++) {
            long index = first + (long)column * per_cell + side;

            if (index >= 0)
                filled[side] = filled_levels(values[index], max, levels);
        }
        for (int row = 0; row < area->rows; row++)
            canvas_fill(canvas, area->row + area->rows - 1 - row, area->column + column, 1, style,
                        graph_cell(canvas, filled, row));
    }
}

void graph_bar(struct canvas *canvas, int row, int column, int width, enum tui_style style,
               double share)
{
    int eighths = 0;
    int inside = width - 2;

    if (inside <= 0)
        return;
    canvas_fill(canvas, row, column, 1, STYLE_DIM, '[');
    canvas_fill(canvas, row, column + width - 1, 1, STYLE_DIM, ']');
    if (!(share > 0))
        return;
    eighths = filled_levels(share, 1, inside * BLOCK_EIGHTHS);
    if (canvas->is_ascii) {
        canvas_fill(canvas, row, column + 1, (eighths + BLOCK_EIGHTHS - 1) / BLOCK_EIGHTHS, style,
                    '|');
        return;
    }
    canvas_fill(canvas, row, column + 1, eighths / BLOCK_EIGHTHS, style, BLOCK_FULL);
    if (eighths % BLOCK_EIGHTHS > 0)
        canvas_fill(canvas, row, column + 1 + eighths / BLOCK_EIGHTHS, 1, style,
                    (uint32_t)(BLOCK_FULL + BLOCK_EIGHTHS - eighths % BLOCK_EIGHTHS));
}

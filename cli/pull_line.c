/* Owns the look of a download's progress. Must not know where it is shown. */
#include "cli/pull_line.h"

#include "common/attr.h"
#include "common/units.h"
#include "common/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    BAR_MIN_COLUMNS = 10, /* a shorter one says less than the number beside it */
    BAR_MAX_COLUMNS = 30,
    PART_MAX_BYTES = 128,
    PERCENT = 100,
    MS_PER_SECOND = 1000,
};

/* In the order in which they stand. */
enum part { PART_FILE, PART_BAR, PART_PERCENT, PART_SIZES, PART_RATE, PART_LEFT, PART_COUNT };

/* In the order in which they are wanted. */
static const enum part WANTED[] = {PART_PERCENT, PART_LEFT, PART_RATE,
                                   PART_SIZES,   PART_FILE, PART_BAR};

static size_t columns_of(const char *text)
{
    size_t columns = 0;

    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xC0) != 0x80; /* not the rest of a character */
    return columns;
}

static int percent_of(const struct pull_line *line)
{
    if (line->total_bytes <= 0)
        return 0;
    return (int)((double)line->done_bytes / (double)line->total_bytes * PERCENT);
}

static void fill_bar(const struct pull_line *line, unsigned columns, char *out)
{
    unsigned inside = columns - 2;
    unsigned filled = inside * (unsigned)percent_of(line) / PERCENT;

    out[0] = '[';
    for (unsigned i = 0; i < inside; i++)
        out[1 + i] = i < filled ? '#' : ' ';
    memcpy(out + 1 + inside, "]", sizeof("]"));
}

static void fill_sizes(const struct pull_line *line, char out[PART_MAX_BYTES])
{
    char done[UNITS_TEXT_BYTES];
    char total[UNITS_TEXT_BYTES];

    units_format_size((uint64_t)line->done_bytes, done);
    units_format_size((uint64_t)line->total_bytes, total);
    if (line->total_bytes > 0)
        (void)snprintf(out, PART_MAX_BYTES, "%s of %s", done, total);
    else
        (void)snprintf(out, PART_MAX_BYTES, "%s", done);
}

static void fill_times(const struct pull_line *line, char rate[PART_MAX_BYTES],
                       char left[PART_MAX_BYTES])
{
    char text[UNITS_TEXT_BYTES];
    int64_t left_bytes = line->total_bytes - line->done_bytes;

    if (line->bytes_per_second <= 0)
        return;
    units_format_size((uint64_t)line->bytes_per_second, text);
    (void)snprintf(rate, PART_MAX_BYTES, "%s/s", text);
    if (left_bytes <= 0)
        return;
    units_format_duration((uint64_t)(left_bytes / line->bytes_per_second + 1) * MS_PER_SECOND,
                          text);
    (void)snprintf(left, PART_MAX_BYTES, "%s", text);
}

static void fill_parts(const struct pull_line *line, char parts[PART_COUNT][PART_MAX_BYTES])
{
    size_t len = utf8_cut_len(line->file, strnlen(line->file, PULL_LINE_NAME_MAX_BYTES));

    (void)snprintf(parts[PART_FILE], PART_MAX_BYTES, "%s%s%.*s", line->what,
                   line->what[0] != '\0' ? " " : "", (int)len, line->file);
    if (line->total_bytes > 0)
        (void)snprintf(parts[PART_PERCENT], PART_MAX_BYTES, "%d %%", percent_of(line));
    fill_sizes(line, parts[PART_SIZES]);
    fill_times(line, parts[PART_RATE], parts[PART_LEFT]);
}

void pull_line_format(const struct pull_line *line, unsigned columns, char out[PULL_LINE_MAX_BYTES])
{
    char parts[PART_COUNT][PART_MAX_BYTES] = {""};
    bool is_shown[PART_COUNT] = {false};
    size_t used = 0;
    size_t len = 0;

    fill_parts(line, parts);
    for (size_t i = 0; i < ARRAY_COUNT(WANTED); i++) {
        enum part part = WANTED[i];
        size_t gap = used > 0 ? 2 : 0;
        size_t room = used + gap < columns ? columns - used - gap : 0;

        if (part == PART_BAR && line->total_bytes > 0 && room >= BAR_MIN_COLUMNS)
            fill_bar(line, room < BAR_MAX_COLUMNS ? (unsigned)room : BAR_MAX_COLUMNS,
                     parts[PART_BAR]);
        if (parts[part][0] == '\0' || columns_of(parts[part]) > room)
            continue;
        is_shown[part] = true;
        used += gap + columns_of(parts[part]);
    }
    out[0] = '\0';
    for (int part = 0; part < PART_COUNT; part++) {
        if (is_shown[part])
            len += (size_t)snprintf(out + len, PULL_LINE_MAX_BYTES - len, "%s%s",
                                    len > 0 ? "  " : "", parts[part]);
    }
}

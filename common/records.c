/* Owns the table of records.def and how a record looks to a person. Must not know where records
 * come from. */
#include "common/records.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/units.h"
#include "common/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum {
    RECORD_COLUMN_NO,
    RECORD_COLUMN_YES,
    RECORD_COLUMN_GAP = 2, /* blanks between columns */
    RECORD_TEXTS_MAX_BYTES = 64 << 10,
};

/* All fields of all records, in the order of records.def, in which a record's fields stand
 * together. */
static const struct record_field FIELDS[] = {
#define RECORD(kind, title)
#define FIELD(kind, name, type, heading, column)                                                   \
    {#name, heading, RECORD_##type, RECORD_COLUMN_##column == RECORD_COLUMN_YES},
#include "common/records.def"
#undef RECORD
#undef FIELD
};

static const enum record_kind FIELD_KINDS[] = {
#define RECORD(kind, title)
#define FIELD(kind, name, type, heading, column) RECORD_##kind,
#include "common/records.def"
#undef RECORD
#undef FIELD
};

static const char *const TITLES[RECORD_KIND_COUNT] = {
#define RECORD(kind, title) [RECORD_##kind] = title,
#define FIELD(kind, name, type, heading, column)
#include "common/records.def"
#undef RECORD
#undef FIELD
};

const struct record_field *record_fields(enum record_kind kind, size_t *out_count)
{
    size_t first = 0;
    size_t end = 0;

    while (first < ARRAY_COUNT(FIELDS) && FIELD_KINDS[first] != kind)
        first++;
    end = first;
    while (end < ARRAY_COUNT(FIELDS) && FIELD_KINDS[end] == kind)
        end++;
    *out_count = end - first;
    return FIELDS + first;
}

const struct record_field *record_field(enum record_kind kind, const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++) {
        if (FIELD_KINDS[i] == kind && strcmp(FIELDS[i].name, name) == 0)
            return &FIELDS[i];
    }
    assert(!"a record has no field of that name");
    return NULL;
}

static bool record_type_fits(enum record_type type, const json_t *value)
{
    if (json_is_null(value))
        return true; /* unknown is not zero */
    switch (type) {
    case RECORD_TEXT:
    case RECORD_TIME:
        return json_is_string(value);
    case RECORD_INTEGER:
    case RECORD_BYTES:
    case RECORD_DURATION:
        return json_is_integer(value);
    case RECORD_REAL:
        return json_is_number(value);
    case RECORD_BOOL:
        return json_is_boolean(value);
    case RECORD_TEXTS:
        return json_is_array(value);
    case RECORD_JSON:
        return json_is_object(value) || json_is_array(value);
    }
    return false;
}

void record_check(enum record_kind kind, const json_t *object)
{
    size_t count = 0;
    const struct record_field *fields = record_fields(kind, &count);

    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);

        if (value == NULL || !record_type_fits(fields[i].type, value)) {
            (void)fprintf(stderr, "fatal: record %s: field %s is %s\n", TITLES[kind],
                          fields[i].name, value == NULL ? "missing" : "of another type");
            abort();
        }
    }
    assert(json_object_size(object) == count); /* no field that records.def does not know */
}

/* How long ago TEXT, a time as in JSON, was. */
static char *record_format_age(const char *text)
{
    char age[UNITS_TEXT_BYTES];
    int64_t then_ms = 0;
    int64_t now_ms = clock_wall_ms();

    if (!clock_parse_rfc3339(text, &then_ms))
        return xstrdup(text);
    units_format_duration(then_ms < now_ms ? (uint64_t)(now_ms - then_ms) : 0, age);
    return xasprintf("%s ago", age);
}

/* The caller frees it. A record's text is far below the maximum. */
static char *record_format_texts(const json_t *texts, bool is_table)
{
    AUTO_BUF struct buf lines = BUF_INIT(RECORD_TEXTS_MAX_BYTES);
    const json_t *text = NULL;
    size_t index = 0;

    json_array_foreach(texts, index, text)
    {
        (void)buf_printf(&lines, "%s%s", index == 0 ? "" : (is_table ? ", " : "\n"),
                         json_is_string(text) ? json_string_value(text) : "");
    }
    return xstrdup(lines.len > 0 ? lines.data : "-");
}

/* What VALUE looks like before it is made printable; the caller frees it. */
static char *record_format(const struct record_field *field, const json_t *value, bool is_table)
{
    char text[UNITS_TEXT_BYTES];

    if (value == NULL || json_is_null(value) || !record_type_fits(field->type, value))
        return xstrdup("-");
    switch (field->type) {
    case RECORD_TEXT:
        /* A cell that is empty would shift what a person or awk sees behind it. */
        return xstrdup(json_string_length(value) > 0 ? json_string_value(value) : "-");
    case RECORD_INTEGER:
        return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case RECORD_REAL:
        return xasprintf("%.1f", json_number_value(value));
    case RECORD_BOOL:
        return xstrdup(json_is_true(value) ? "yes" : "no");
    case RECORD_BYTES:
        units_format_size((uint64_t)json_integer_value(value), text);
        return xstrdup(text);
    case RECORD_DURATION:
        units_format_duration((uint64_t)json_integer_value(value), text);
        return xstrdup(text);
    case RECORD_TIME:
        return is_table ? record_format_age(json_string_value(value))
                        : xstrdup(json_string_value(value));
    case RECORD_TEXTS:
        return record_format_texts(value, is_table);
    case RECORD_JSON:
        break;
    }
    return xstrdup("-");
}

char *record_cell(const struct record_field *field, const json_t *value)
{
    char *text = record_format(field, value, true);

    utf8_make_printable(text, strlen(text));
    return text;
}

bool record_type_is_number(enum record_type type)
{
    return type == RECORD_INTEGER || type == RECORD_REAL || type == RECORD_BYTES ||
           type == RECORD_DURATION;
}

/* Characters, not bytes: what a column is wide on a terminal, but for wide and combining ones. */
static size_t record_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* A table over the buffer's maximum is cut where it reaches it. */
static void record_add_cell(struct buf *out, const char *text, size_t width, bool is_right,
                            bool is_last)
{
    size_t blanks = width - record_width(text);

    if (is_right)
        (void)buf_printf(out, "%*s%s", (int)blanks, "", text);
    else if (is_last)
        (void)buf_add_string(out, text); /* no blanks at the end of a line */
    else
        (void)buf_printf(out, "%s%*s", text, (int)blanks, "");
    (void)buf_printf(out, "%*s", is_last ? 0 : RECORD_COLUMN_GAP, "");
}

struct record_table {
    const struct record_field *columns[ARRAY_COUNT(FIELDS)];
    size_t column_count;
    size_t row_count;
    char **cells; /* [1 + row][column], the headings first */
};

static void record_table_fill(struct record_table *table, enum record_kind kind, const json_t *rows)
{
    size_t field_count = 0;
    const struct record_field *fields = record_fields(kind, &field_count);
    char **cell = NULL;

    table->column_count = 0;
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].is_column)
            table->columns[table->column_count++] = &fields[i];
    }
    table->row_count = json_array_size(rows);
    table->cells = xcalloc((1 + table->row_count) * table->column_count, sizeof(*table->cells));
    cell = table->cells;
    for (size_t i = 0; i < table->column_count; i++)
        *cell++ = xstrdup(table->columns[i]->heading);
    for (size_t row = 0; row < table->row_count; row++) {
        const json_t *object = json_array_get(rows, row);

        for (size_t i = 0; i < table->column_count; i++) {
            const struct record_field *field = table->columns[i];

            *cell++ = record_cell(field, json_object_get(object, field->name));
        }
    }
}

static void record_table_print(const struct record_table *table, struct buf *out)
{
    size_t widths[ARRAY_COUNT(FIELDS)] = {0};
    size_t count = table->column_count;

    for (size_t i = 0; i < (1 + table->row_count) * count; i++) {
        size_t width = record_width(table->cells[i]);

        widths[i % count] = width > widths[i % count] ? width : widths[i % count];
    }
    for (size_t i = 0; i < (1 + table->row_count) * count; i++) {
        size_t column = i % count;
        bool is_last = column + 1 == count;

        record_add_cell(out, table->cells[i], widths[column],
                        record_type_is_number(table->columns[column]->type), is_last);
        if (is_last)
            (void)buf_add_byte(out, '\n'); /* cut at the maximum, as above */
    }
}

void record_print_table(enum record_kind kind, const json_t *rows, struct buf *out)
{
    struct record_table table;

    record_table_fill(&table, kind, rows);
    record_table_print(&table, out);
    for (size_t i = 0; i < (1 + table.row_count) * table.column_count; i++)
        free(table.cells[i]);
    free(table.cells);
}

/* Text of several lines goes on below, indented. */
static void record_add_lines(struct buf *out, const char *name, char *text)
{
    char *rest = text;
    char *line = NULL;

    (void)buf_printf(out, "%s:", name); /* cut at the maximum, as a table is */
    while ((line = strsep(&rest, "\n")) != NULL) {
        utf8_make_printable(line, strlen(line));
        if (line[0] != '\0' || rest != NULL)
            (void)buf_printf(out, "%s%s\n", line == text ? " " : "    ", line);
    }
}

void record_print_details(enum record_kind kind, const json_t *object, struct buf *out)
{
    size_t count = 0;
    const struct record_field *fields = record_fields(kind, &count);

    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *text = NULL;

        if (fields[i].type == RECORD_JSON)
            continue;
        text = record_format(&fields[i], json_object_get(object, fields[i].name), false);
        record_add_lines(out, fields[i].name, text);
    }
}

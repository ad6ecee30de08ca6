/* Records as the API sends and the command line shows them: one description a record
 * (records.def) for the JSON fields, the columns of a table and their headings. */
#ifndef RBEE_COMMON_RECORDS_H
#define RBEE_COMMON_RECORDS_H

#include "common/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum record_kind {
#define RECORD(kind, title) RECORD_##kind,
#define FIELD(kind, name, type, heading, column)
#include "common/records.def"
#undef RECORD
#undef FIELD
    RECORD_KIND_COUNT,
};

enum record_type {
    RECORD_TEXT,
    RECORD_INTEGER,
    RECORD_REAL,
    RECORD_BOOL,
    RECORD_BYTES,    /* human size in tables */
    RECORD_DURATION, /* milliseconds; human in tables */
    RECORD_TIME,     /* RFC 3339 in JSON; age in tables */
    RECORD_TEXTS,    /* an array of texts; each on a line of its own in `show` */
    RECORD_JSON,     /* an object or array; in JSON only */
};

struct record_field {
    const char *name;    /* key in JSON */
    const char *heading; /* of the column */
    enum record_type type;
    bool is_column; /* shown in the table, else only in JSON and `show` */
};

const struct record_field *record_fields(enum record_kind kind, size_t *out_count);

/* The field NAME, which there is. */
const struct record_field *record_field(enum record_kind kind, const char *name);

/* Asserts that OBJECT has exactly the fields of its record: what a producer forgets is found by
 * the first test that runs it. */
void record_check(enum record_kind kind, const json_t *object);

/* VALUE as it stands in a table, one harmless line; the caller frees it. */
char *record_cell(const struct record_field *field, const json_t *value);
/* Whether its values stand right-aligned in a table. */
bool record_type_is_number(enum record_type type);

/* Appends a table of ROWS (an array of such objects), aligned, with a line of headings; an unknown
 * (null) value is "-", as is an empty text. Foreign text is made harmless. */
void record_print_table(enum record_kind kind, const json_t *rows, struct buf *out);
/* Appends one object as "name: value" lines, all fields but those of type JSON; the further lines
 * of a text are indented. */
void record_print_details(enum record_kind kind, const json_t *object, struct buf *out);

#endif

/* A table as data, and the functions that every table has, made from it. A table costs NAME.def
 * (its columns), a row struct and the functions' declarations in NAME.h, a line of tables.def, and
 * NAME.c, which says what kind of table it is. Nobody outside db/ includes this. */
#ifndef RBEE_DB_TABLE_H
#define RBEE_DB_TABLE_H

#include "db/store_private.h"

/* A column of a .def and the field of the same name. One whose type in the .def is not that of the
 * field does not compile: no branch of the _Generic fits. */
struct store_column {
    const char *name;
    enum store_value_type type;
    size_t offset;
};
#define STORE_FIELD_TEXT const char *
#define STORE_FIELD_INTEGER int64_t
#define STORE_FIELD_BOOL bool
#define STORE_COLUMN(row, field, column_type)                                                      \
    {                                                                                              \
        .name = #field,                                                                            \
        .type = STORE_##column_type,                                                               \
        .offset = _Generic(((row *)NULL)->field, STORE_FIELD_##column_type                         \
                           : offsetof(row, field)),                                                \
    },

enum { STORE_ORDER_MAX_COUNT = 2 };

struct store_table {
    const char *name;
    const struct store_column *columns; /* the key is the first */
    size_t column_count;
    size_t row_bytes;
    const char *order[STORE_ORDER_MAX_COUNT]; /* columns that rows are read by */
    const char *time;   /* the column of their wall time; NULL: there is none */
    const char *may_go; /* which rows may go when they are old. NULL: each stays until removed */
    enum store_table_id id;
    bool is_numbered; /* a log: the key is a number that the store gives, rows are never replaced */
    bool is_chained; /* and the number, and a hash in the last column, are given as it is written */
};
#define TABLE(name) extern const struct store_table TABLE_##name;
#include "db/tables.def"
/* By id. */
extern const struct store_table *const STORE_TABLES[STORE_TABLE_COUNT];

/* Rows of any table; those of a table's header have the same fields. */
struct store_rows {
    void *rows;
    size_t count;
    struct store_texts texts;
};

enum { STORE_ALL_ROWS = -1 };

/* Statements' texts; the caller frees them. */
/* WHERE is "" or " WHERE …"; ?1 is the LIMIT. */
char *store_table_select_sql(const struct store_table *table, const char *where, bool is_backwards);
char *store_table_sql(const struct store_table *table, enum store_operation operation);
/* The last LIMIT rows, in order. Before store_start. */
int store_table_load(struct store *store, const struct store_table *table, int64_t limit,
                     struct store_rows *out, struct err *err);
/* Adds the row that STMT, a select of the table, is at. */
void store_rows_add(struct store_rows *rows, const struct store_table *table, sqlite3_stmt *stmt);
void store_rows_release(struct store_rows *rows);
/* ROW is a struct of the table. */
int store_table_put(struct store *store, const struct store_table *table, const void *row,
                    struct store_done done, struct err *err);
/* ROW is the caller's copy, whose number is set; *out_seq (may be NULL) gets it, too. */
int store_table_append(struct store *store, const struct store_table *table, void *row,
                       struct store_done done, int64_t *out_seq, struct err *err);
int store_table_remove(struct store *store, const struct store_table *table, const char *key,
                       struct store_done done, struct err *err);
/* ROW on its way; the caller frees it, or posts it. */
struct store_write *store_table_write(const struct store_table *table, const void *row);
/* Binds WRITE to STMT and steps it. SQLite's code, SQLITE_DONE when it is done. */
int store_write_run(const struct store_write *write, sqlite3_stmt *stmt);
/* The same with a statement of its own: on the thread that has the connection, within its
 * transaction. */
int store_write_now(const struct store_write *write, sqlite3 *db, struct err *err);
/* The highest number a row of a log has; 0 when there is none. */
int store_table_read_last_seq(sqlite3 *db, const struct store_table *table, int64_t *out_seq,
                              struct err *err);

/* ---- definitions of TABLE_name and of what its header declares, for NAME.c ----
 * COLUMNS is the array of its columns there, ROW its singular, which names the structs. */

#define TABLE_IS(table, row, ...)                                                                  \
    const struct store_table TABLE_##table = {                                                     \
        .name = #table,                                                                            \
        .columns = COLUMNS,                                                                        \
        .column_count = ARRAY_COUNT(COLUMNS),                                                      \
        .row_bytes = sizeof(struct row##_row),                                                     \
        .id = STORE_TABLE_##table,                                                                 \
        __VA_ARGS__,                                                                               \
    };                                                                                             \
    TABLE_HAS_ROWS(row)

/* Few rows, each found by its key, put and removed; all are read at the start. */
#define TABLE_IS_KEYED(table, row, ...)                                                            \
    TABLE_IS(table, row, __VA_ARGS__)                                                              \
    TABLE_LOADS_ALL(table, row)                                                                    \
    TABLE_PUTS(table, row)                                                                         \
    TABLE_REMOVES(table)

/* Rows are only ever added; they are numbered in the column seq, and get old by at_ms. The newest
 * stays whatever its age: the numbers go on from it. */
#define TABLE_IS_LOG(table, row)                                                                   \
    TABLE_IS(table, row, .order = {"seq"}, .is_numbered = true, .time = "at_ms",                   \
             .may_go = "seq < (SELECT max(seq) FROM " #table ")")                                  \
    TABLE_LOADS_LAST(table, row)                                                                   \
    TABLE_APPENDS(table, row)

#define TABLE_HAS_ROWS(row)                                                                        \
    void row##_rows_release(struct row##_rows *rows)                                               \
    {                                                                                              \
        struct store_rows any = {.rows = rows->rows, .count = rows->count, .texts = rows->texts};  \
                                                                                                   \
        store_rows_release(&any);                                                                  \
        *rows = (struct row##_rows){.rows = NULL, .count = 0};                                     \
    }

#define TABLE_LOAD_BODY(table, row, limit)                                                         \
    {                                                                                              \
        struct store_rows any;                                                                     \
                                                                                                   \
        if (store_table_load(store, &TABLE_##table, (int64_t)(limit), &any, err) < 0)              \
            return -1;                                                                             \
        *out = (struct row##_rows){.rows = any.rows, .count = any.count, .texts = any.texts};      \
        return 0;                                                                                  \
    }

#define TABLE_LOADS_ALL(table, row)                                                                \
    int table##_load_all(struct store *store, struct row##_rows *out, struct err *err)             \
        TABLE_LOAD_BODY(table, row, STORE_ALL_ROWS)

#define TABLE_LOADS_LAST(table, row)                                                               \
    int table##_load_last(struct store *store, size_t limit, struct row##_rows *out,               \
                          struct err *err) TABLE_LOAD_BODY(table, row, limit)

#define TABLE_PUTS(table, row)                                                                     \
    int table##_put(struct store *store, const struct row##_row *value, struct store_done done,    \
                    struct err *err)                                                               \
    {                                                                                              \
        return store_table_put(store, &TABLE_##table, value, done, err);                           \
    }

#define TABLE_APPENDS(table, row)                                                                  \
    int table##_append(struct store *store, const struct row##_row *value, struct store_done done, \
                       int64_t *out_seq, struct err *err)                                          \
    {                                                                                              \
        struct row##_row numbered = *value;                                                        \
                                                                                                   \
        return store_table_append(store, &TABLE_##table, &numbered, done, out_seq, err);           \
    }

#define TABLE_REMOVES(table)                                                                       \
    int table##_remove(struct store *store, const char *key, struct store_done done,               \
                       struct err *err)                                                            \
    {                                                                                              \
        return store_table_remove(store, &TABLE_##table, key, done, err);                          \
    }

#endif

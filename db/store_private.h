/* What the files of db/ share: the connection before the writer has it, and the way of a row into
 * the queue. Nobody outside db/ includes this. */
#ifndef RBEE_DB_STORE_PRIVATE_H
#define RBEE_DB_STORE_PRIVATE_H

#include "db/store.h"

#include <sqlite3.h>

static inline void store_finalize(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); /* repeats the error of the step before */
}
#define AUTO_STMT __attribute__((cleanup(store_finalize)))

/* ---- the file (file.c) ---- */

/* Opens and checks the file and brings its schema up to ours. */
sqlite3 *store_file_open(const char *path, struct store_report *out_report, struct err *err);
/* Fills err with the connection's last failure: "WHAT: why". Returns -1. */
int store_file_fail(sqlite3 *db, struct err *err, const char *what);

/* ---- reading, before store_start ---- */

/* SQL has one parameter, which gets LIMIT; asserts that the writer does not have the connection
 * yet. NULL on failure. */
sqlite3_stmt *store_select(struct store *store, const char *sql, int64_t limit, struct err *err);
enum { STORE_ALL_ROWS = -1 };
/* 1: a row; 0: the end; -1. */
int store_next_row(sqlite3_stmt *stmt, struct err *err);
/* The text of a column, kept in TEXTS. */
const char *store_column_text(sqlite3_stmt *stmt, int column, struct store_texts *texts);
void store_texts_release(struct store_texts *texts);

/* A column's value by its type in the table's .def. */
#define STORE_COLUMN_TEXT(stmt, column, texts) store_column_text(stmt, column, texts)
#define STORE_COLUMN_INTEGER(stmt, column, texts) sqlite3_column_int64(stmt, column)
#define STORE_COLUMN_BOOL(stmt, column, texts) (sqlite3_column_int64(stmt, column) != 0)

/* ---- writing ---- */

enum { STORE_VALUE_MAX_COUNT = 24 };

enum store_value_type { STORE_INTEGER, STORE_TEXT };

struct store_value {
    enum store_value_type type;
    int64_t integer;
    char *text;
};

/* One row on its way: the statement and what is bound to its parameters, in order. SQL has static
 * storage: the writer knows a prepared statement by its address. */
struct store_write {
    struct store_write *next;
    const char *sql;
    struct store_value values[STORE_VALUE_MAX_COUNT];
    size_t value_count;
    size_t size_bytes; /* what it counts in the queue */
    struct store_done done;
};

struct store_write *store_write_new(const char *sql);
void store_write_integer(struct store_write *write, int64_t value);
/* TEXT is copied; NULL is "". */
void store_write_text(struct store_write *write, const char *text);
#define STORE_WRITE_TEXT(write, value) store_write_text(write, value)
#define STORE_WRITE_INTEGER(write, value) store_write_integer(write, value)
#define STORE_WRITE_BOOL(write, value) store_write_integer(write, (value) ? 1 : 0)
void store_write_free(struct store_write *write);
/* Queues WRITE, which is the store's afterwards, also on failure. ERR_BUSY: the queue is full;
 * ERR_INTERNAL: the row is larger than STORE_ROW_MAX_BYTES. */
int store_post(struct store *store, struct store_write *write, struct store_done done,
               struct err *err);

/* The number that the next event gets; the loop's thread counts it. */
int64_t *store_next_event_seq(struct store *store);

/* ---- at open, by the tables ---- */

/* The highest number an event has; 0 when there is none. */
int events_read_last_seq(sqlite3 *db, int64_t *out_seq, struct err *err);
/* Ends the requests that a supervisor left open when it died. */
int requests_end_interrupted(sqlite3 *db, int64_t now_ms, int64_t *out_count, struct err *err);

#endif

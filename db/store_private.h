/* What the files of db/ share: the connection before the writer has it, and the way of a row into
 * the queue. Nobody outside db/ includes this. */
#ifndef RBEE_DB_STORE_PRIVATE_H
#define RBEE_DB_STORE_PRIVATE_H

#include "db/store.h"

#include <sqlite3.h>

struct audit_chain; /* db/audit_chain.h */
struct store_table; /* db/table.h */

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

/* ---- values ---- */

enum store_value_type { STORE_TEXT, STORE_INTEGER, STORE_BOOL };

/* 1: a row; 0: the end; -1. */
int store_next_row(sqlite3_stmt *stmt, struct err *err);
/* The text of a column, kept in TEXTS. */
const char *store_column_text(sqlite3_stmt *stmt, int column, struct store_texts *texts);
void store_texts_release(struct store_texts *texts);

/* ---- writing ---- */

enum store_table_id {
#define TABLE(name) STORE_TABLE_##name,
#include "db/tables.def"
    STORE_TABLE_COUNT,
};

enum store_operation { STORE_PUT, STORE_REMOVE, STORE_OPERATION_COUNT };

struct store_value {
    char *text; /* NULL: it is an integer */
    int64_t integer;
};

/* One row on its way: the statement and what is bound to its parameters, in order. */
struct store_write {
    struct store_write *next;
    const struct store_table *table;
    enum store_operation operation;
    struct store_done done;
    struct store_place *place; /* NULL: nobody knows where it is */
    size_t size_bytes;         /* what it counts in the queue */
    size_t value_count;
    size_t value_max; /* room in the array */
    struct store_value values[];
};

struct store_write *store_write_new(const struct store_table *table, enum store_operation operation,
                                    size_t value_max);
void store_write_integer(struct store_write *write, int64_t value);
/* TEXT is copied; NULL is "". */
void store_write_text(struct store_write *write, const char *text);
void store_write_free(struct store_write *write);
/* Queues WRITE, which is the store's afterwards, also on failure. ERR_BUSY: the queue is full;
 * ERR_INTERNAL: the row is larger than STORE_ROW_MAX_BYTES. */
int store_post(struct store *store, struct store_write *write, struct store_done done,
               struct err *err);

/* The same for a row that nobody waits for, of what begins: *PLACE knows of it from then on. NULL:
 * the row stays where it is, before all that is posted later. */
int store_post_begin(struct store *store, struct store_write *write, struct store_place *place,
                     struct err *err);
/* And of what ends: it takes the place of the row before it, if that still waits. */
int store_post_end(struct store *store, struct store_write *write, struct store_place *place,
                   struct err *err);

/* The connection, while it is not yet the writer's. */
sqlite3 *store_db(struct store *store);
/* The number that the next row of a log gets; the loop's thread counts it. */
int64_t *store_next_seq(struct store *store, enum store_table_id table);

/* The audit trail's; the loop's until store_start, then the writer's. */
struct audit_chain *store_chain(struct store *store);

#endif

/* Owns what all tables have in common: their statements, and the way of rows between structs and
 * SQLite. Must not know any table. */
#include "db/table.h"

#include "common/buf.h"
#include "common/mem.h"

#include <assert.h>
#include <string.h>

enum { TABLE_SQL_MAX_BYTES = 4096 }; /* the longest has some forty names */

/* ---- statements ---- */

static void sql_add(struct buf *sql, const char *text)
{
    int rc = buf_add_string(sql, text);

    assert(rc == 0); /* texts are ours, the limit is far */
}

/* WHAT for each column, or its name where WHAT is NULL, with commas between. */
static void sql_add_columns(struct buf *sql, const struct store_table *table, const char *what)
{
    for (size_t i = 0; i < table->column_count; i++) {
        sql_add(sql, i > 0 ? ", " : "");
        sql_add(sql, what != NULL ? what : table->columns[i].name);
    }
}

static void sql_add_order(struct buf *sql, const struct store_table *table, const char *direction)
{
    for (size_t i = 0; i < STORE_ORDER_MAX_COUNT && table->order[i] != NULL; i++) {
        sql_add(sql, i > 0 ? ", " : " ORDER BY ");
        sql_add(sql, table->order[i]);
        sql_add(sql, direction);
    }
}

char *store_table_select_sql(const struct store_table *table, const char *where, bool is_backwards)
{
    AUTO_BUF struct buf sql = BUF_INIT(TABLE_SQL_MAX_BYTES);

    sql_add(&sql, "SELECT ");
    sql_add_columns(&sql, table, NULL);
    sql_add(&sql, " FROM ");
    sql_add(&sql, table->name);
    sql_add(&sql, where);
    sql_add_order(&sql, table, is_backwards ? " DESC" : "");
    sql_add(&sql, " LIMIT ?1");
    return buf_take(&sql);
}

/* A log's rows are never replaced: a number that is there already is a fault of ours. */
static void sql_add_put(struct buf *sql, const struct store_table *table)
{
    sql_add(sql, table->is_numbered ? "INSERT INTO " : "REPLACE INTO ");
    sql_add(sql, table->name);
    sql_add(sql, " (");
    sql_add_columns(sql, table, NULL);
    sql_add(sql, ") VALUES (");
    sql_add_columns(sql, table, "?");
    sql_add(sql, ")");
}

static void sql_add_remove(struct buf *sql, const struct store_table *table)
{
    sql_add(sql, "DELETE FROM ");
    sql_add(sql, table->name);
    sql_add(sql, " WHERE ");
    sql_add(sql, table->columns[0].name);
    sql_add(sql, " = ?");
}

char *store_table_sql(const struct store_table *table, enum store_operation operation)
{
    AUTO_BUF struct buf sql = BUF_INIT(TABLE_SQL_MAX_BYTES);

    if (operation == STORE_PUT)
        sql_add_put(&sql, table);
    else
        sql_add_remove(&sql, table);
    return buf_take(&sql);
}

/* ---- reading ---- */

static void row_read(const struct store_table *table, sqlite3_stmt *stmt, void *row,
                     struct store_texts *texts)
{
    for (size_t i = 0; i < table->column_count; i++) {
        void *field = (char *)row + table->columns[i].offset;

        switch (table->columns[i].type) {
        case STORE_TEXT:
            *(const char **)field = store_column_text(stmt, (int)i, texts);
            break;
        case STORE_INTEGER:
            *(int64_t *)field = sqlite3_column_int64(stmt, (int)i);
            break;
        case STORE_BOOL:
            *(bool *)field = sqlite3_column_int64(stmt, (int)i) != 0;
            break;
        }
    }
}

void store_rows_add(struct store_rows *rows, const struct store_table *table, sqlite3_stmt *stmt)
{
    char *all = xgrow(rows->rows, rows->count, table->row_bytes);

    rows->rows = all;
    memset(all + rows->count * table->row_bytes, 0, table->row_bytes);
    row_read(table, stmt, all + rows->count * table->row_bytes, &rows->texts);
    rows->count++;
}

static void rows_turn_round(struct store_rows *rows, size_t row_bytes)
{
    AUTO_FREE char *swap = xmalloc(row_bytes);
    char *all = rows->rows;

    for (size_t i = 0; i < rows->count / 2; i++) {
        char *later = all + i * row_bytes;
        char *earlier = all + (rows->count - 1 - i) * row_bytes;

        memcpy(swap, later, row_bytes);
        memcpy(later, earlier, row_bytes);
        memcpy(earlier, swap, row_bytes);
    }
}

void store_rows_release(struct store_rows *rows)
{
    free(rows->rows);
    store_texts_release(&rows->texts);
    *rows = (struct store_rows){.rows = NULL, .count = 0};
}

int store_table_load(struct store *store, const struct store_table *table, int64_t limit,
                     struct store_rows *out, struct err *err)
{
    /* The last ones are found at the end of an index. */
    AUTO_FREE char *sql = store_table_select_sql(table, "", true);
    AUTO_STMT sqlite3_stmt *stmt = NULL;
    struct store_rows rows = {.rows = NULL, .count = 0};
    sqlite3 *db = store_db(store);
    int rc = 1;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, limit) != SQLITE_OK)
        rc = store_file_fail(db, err, "read the database");
    while (rc > 0 && (rc = store_next_row(stmt, err)) > 0)
        store_rows_add(&rows, table, stmt);
    if (rc < 0) {
        store_rows_release(&rows);
        return err_wrap(err, "%s", table->name);
    }
    rows_turn_round(&rows, table->row_bytes);
    *out = rows;
    return 0;
}

int store_table_read_last_seq(sqlite3 *db, const struct store_table *table, int64_t *out_seq,
                              struct err *err)
{
    AUTO_FREE char *sql = xasprintf("SELECT max(%s) FROM %s", table->columns[0].name, table->name);
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return store_file_fail(db, err, table->name);
    if (store_next_row(stmt, err) < 0)
        return err_wrap(err, "%s", table->name);
    *out_seq = sqlite3_column_int64(stmt, 0); /* 0 for the NULL of an empty table */
    return 0;
}

/* ---- writing ---- */

struct store_write *store_table_write(const struct store_table *table, const void *row)
{
    struct store_write *write = store_write_new(table, STORE_PUT, table->column_count);

    for (size_t i = 0; i < table->column_count; i++) {
        const void *field = (const char *)row + table->columns[i].offset;

        switch (table->columns[i].type) {
        case STORE_TEXT:
            store_write_text(write, *(const char *const *)field);
            break;
        case STORE_INTEGER:
            store_write_integer(write, *(const int64_t *)field);
            break;
        case STORE_BOOL:
            store_write_integer(write, *(const bool *)field ? 1 : 0);
            break;
        }
    }
    return write;
}

int store_write_run(const struct store_write *write, sqlite3_stmt *stmt)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; i < write->value_count && rc == SQLITE_OK; i++) {
        const struct store_value *value = &write->values[i];
        int index = (int)i + 1;

        if (value->text != NULL)
            rc = sqlite3_bind_text(stmt, index, value->text, -1, SQLITE_STATIC);
        else
            rc = sqlite3_bind_int64(stmt, index, value->integer);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    (void)sqlite3_reset(stmt); /* says the same again */
    return rc;
}

int store_write_now(const struct store_write *write, sqlite3 *db, struct err *err)
{
    AUTO_FREE char *sql = store_table_sql(write->table, write->operation);
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        store_write_run(write, stmt) != SQLITE_DONE)
        return store_file_fail(db, err, write->table->name);
    return 0;
}

int store_table_put(struct store *store, const struct store_table *table, const void *row,
                    struct store_done done, struct err *err)
{
    return store_post(store, store_table_write(table, row), done, err);
}

int store_table_append(struct store *store, const struct store_table *table, void *row,
                       struct store_done done, int64_t *out_seq, struct err *err)
{
    int64_t *next_seq = store_next_seq(store, table->id);
    int64_t seq = *next_seq;

    assert(table->is_numbered && table->columns[0].type == STORE_INTEGER);
    *(int64_t *)(void *)((char *)row + table->columns[0].offset) = seq;
    if (store_post(store, store_table_write(table, row), done, err) < 0)
        return -1;
    (*next_seq)++;
    if (out_seq != NULL)
        *out_seq = seq;
    return 0;
}

int store_table_remove(struct store *store, const struct store_table *table, const char *key,
                       struct store_done done, struct err *err)
{
    struct store_write *write = store_write_new(table, STORE_REMOVE, 1);

    store_write_text(write, key);
    return store_post(store, write, done, err);
}

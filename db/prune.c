/* Owns what is deleted because it is old or too much. Must not know any table, nor when it runs. */
#include "db/prune.h"

#include "common/mem.h"
#include "db/table.h"

/* BOUND goes into the statement's ?2, the batch into ?1. Returns how many rows are gone, or -1. */
static int prune_execute(sqlite3 *db, const char *sql, int64_t bound, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, STORE_PRUNE_BATCH_ROWS) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 2, bound) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_DONE)
        return store_file_fail(db, err, "delete old rows");
    return sqlite3_changes(db);
}

static int prune_by_age(sqlite3 *db, const struct store_table *table, int64_t before_ms,
                        struct err *err)
{
    const char *key = table->columns[0].name;
    AUTO_FREE char *sql =
        xasprintf("DELETE FROM %s WHERE %s IN (SELECT %s FROM %s"
                  " WHERE %s < ?2 AND %s ORDER BY %s LIMIT ?1)",
                  table->name, key, key, table->name, table->time, table->may_go, table->time);

    return prune_execute(db, sql, before_ms, err);
}

static int prune_by_count(sqlite3 *db, const struct store_table *table, int64_t keep_rows,
                          struct err *err)
{
    const char *key = table->columns[0].name;
    /* A negative LIMIT would be none. */
    AUTO_FREE char *sql =
        xasprintf("DELETE FROM %s WHERE %s IN (SELECT %s FROM %s WHERE %s ORDER BY %s"
                  " LIMIT max(0, min(?1, (SELECT count(*) FROM %s) - ?2)))",
                  table->name, key, key, table->name, table->may_go, table->order[0], table->name);

    return prune_execute(db, sql, keep_rows, err);
}

int store_prune_step(sqlite3 *db, const struct store_retention *retention, int64_t now_ms,
                     struct err *err)
{
    int count = 0;

    for (size_t i = 0; i < STORE_TABLE_COUNT && count == 0; i++) {
        const struct store_table *table = STORE_TABLES[i];

        if (table->may_go == NULL)
            continue;
        if (retention->keep_ms > 0)
            count = prune_by_age(db, table, now_ms - retention->keep_ms, err);
        if (count == 0 && retention->keep_rows > 0)
            count = prune_by_count(db, table, retention->keep_rows, err);
    }
    return count > 0 ? 1 : count;
}

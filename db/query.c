/* Owns how a query is read: its statement, its bounds. Must not know when it runs. */
#include "db/query.h"

#include "common/mem.h"

/* Parameters of the statement. */
enum { QUERY_LIMIT = 1, QUERY_AFTER_SEQ, QUERY_SINCE_MS, QUERY_WORKER, QUERY_ACTOR };

struct store_query *store_query_new(const struct store_table *table,
                                    const struct store_filter *filter)
{
    struct store_query *query = xcalloc(1, sizeof(*query));

    query->table = table;
    query->filter = *filter;
    if (filter->worker != NULL)
        query->filter.worker = query->worker = xstrdup(filter->worker);
    if (filter->actor != NULL)
        query->filter.actor = query->actor = xstrdup(filter->actor);
    if (filter->limit == 0 || filter->limit > STORE_QUERY_MAX_ROWS)
        query->filter.limit = STORE_QUERY_MAX_ROWS;
    return query;
}

void store_query_free(struct store_query *query)
{
    if (query == NULL)
        return;
    free(query->worker);
    free(query->actor);
    store_rows_release(&query->rows);
    free(query);
}

/* Only what the filter asks for: a condition that is always true would cost the use of an index. */
static char *query_where(const struct store_query *query)
{
    const struct store_filter *filter = &query->filter;
    AUTO_FREE char *worker = NULL;
    AUTO_FREE char *actor = NULL;
    AUTO_FREE char *since = NULL;

    if (filter->worker != NULL)
        worker = xasprintf(" AND worker = ?%d", QUERY_WORKER);
    if (filter->actor != NULL)
        actor = xasprintf(" AND actor = ?%d", QUERY_ACTOR);
    if (filter->since_ms > 0)
        since = xasprintf(" AND %s >= ?%d", query->table->time, QUERY_SINCE_MS);
    return xasprintf(" WHERE %s > ?%d%s%s%s", query->table->columns[0].name, QUERY_AFTER_SEQ,
                     worker != NULL ? worker : "", actor != NULL ? actor : "",
                     since != NULL ? since : "");
}

static int query_bind(const struct store_query *query, sqlite3_stmt *stmt)
{
    const struct store_filter *filter = &query->filter;
    /* One more than is wanted tells whether there are more. */
    int rc = sqlite3_bind_int64(stmt, QUERY_LIMIT, (int64_t)filter->limit + 1);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, QUERY_AFTER_SEQ, filter->after_seq);
    if (rc == SQLITE_OK && filter->since_ms > 0)
        rc = sqlite3_bind_int64(stmt, QUERY_SINCE_MS, filter->since_ms);
    if (rc == SQLITE_OK && filter->worker != NULL)
        rc = sqlite3_bind_text(stmt, QUERY_WORKER, filter->worker, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK && filter->actor != NULL)
        rc = sqlite3_bind_text(stmt, QUERY_ACTOR, filter->actor, -1, SQLITE_STATIC);
    return rc;
}

static bool query_is_full(const struct store_query *query)
{
    const struct store_rows *rows = &query->rows;

    return rows->count == query->filter.limit ||
           rows->count * query->table->row_bytes + rows->texts.size_bytes >= STORE_QUERY_MAX_BYTES;
}

void store_query_run(struct store_query *query, sqlite3 *db)
{
    AUTO_FREE char *where = query_where(query);
    AUTO_FREE char *sql = store_table_select_sql(query->table, where, query->filter.newest_first);
    AUTO_STMT sqlite3_stmt *stmt = NULL;
    struct err *err = &query->answer.err;
    int rc = 1;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        query_bind(query, stmt) != SQLITE_OK)
        rc = store_file_fail(db, err, "read the database");
    while (rc > 0 && (rc = store_next_row(stmt, err)) > 0) {
        query->answer.has_more = query_is_full(query);
        if (query->answer.has_more)
            break;
        store_rows_add(&query->rows, query->table, stmt);
    }
    if (rc < 0)
        store_rows_release(&query->rows);
}

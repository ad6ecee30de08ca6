/* Owns table `requests`. Must not know what its texts mean. */
#include "db/requests.h"

#include "common/clock.h"
#include "common/mem.h"
#include "db/audit_private.h"

static const struct store_column COLUMNS[] = {
#define KEY(name, type) STORE_COLUMN(struct request_row, name, type)
#define COLUMN(name, type) KEY(name, type)
#include "db/requests.def"
};

TABLE_IS(requests, request, .order = {"submitted_ms", "id"}, .time = "submitted_ms",
         .may_go = "ended_ms <> 0")
TABLE_LOADS_LAST(requests, request)

int requests_put_begin(struct store *store, const struct request_row *row,
                       struct store_place *place, struct err *err)
{
    return store_post_begin(store, store_table_write(&TABLE_requests, row), place, err);
}

int requests_put_end(struct store *store, const struct request_row *row, struct store_place *place,
                     struct err *err)
{
    return store_post_end(store, store_table_write(&TABLE_requests, row), place, err);
}

static int requests_close_open(sqlite3 *db, int64_t *out_count, struct err *err)
{
    /* The wall clock may have been set back since the request came. */
    static const char END[] = "UPDATE requests SET ended_ms = max(?, submitted_ms), outcome = "
                              "'" REQUEST_OUTCOME_INTERRUPTED "' WHERE ended_ms = 0";
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, END, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, clock_wall_ms()) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_DONE)
        return store_file_fail(db, err, "end interrupted requests");
    *out_count = sqlite3_changes64(db);
    return 0;
}

static int requests_read_open(sqlite3 *db, struct store_rows *out, struct err *err)
{
    AUTO_FREE char *sql = store_table_select_sql(&TABLE_requests, " WHERE ended_ms = 0", false);
    AUTO_STMT sqlite3_stmt *stmt = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, STORE_ALL_ROWS) != SQLITE_OK)
        return store_file_fail(db, err, "read interrupted requests");
    while ((rc = store_next_row(stmt, err)) > 0)
        store_rows_add(out, &TABLE_requests, stmt);
    return rc;
}

static int requests_tell(sqlite3 *db, struct request_teller teller, struct err *err)
{
    struct store_rows rows = {.rows = NULL};
    const struct request_row *row = NULL;
    int rc = 0;

    if (teller.on_request == NULL)
        return 0;
    rc = requests_read_open(db, &rows, err);
    row = rows.rows;
    for (size_t i = 0; i < rows.count && rc == 0; i++)
        rc = teller.on_request(teller.owner, &row[i], err);
    store_rows_release(&rows);
    return rc;
}

int requests_end_interrupted(struct store *store, struct request_teller teller, int64_t *out_count,
                             struct err *err)
{
    struct audit_chain *chain = store_chain(store);
    sqlite3 *db = store_db(store);
    int rc = audit_transaction_begin(chain, db, err);

    if (rc == 0)
        rc = requests_tell(db, teller, err);
    if (rc == 0)
        rc = requests_close_open(db, out_count, err);
    return audit_transaction_end(chain, db, rc, err);
}

/* Owns table `requests`. Must not know what its texts mean. */
#include "db/requests.h"

#include "common/mem.h"
#include "db/store_private.h"

/* Newest first, which finds them at the end of an index; turned round when they are read. */
static const char SELECT[] = "SELECT "
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/requests.def"
                             " FROM requests ORDER BY submitted_ms DESC, id DESC LIMIT ?";

static const char PUT[] = "REPLACE INTO requests ("
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/requests.def"
                          ") VALUES ("
#define KEY(name, type) "?"
#define COLUMN(name, type) ", ?"
#include "db/requests.def"
                          ")";

static struct request_row request_row_read(sqlite3_stmt *stmt, struct store_texts *texts)
{
    int column = 0;

    /* Initialisers are evaluated in any order; assignments are not. */
    struct request_row row = {0};
#define KEY(name, type) row.name = STORE_COLUMN_##type(stmt, column++, texts);
#define COLUMN(name, type) KEY(name, type)
#include "db/requests.def"
    return row;
}

static struct store_write *request_row_write(const struct request_row *row)
{
    struct store_write *write = store_write_new(PUT);

#define KEY(name, type) STORE_WRITE_##type(write, row->name);
#define COLUMN(name, type) KEY(name, type)
#include "db/requests.def"
    return write;
}

int requests_load_last(struct store *store, size_t limit, struct request_rows *out, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = store_select(store, SELECT, (int64_t)limit, err);
    struct request_rows rows = {.rows = NULL, .count = 0};
    int rc = stmt != NULL ? 1 : -1;

    while (rc > 0 && (rc = store_next_row(stmt, err)) > 0) {
        rows.rows = xgrow(rows.rows, rows.count, sizeof(*rows.rows));
        rows.rows[rows.count++] = request_row_read(stmt, &rows.texts);
    }
    if (rc < 0) {
        request_rows_release(&rows);
        return err_wrap(err, "requests");
    }
    for (size_t i = 0; i < rows.count / 2; i++) {
        struct request_row newer = rows.rows[i];

        rows.rows[i] = rows.rows[rows.count - 1 - i];
        rows.rows[rows.count - 1 - i] = newer;
    }
    *out = rows;
    return 0;
}

void request_rows_release(struct request_rows *rows)
{
    free(rows->rows);
    store_texts_release(&rows->texts);
    *rows = (struct request_rows){.rows = NULL, .count = 0};
}

int requests_put(struct store *store, const struct request_row *row, struct store_done done,
                 struct err *err)
{
    return store_post(store, request_row_write(row), done, err);
}

int requests_end_interrupted(sqlite3 *db, int64_t now_ms, int64_t *out_count, struct err *err)
{
    /* The wall clock may have been set back since the request came. */
    static const char END[] = "UPDATE requests SET ended_ms = max(?, submitted_ms), outcome = "
                              "'" REQUEST_OUTCOME_INTERRUPTED "' WHERE ended_ms = 0";
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, END, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_bind_int64(stmt, 1, now_ms) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_DONE)
        return store_file_fail(db, err, "end interrupted requests");
    *out_count = sqlite3_changes64(db);
    return 0;
}

/* Owns table `workers`. Must not know what its texts mean. */
#include "db/workers.h"

#include "common/mem.h"
#include "db/store_private.h"

static const char SELECT[] = "SELECT "
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/workers.def"
                             " FROM workers ORDER BY name LIMIT ?";

static const char PUT[] = "REPLACE INTO workers ("
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/workers.def"
                          ") VALUES ("
#define KEY(name, type) "?"
#define COLUMN(name, type) ", ?"
#include "db/workers.def"
                          ")";

static const char REMOVE[] = "DELETE FROM workers WHERE name = ?";

static struct worker_row worker_row_read(sqlite3_stmt *stmt, struct store_texts *texts)
{
    int column = 0;

    /* Initialisers are evaluated in any order; assignments are not. */
    struct worker_row row = {0};
#define KEY(name, type) row.name = STORE_COLUMN_##type(stmt, column++, texts);
#define COLUMN(name, type) KEY(name, type)
#include "db/workers.def"
    return row;
}

static struct store_write *worker_row_write(const struct worker_row *row)
{
    struct store_write *write = store_write_new(PUT);

#define KEY(name, type) STORE_WRITE_##type(write, row->name);
#define COLUMN(name, type) KEY(name, type)
#include "db/workers.def"
    return write;
}

int workers_load_all(struct store *store, struct worker_rows *out, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = store_select(store, SELECT, STORE_ALL_ROWS, err);
    struct worker_rows rows = {.rows = NULL, .count = 0};
    int rc = stmt != NULL ? 1 : -1;

    while (rc > 0 && (rc = store_next_row(stmt, err)) > 0) {
        rows.rows = xgrow(rows.rows, rows.count, sizeof(*rows.rows));
        rows.rows[rows.count++] = worker_row_read(stmt, &rows.texts);
    }
    if (rc < 0) {
        worker_rows_release(&rows);
        return err_wrap(err, "workers");
    }
    *out = rows;
    return 0;
}

void worker_rows_release(struct worker_rows *rows)
{
    free(rows->rows);
    store_texts_release(&rows->texts);
    *rows = (struct worker_rows){.rows = NULL, .count = 0};
}

int workers_put(struct store *store, const struct worker_row *row, struct store_done done,
                struct err *err)
{
    return store_post(store, worker_row_write(row), done, err);
}

int workers_remove(struct store *store, const char *name, struct store_done done, struct err *err)
{
    struct store_write *write = store_write_new(REMOVE);

    store_write_text(write, name);
    return store_post(store, write, done, err);
}

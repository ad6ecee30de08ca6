/* Owns table `models`. Must not know what its texts mean. */
#include "db/models.h"

#include "common/mem.h"
#include "db/store_private.h"

static const char SELECT[] = "SELECT "
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/models.def"
                             " FROM models ORDER BY name LIMIT ?";

static const char PUT[] = "REPLACE INTO models ("
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/models.def"
                          ") VALUES ("
#define KEY(name, type) "?"
#define COLUMN(name, type) ", ?"
#include "db/models.def"
                          ")";

static const char REMOVE[] = "DELETE FROM models WHERE name = ?";

static struct model_row model_row_read(sqlite3_stmt *stmt, struct store_texts *texts)
{
    int column = 0;

    /* Initialisers are evaluated in any order; assignments are not. */
    struct model_row row = {0};
#define KEY(name, type) row.name = STORE_COLUMN_##type(stmt, column++, texts);
#define COLUMN(name, type) KEY(name, type)
#include "db/models.def"
    return row;
}

static struct store_write *model_row_write(const struct model_row *row)
{
    struct store_write *write = store_write_new(PUT);

#define KEY(name, type) STORE_WRITE_##type(write, row->name);
#define COLUMN(name, type) KEY(name, type)
#include "db/models.def"
    return write;
}

int models_load_all(struct store *store, struct model_rows *out, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = store_select(store, SELECT, STORE_ALL_ROWS, err);
    struct model_rows rows = {.rows = NULL, .count = 0};
    int rc = stmt != NULL ? 1 : -1;

    while (rc > 0 && (rc = store_next_row(stmt, err)) > 0) {
        rows.rows = xgrow(rows.rows, rows.count, sizeof(*rows.rows));
        rows.rows[rows.count++] = model_row_read(stmt, &rows.texts);
    }
    if (rc < 0) {
        model_rows_release(&rows);
        return err_wrap(err, "models");
    }
    *out = rows;
    return 0;
}

void model_rows_release(struct model_rows *rows)
{
    free(rows->rows);
    store_texts_release(&rows->texts);
    *rows = (struct model_rows){.rows = NULL, .count = 0};
}

int models_put(struct store *store, const struct model_row *row, struct store_done done,
               struct err *err)
{
    return store_post(store, model_row_write(row), done, err);
}

int models_remove(struct store *store, const char *name, struct store_done done, struct err *err)
{
    struct store_write *write = store_write_new(REMOVE);

    store_write_text(write, name);
    return store_post(store, write, done, err);
}

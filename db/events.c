/* Owns table `events`. Must not know what its texts mean. */
#include "db/events.h"

#include "common/mem.h"
#include "db/store_private.h"

/* Newest first, which finds them at the end of an index; turned round when they are read. */
static const char SELECT[] = "SELECT "
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/events.def"
                             " FROM events ORDER BY seq DESC LIMIT ?";

static const char PUT[] = "INSERT INTO events ("
#define KEY(name, type) #name
#define COLUMN(name, type) ", " #name
#include "db/events.def"
                          ") VALUES ("
#define KEY(name, type) "?"
#define COLUMN(name, type) ", ?"
#include "db/events.def"
                          ")";

static struct event_row event_row_read(sqlite3_stmt *stmt, struct store_texts *texts)
{
    int column = 0;

    /* Initialisers are evaluated in any order; assignments are not. */
    struct event_row row = {0};
#define KEY(name, type) row.name = STORE_COLUMN_##type(stmt, column++, texts);
#define COLUMN(name, type) KEY(name, type)
#include "db/events.def"
    return row;
}

static struct store_write *event_row_write(const struct event_row *row)
{
    struct store_write *write = store_write_new(PUT);

#define KEY(name, type) STORE_WRITE_##type(write, row->name);
#define COLUMN(name, type) KEY(name, type)
#include "db/events.def"
    return write;
}

int events_load_last(struct store *store, size_t limit, struct event_rows *out, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = store_select(store, SELECT, (int64_t)limit, err);
    struct event_rows rows = {.rows = NULL, .count = 0};
    int rc = stmt != NULL ? 1 : -1;

    while (rc > 0 && (rc = store_next_row(stmt, err)) > 0) {
        rows.rows = xgrow(rows.rows, rows.count, sizeof(*rows.rows));
        rows.rows[rows.count++] = event_row_read(stmt, &rows.texts);
    }
    if (rc < 0) {
        event_rows_release(&rows);
        return err_wrap(err, "events");
    }
    for (size_t i = 0; i < rows.count / 2; i++) {
        struct event_row newer = rows.rows[i];

        rows.rows[i] = rows.rows[rows.count - 1 - i];
        rows.rows[rows.count - 1 - i] = newer;
    }
    *out = rows;
    return 0;
}

void event_rows_release(struct event_rows *rows)
{
    free(rows->rows);
    store_texts_release(&rows->texts);
    *rows = (struct event_rows){.rows = NULL, .count = 0};
}

int events_append(struct store *store, const struct event_row *row, struct store_done done,
                  int64_t *out_seq, struct err *err)
{
    int64_t *next_seq = store_next_event_seq(store);
    struct event_row numbered = *row;

    numbered.seq = *next_seq;
    if (store_post(store, event_row_write(&numbered), done, err) < 0)
        return -1;
    (*next_seq)++;
    if (out_seq != NULL)
        *out_seq = numbered.seq;
    return 0;
}

int events_read_last_seq(sqlite3 *db, int64_t *out_seq, struct err *err)
{
    AUTO_STMT sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, "SELECT max(seq) FROM events", -1, &stmt, NULL) != SQLITE_OK)
        return store_file_fail(db, err, "events");
    if (store_next_row(stmt, err) < 0)
        return err_wrap(err, "events");
    *out_seq = sqlite3_column_int64(stmt, 0); /* 0 for the NULL of an empty table */
    return 0;
}

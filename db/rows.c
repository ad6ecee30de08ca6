/* Owns the way of values between rows and SQLite's statements. Must not know any table. */
#include "db/store_private.h"

#include "common/mem.h"

#include <assert.h>
#include <string.h>

int store_next_row(sqlite3_stmt *stmt, struct err *err)
{
    int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return store_file_fail(sqlite3_db_handle(stmt), err, "read the database");
}

const char *store_column_text(sqlite3_stmt *stmt, int column, struct store_texts *texts)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    texts->texts = xgrow(texts->texts, texts->count, sizeof(*texts->texts));
    texts->texts[texts->count] = xstrdup(text != NULL ? text : "");
    texts->size_bytes += (size_t)sqlite3_column_bytes(stmt, column) + 1;
    return texts->texts[texts->count++];
}

void store_texts_release(struct store_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->texts[i]);
    free(texts->texts);
    *texts = (struct store_texts){.texts = NULL, .count = 0};
}

struct store_write *store_write_new(const struct store_table *table, enum store_operation operation,
                                    size_t value_max)
{
    size_t size_bytes = sizeof(struct store_write) + value_max * sizeof(struct store_value);
    struct store_write *write = xcalloc(1, size_bytes);

    write->table = table;
    write->operation = operation;
    write->value_max = value_max;
    write->size_bytes = size_bytes;
    return write;
}

static struct store_value *store_write_next(struct store_write *write)
{
    assert(write->value_count < write->value_max);
    return &write->values[write->value_count++];
}

void store_write_integer(struct store_write *write, int64_t number)
{
    store_write_next(write)->integer = number;
}

void store_write_text(struct store_write *write, const char *text)
{
    struct store_value *value = store_write_next(write);

    value->text = xstrdup(text != NULL ? text : "");
    write->size_bytes += strlen(value->text) + 1;
}

void store_write_free(struct store_write *write)
{
    if (write == NULL)
        return;
    for (size_t i = 0; i < write->value_count; i++)
        free(write->values[i].text);
    free(write);
}

/* Reading while the writer has the connection: a query waits in the queue, the writer runs it when
 * the rows posted before it are written, store_dispatch tells. Nobody outside db/ includes this. */
#ifndef RBEE_DB_QUERY_H
#define RBEE_DB_QUERY_H

#include "db/table.h"

/* The loop's, but for the time between store_query_post and the answer, when the writer has it. */
struct store_query {
    struct store_query *next;
    const struct store_table *table;
    struct store_filter filter;
    char *worker;      /* the filter's */
    char *actor;       /* likewise */
    uint64_t row_mark; /* how many rows had been posted before it */
    bool is_cancelled; /* under the queue's lock */
    /* Calls on_rows, whose type only the table's file knows, with rows of the right type. */
    void (*tell)(const struct store_query *query);
    void (*on_rows)(void);
    void *owner;
    /* The writer's result. */
    struct store_rows rows;
    struct store_answer answer;
};

/* FILTER is copied. The caller frees it, unless it is posted. */
struct store_query *store_query_new(const struct store_table *table,
                                    const struct store_filter *filter);
void store_query_free(struct store_query *query);
/* Reads; on the writer's thread. */
void store_query_run(struct store_query *query, sqlite3 *db);
/* QUERY is the store's afterwards, also on failure: then NULL, and err is ERR_BUSY. */
struct store_query *store_query_post(struct store *store, struct store_query *query,
                                     struct err *err);

/* Definition of table_query() for NAME.c of a log. */
#define TABLE_IS_QUERIED(table, row)                                                               \
    static void table##_tell(const struct store_query *query)                                      \
    {                                                                                              \
        const struct row##_rows rows = {.rows = query->rows.rows, .count = query->rows.count};     \
        void (*on_rows)(void *, const struct row##_rows *, const struct store_answer *) =          \
            (void (*)(void *, const struct row##_rows *,                                           \
                      const struct store_answer *))query->on_rows;                                 \
                                                                                                   \
        on_rows(query->owner, &rows, &query->answer);                                              \
    }                                                                                              \
                                                                                                   \
    struct store_query *table##_query(struct store *store, const struct store_filter *filter,      \
                                      struct row##_reader reader, struct err *err)                 \
    {                                                                                              \
        struct store_query *query = store_query_new(&TABLE_##table, filter);                       \
                                                                                                   \
        query->tell = table##_tell;                                                                \
        query->on_rows = (void (*)(void))reader.on_rows;                                           \
        query->owner = reader.owner;                                                               \
        return store_query_post(store, query, err);                                                \
    }

#endif

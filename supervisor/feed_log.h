/* The logs that clients can read and follow, as one kind of thing: pages of numbered rows, each of
 * which has a form on the wire. */
#ifndef RBEE_SUPERVISOR_FEED_LOG_H
#define RBEE_SUPERVISOR_FEED_LOG_H

#include "db/store.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum feed_log { FEED_EVENTS, FEED_AUDIT, FEED_LOG_COUNT };

/* Rows of the store's: gone when the reader returns. */
struct feed_page {
    enum feed_log log;
    const void *rows;
    size_t count;
};

/* Of whoever reads a log; must live until it was called. */
struct feed_reader {
    void (*on_page)(void *owner, const struct feed_page *page, const struct store_answer *answer);
    void *owner;
};

/* As events_query(). */
struct store_query *feed_log_query(struct store *store, enum feed_log log,
                                   const struct store_filter *filter,
                                   const struct feed_reader *reader, struct err *err);
int64_t feed_page_seq(const struct feed_page *page, size_t index);
/* A new reference. */
json_t *feed_page_json(const struct feed_page *page, size_t index);
/* What a list of them is called in a reply. */
const char *feed_log_list_name(enum feed_log log);

#endif

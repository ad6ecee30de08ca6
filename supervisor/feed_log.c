/* Owns what the logs that clients read have in common. Knows nothing of clients. */
#include "supervisor/feed_log.h"

#include "db/audit.h"
#include "db/events.h"
#include "supervisor/audit_json.h"
#include "supervisor/event_json.h"

static void tell(const struct feed_reader *reader, const struct feed_page *page,
                 const struct store_answer *answer)
{
    reader->on_page(reader->owner, page, answer);
}

static void on_events(void *owner, const struct event_rows *rows, const struct store_answer *answer)
{
    const struct feed_reader *reader = owner;

    tell(reader, &(struct feed_page){FEED_EVENTS, rows->rows, rows->count}, answer);
}

static void on_audit(void *owner, const struct audit_rows *rows, const struct store_answer *answer)
{
    const struct feed_reader *reader = owner;

    tell(reader, &(struct feed_page){FEED_AUDIT, rows->rows, rows->count}, answer);
}

/* The store's readers take an owner that they may change; ours is only read. */
static void *reader_owner(const struct feed_reader *reader)
{
    return (void *)(uintptr_t)reader;
}

struct store_query *feed_log_query(struct store *store, enum feed_log log,
                                   const struct store_filter *filter,
                                   const struct feed_reader *reader, struct err *err)
{
    if (log == FEED_AUDIT)
        return audit_query(store, filter, (struct audit_reader){on_audit, reader_owner(reader)},
                           err);
    return events_query(store, filter, (struct event_reader){on_events, reader_owner(reader)}, err);
}

int64_t feed_page_seq(const struct feed_page *page, size_t index)
{
    if (page->log == FEED_AUDIT)
        return ((const struct audit_row *)page->rows)[index].seq;
    return ((const struct event_row *)page->rows)[index].seq;
}

json_t *feed_page_json(const struct feed_page *page, size_t index)
{
    if (page->log == FEED_AUDIT)
        return audit_row_to_json(&((const struct audit_row *)page->rows)[index]);
    return event_to_json(&((const struct event_row *)page->rows)[index]);
}

const char *feed_log_list_name(enum feed_log log)
{
    return log == FEED_AUDIT ? "rows" : "events";
}

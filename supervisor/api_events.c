/* Routes of the logs, of events and of the audit trail: what happened, and with follow what
 * happens. */
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/units.h"
#include "supervisor/supervisor.h"

enum { EVENTS_DEFAULT_COUNT = 100 };

/* A client that waits for the store. */
struct events_reply {
    struct api_held held;
    struct store *store;
    struct store_query *query;
    struct http_exchange *exchange;
    struct feed_reader reader;
    bool is_newest_first;
};

static void events_reply_on_closed(struct api_held *held)
{
    struct events_reply *reply = CONTAINER_OF(held, struct events_reply, held);

    store_query_cancel(reply->store, reply->query);
    free(reply);
}

/* The oldest first, however they were read. */
static void events_reply_on_page(void *owner, const struct feed_page *page,
                                 const struct store_answer *answer)
{
    AUTO_FREE struct events_reply *reply = owner;
    AUTO_JSON json_t *body = json_object();
    json_t *list = json_array();

    api_release(reply->exchange);
    for (size_t i = 0; i < page->count; i++) {
        size_t index = reply->is_newest_first ? page->count - 1 - i : i;

        (void)json_array_append_new(list, feed_page_json(page, index));
    }
    (void)json_object_set_new(body, feed_log_list_name(page->log), list);
    (void)json_object_set_new(body, "has_more", json_boolean(answer->has_more));
    if (err_is_set(&answer->err))
        api_reply_error(reply->exchange, &answer->err, NULL);
    else
        http_reply_json(reply->exchange, 200, body);
}

/* From AFTER on forwards; else the newest. */
static int events_reply_begin(struct api_call *call, const struct feed_wish *wish, struct err *err)
{
    struct store_filter filter = {
        .worker = wish->worker,
        .actor = wish->actor,
        .after_seq = wish->after_seq,
        .since_ms = wish->since_ms,
        .limit = wish->limit >= 0 ? (size_t)wish->limit : EVENTS_DEFAULT_COUNT,
        .newest_first = !wish->is_resumed,
    };
    struct events_reply *reply = NULL;

    if (wish->limit == 0) /* to the store that means: as many as it takes */
        return err_set(err, ERR_INVALID_FIELD, "limit must be at least 1, without follow");
    reply = xcalloc(1, sizeof(*reply));
    reply->held.on_closed = events_reply_on_closed;
    reply->store = call->supervisor->store;
    reply->exchange = call->exchange;
    reply->is_newest_first = filter.newest_first;
    reply->reader = (struct feed_reader){events_reply_on_page, reply};
    reply->query = feed_log_query(reply->store, wish->log, &filter, &reply->reader, err);
    if (reply->query == NULL) {
        free(reply);
        return -1;
    }
    api_hold(call, &reply->held);
    return 0;
}

/* What a client that comes back has seen last: the header of the standard counts before the query.
 */
static int events_read_after(const struct api_call *call, struct feed_wish *wish, struct err *err)
{
    const char *last = http_head_find(http_exchange_head(call->exchange), "Last-Event-ID");
    int64_t after_seq = -1;

    if (api_read_query_number(call, "after", 0, INT64_MAX, &after_seq, err) != 0)
        return -1;
    if (last != NULL && units_parse_integer(last, 0, INT64_MAX, &after_seq, err) != 0) {
        err->kind = ERR_INVALID;
        return err_wrap(err, "Last-Event-ID");
    }
    wish->is_resumed = after_seq >= 0;
    wish->after_seq = wish->is_resumed ? after_seq : 0;
    return 0;
}

/* Whose log, and of what in it, WISH says already. */
static int events_answer(struct api_call *call, struct feed_wish *wish, struct err *err)
{
    bool follows = false;

    wish->limit = -1;
    if (api_read_query_moment(call, "since", &wish->since_ms, err) != 0 ||
        api_read_query_number(call, "limit", 0, STORE_QUERY_MAX_ROWS, &wish->limit, err) != 0 ||
        events_read_after(call, wish, err) != 0 || api_read_follow(call, &follows, err) != 0)
        return -1;
    if (!follows)
        return events_reply_begin(call, wish, err);
    if (wish->limit < 0 && wish->since_ms == 0)
        wish->limit = EVENTS_DEFAULT_COUNT;
    return feed_begin(call, wish, err);
}

int api_events(struct api_call *call, struct err *err)
{
    char worker[CONFIG_NAME_MAX_BYTES + 1];
    struct feed_wish wish = {.log = FEED_EVENTS};

    if (api_read_query(call, "worker", worker, sizeof(worker), err) != 0)
        return -1;
    wish.worker = worker[0] == '\0' ? NULL : worker;
    return events_answer(call, &wish, err);
}

int api_audit(struct api_call *call, struct err *err)
{
    char actor[AUTH_ACTOR_BYTES];
    struct feed_wish wish = {.log = FEED_AUDIT};

    if (api_read_query(call, "actor", actor, sizeof(actor), err) != 0)
        return -1;
    wish.actor = actor[0] == '\0' ? NULL : actor;
    return events_answer(call, &wish, err);
}

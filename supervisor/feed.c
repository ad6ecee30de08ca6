/* Owns the clients that follow events: where each is, and when the store is asked for more. Knows
 * nothing of what events mean. */
#include "supervisor/feed.h"

#include "common/http/sse.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/event_json.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum {
    FEED_PAGE_ROWS = 100, /* at a time: a slow client is looked at in between */
};

enum feed_phase {
    FEED_PLACE,
    FEED_HISTORY,
    FEED_LIVE,
    FEED_ENDED, /* its last bytes leave */
};

struct feed {
    TAILQ_ENTRY(feed) link;
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    struct feed_wish wish;
    char *worker; /* the wish's */
    char *actor;  /* likewise */
    struct feed_reader reader;
    enum feed_phase phase;
    struct store_query *query; /* on its way; NULL: none */
    int64_t cursor_seq;        /* what has been shown, or is not to be */
    int64_t present_seq;       /* history: where it ends */
    bool has_news;             /* live: the store may have more than was asked for */
    bool is_ending;
};

static void feed_advance(struct feed *feed);

static struct feed *feed_of(struct api_held *held)
{
    return CONTAINER_OF(held, struct feed, held);
}

static void feed_on_closed(struct api_held *held)
{
    struct feed *feed = feed_of(held);

    if (feed->query != NULL)
        store_query_cancel(feed->supervisor->store, feed->query);
    TAILQ_REMOVE(&feed->supervisor->feeds, feed, link);
    free(feed->worker);
    free(feed->actor);
    free(feed);
}

static void feed_on_drained(struct api_held *held)
{
    feed_advance(feed_of(held));
}

/* ---- sending ---- */

/* ID 0: none, a client that comes back is where it was before. */
static void feed_send(struct feed *feed, int64_t id, json_t *event)
{
    AUTO_JSON json_t *owned = event;
    AUTO_FREE char *text = json_to_text(owned);
    size_t len = strlen(text);
    AUTO_BUF struct buf out = BUF_INIT(SSE_EVENT_MAX_BYTES * 2);
    int rc = id > 0 ? sse_append_numbered(&out, id, text, len) : sse_append(&out, text, len);

    if (rc == 0) /* a row is far smaller: db/store.h */
        http_stream_write(feed->exchange, out.data, out.len);
}

static void feed_end(struct feed *feed)
{
    feed->phase = FEED_ENDED;
    http_stream_end(feed->exchange);
}

static void feed_fail(struct feed *feed, const struct err *why)
{
    feed_send(feed, 0, api_error_event(feed->exchange, why, NULL));
    feed_end(feed);
}

static void feed_send_row(struct feed *feed, const struct feed_page *page, size_t index)
{
    feed_send(feed, feed_page_seq(page, index), feed_page_json(page, index));
}

/* The number of the first row; 0: there is none. */
static int64_t feed_first_seq(const struct feed_page *page)
{
    return page->count > 0 ? feed_page_seq(page, 0) : 0;
}

/* ---- what the store tells ---- */

/* Whether what the client has seen last is still followed by the next one. The row itself is asked
 * for as well, because the newest row is never deleted: when neither is there, the client's number
 * is of another database, which was set aside since, and all of this one is new to it. */
static void feed_resume(struct feed *feed, const struct feed_page *page)
{
    int64_t after_seq = feed->wish.after_seq;
    int64_t first_seq = feed_first_seq(page);

    feed->cursor_seq = after_seq;
    if (after_seq > 0 && (first_seq == 0 || first_seq > after_seq + 1)) {
        feed_send(feed, 0, event_gap_to_json(after_seq, first_seq));
        feed->cursor_seq = first_seq == 0 ? 0 : first_seq - 1;
    }
    feed->phase = FEED_LIVE;
}

static void feed_on_place(struct feed *feed, const struct feed_page *page)
{
    feed->has_news = true;
    if (feed->wish.is_resumed) {
        feed_resume(feed, page);
        return;
    }
    feed->present_seq = feed_first_seq(page);
    feed->phase = feed->wish.limit == 0 ? FEED_LIVE : FEED_HISTORY;
    if (feed->phase == FEED_LIVE)
        feed->cursor_seq = feed->present_seq;
}

/* Rows that have come since the place was found are left to the live phase, whatever a clock that
 * was set back makes of their time. */
static void feed_on_history(struct feed *feed, const struct feed_page *page, bool has_more)
{
    bool is_newest_first = feed->wish.limit >= 0;
    bool is_over = is_newest_first || !has_more;

    for (size_t i = 0; i < page->count; i++) {
        size_t index = is_newest_first ? page->count - 1 - i : i;

        feed->cursor_seq = feed_page_seq(page, index);
        if (feed->cursor_seq <= feed->present_seq)
            feed_send_row(feed, page, index);
        else
            is_over = true;
    }
    if (!is_over)
        return;
    feed->cursor_seq = feed->present_seq;
    feed->phase = FEED_LIVE;
}

static void feed_on_live(struct feed *feed, const struct feed_page *page, bool has_more)
{
    for (size_t i = 0; i < page->count; i++)
        feed_send_row(feed, page, i);
    if (page->count > 0)
        feed->cursor_seq = feed_page_seq(page, page->count - 1);
    feed->has_news = feed->has_news || has_more;
}

/* While the disk refuses, rows are missing in the answer; feed_wake() comes when it takes them. */
static void feed_on_rows(void *owner, const struct feed_page *page,
                         const struct store_answer *answer)
{
    struct feed *feed = owner;

    feed->query = NULL;
    if (err_is_set(&answer->err)) {
        feed_fail(feed, &answer->err);
        return;
    }
    switch (feed->phase) {
    case FEED_PLACE:
        feed_on_place(feed, page);
        break;
    case FEED_HISTORY:
        feed_on_history(feed, page, answer->has_more);
        break;
    case FEED_LIVE:
        feed_on_live(feed, page, answer->has_more);
        break;
    case FEED_ENDED:
        return;
    }
    feed_advance(feed);
}

/* ---- asking ---- */

static struct store_filter feed_filter(const struct feed *feed)
{
    const struct feed_wish *wish = &feed->wish;

    if (feed->phase == FEED_PLACE && wish->is_resumed)
        return (struct store_filter){.after_seq = wish->after_seq - 1, .limit = 1};
    if (feed->phase == FEED_PLACE)
        return (struct store_filter){.limit = 1, .newest_first = true};
    if (feed->phase == FEED_LIVE)
        return (struct store_filter){.worker = feed->worker,
                                     .actor = feed->actor,
                                     .after_seq = feed->cursor_seq,
                                     .limit = FEED_PAGE_ROWS};
    return (struct store_filter){
        .worker = feed->worker,
        .actor = feed->actor,
        .since_ms = wish->since_ms,
        .after_seq = feed->cursor_seq,
        .limit = wish->limit >= 0 ? (size_t)wish->limit : FEED_PAGE_ROWS,
        .newest_first = wish->limit >= 0,
    };
}

/* Asks for what comes next, unless an answer is on its way, the client is slow, or there is nothing
 * new. When too many queries wait, feed_retry() comes by. */
static void feed_advance(struct feed *feed)
{
    struct store_filter filter = feed_filter(feed);
    struct err ignored = ERR_INIT;

    if (feed->query != NULL || feed->phase == FEED_ENDED ||
        http_exchange_unsent_bytes(feed->exchange) > HTTP_UNSENT_HIGH_BYTES)
        return;
    if (feed->phase == FEED_LIVE && !feed->has_news) {
        if (feed->is_ending)
            feed_end(feed);
        return;
    }
    feed->query =
        feed_log_query(feed->supervisor->store, feed->wish.log, &filter, &feed->reader, &ignored);
    if (feed->query != NULL && feed->phase == FEED_LIVE)
        feed->has_news = false;
}

/* ---- from outside ---- */

static unsigned feed_count(const struct supervisor *supervisor)
{
    const struct feed *feed = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(feed, &supervisor->feeds, link)
    {
        count++;
    }
    return count;
}

int feed_begin(struct api_call *call, const struct feed_wish *wish, struct err *err)
{
    struct feed *feed = NULL;

    if (feed_count(call->supervisor) >= FEED_MAX_COUNT)
        return err_set(err, ERR_BUSY, "%d clients follow the events already", FEED_MAX_COUNT);
    feed = xcalloc(1, sizeof(*feed));
    feed->held.on_closed = feed_on_closed;
    feed->held.on_drained = feed_on_drained;
    feed->supervisor = call->supervisor;
    feed->exchange = call->exchange;
    feed->wish = *wish;
    feed->reader = (struct feed_reader){feed_on_rows, feed};
    if (wish->worker != NULL)
        feed->worker = xstrdup(wish->worker);
    if (wish->actor != NULL)
        feed->actor = xstrdup(wish->actor);
    feed->is_ending = call->supervisor->farewell_ends_ms != 0;
    TAILQ_INSERT_TAIL(&call->supervisor->feeds, feed, link);
    api_hold(call, &feed->held);
    http_stream_begin(call->exchange, 200, "text/event-stream");
    feed_advance(feed);
    return 0;
}

void feed_wake(struct supervisor *supervisor, enum feed_log log)
{
    struct feed *feed = NULL;

    TAILQ_FOREACH(feed, &supervisor->feeds, link)
    {
        if (feed->wish.log != log)
            continue;
        feed->has_news = true;
        feed_advance(feed);
    }
}

void feed_retry(struct supervisor *supervisor)
{
    struct feed *feed = NULL;

    TAILQ_FOREACH(feed, &supervisor->feeds, link)
    {
        feed_advance(feed);
    }
}

void feed_end_revoked(struct supervisor *supervisor)
{
    struct feed *feed = NULL;

    TAILQ_FOREACH(feed, &supervisor->feeds, link)
    {
        struct err err = ERR_INIT;

        if (feed->phase != FEED_ENDED && !api_may_still(feed->exchange, &err))
            feed_fail(feed, &err);
    }
}

void feed_end_all(struct supervisor *supervisor)
{
    struct feed *feed = NULL;

    TAILQ_FOREACH(feed, &supervisor->feeds, link)
    {
        feed->is_ending = true;
        feed->has_news = true;
        feed_advance(feed);
    }
}

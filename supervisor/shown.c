/* Owns the answers that wait until what they show is on disk. Knows nothing of what that is. */
#include "supervisor/shown.h"

#include "common/http/http.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"

struct shown {
    TAILQ_ENTRY(shown) link; /* the oldest first, so their marks rise */
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    json_t *body;
    uint64_t mark; /* rows that had been posted */
};

static void shown_free(struct shown *shown)
{
    TAILQ_REMOVE(&shown->supervisor->shown, shown, link);
    json_decref(shown->body);
    free(shown);
}

static void shown_on_closed(struct api_held *held)
{
    shown_free(CONTAINER_OF(held, struct shown, held));
}

static bool shown_may_leave(const struct supervisor *supervisor, uint64_t mark)
{
    return err_is_set(&supervisor->store_health) || store_done_count(supervisor->store) >= mark;
}

void shown_reply(struct api_call *call, json_t *body)
{
    struct supervisor *supervisor = call->supervisor;
    uint64_t mark = store_posted_count(supervisor->store);
    struct shown *shown = NULL;

    if (shown_may_leave(supervisor, mark)) {
        http_reply_json(call->exchange, 200, body);
        return;
    }
    shown = xcalloc(1, sizeof(*shown));
    shown->held.on_closed = shown_on_closed;
    shown->supervisor = supervisor;
    shown->exchange = call->exchange;
    shown->body = json_incref(body);
    shown->mark = mark;
    TAILQ_INSERT_TAIL(&supervisor->shown, shown, link);
    api_hold(call, &shown->held);
}

/* An answer may end its connection, and with it others of the list: always the first is taken. */
void shown_check(struct supervisor *supervisor)
{
    struct shown *shown = NULL;

    while ((shown = TAILQ_FIRST(&supervisor->shown)) != NULL &&
           shown_may_leave(supervisor, shown->mark)) {
        struct http_exchange *exchange = shown->exchange;
        AUTO_JSON json_t *body = json_incref(shown->body);

        api_release(exchange);
        shown_free(shown);
        http_reply_json(exchange, 200, body);
    }
}

/* Owns who has to wait for the audit trail: calls that may not run yet, replies that may not leave
 * yet, and strangers, who get few rows. Knows nothing of what handlers do. */
#include "supervisor/audit.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/audit_strangers.h"
#include "supervisor/supervisor.h"

#include <string.h>

/* ---- replies ---- */

/* A reply that waits for rows. */
struct audit_hold {
    TAILQ_ENTRY(audit_hold) link;
    struct supervisor *supervisor;
    struct http_exchange *exchange; /* NULL: the client has left */
    unsigned row_count;             /* that are not on disk yet */
    bool keeps_reply;               /* also when the disk refuses: what was asked for is done */
    struct err failure;
};

static void fill_unavailable(struct err *err, const char *why)
{
    err_fill(err, ERR_AUDIT_UNAVAILABLE,
             "the audit trail can not be written, and without it nothing is done: %s", why);
}

static void hold_on_gone(void *owner)
{
    struct audit_hold *hold = owner;

    hold->exchange = NULL;
}

static void hold_end(struct audit_hold *hold)
{
    struct http_exchange *exchange = hold->exchange;
    struct err err = ERR_INIT;

    if (exchange != NULL && err_is_set(&hold->failure) && !hold->keeps_reply &&
        http_exchange_has_begun(exchange)) {
        fill_unavailable(&err, hold->failure.message);
        http_exchange_withdraw(exchange);
        api_reply_error(exchange, &err, NULL);
    }
    if (exchange != NULL)
        http_exchange_let_go(exchange);
    TAILQ_REMOVE(&hold->supervisor->audit.holds, hold, link);
    free(hold);
}

static void hold_on_row(void *owner, const struct err *err)
{
    struct audit_hold *hold = owner;

    if (err_is_set(err))
        hold->failure = *err;
    if (--hold->row_count == 0)
        hold_end(hold);
}

static struct audit_hold *hold_find(struct audit *audit, const struct http_exchange *exchange)
{
    struct audit_hold *hold = NULL;

    TAILQ_FOREACH(hold, &audit->holds, link)
    {
        if (hold->exchange == exchange)
            return hold;
    }
    return NULL;
}

struct store_done audit_hold_reply(struct supervisor *supervisor, struct http_exchange *exchange)
{
    struct audit *audit = &supervisor->audit;
    struct audit_hold *hold = hold_find(audit, exchange);

    if (hold == NULL) {
        hold = xcalloc(1, sizeof(*hold));
        hold->supervisor = supervisor;
        hold->keeps_reply = audit->call != NULL && audit->call_never_waits;
        if (!http_exchange_has_begun(exchange)) {
            hold->exchange = exchange;
            http_exchange_hold(exchange, hold_on_gone, hold);
        }
        TAILQ_INSERT_TAIL(&audit->holds, hold, link);
    }
    hold->row_count++;
    return (struct store_done){hold_on_row, hold};
}

bool audit_withdraw_reply(struct supervisor *supervisor, struct http_exchange *exchange)
{
    struct audit_hold *hold = hold_find(&supervisor->audit, exchange);

    if (hold == NULL)
        return false;
    hold->exchange = NULL; /* its rows are waited for by nobody */
    if (http_exchange_has_begun(exchange))
        http_exchange_withdraw(exchange);
    http_exchange_let_go(exchange);
    return true;
}

/* ---- calls ---- */

/* A call that waits until the disk has taken what is queued. */
struct audit_waiting {
    TAILQ_ENTRY(audit_waiting) link;
    struct api_held held;
    struct api_call *call;
    enum audit_need need;
};

static void waiting_free(struct audit_waiting *waiting)
{
    TAILQ_REMOVE(&waiting->call->supervisor->audit.waiting, waiting, link);
    free(waiting);
}

static void waiting_on_closed(struct api_held *held)
{
    waiting_free(CONTAINER_OF(held, struct audit_waiting, held));
}

static void waiting_begin(struct api_call *call, enum audit_need need)
{
    struct audit_waiting *waiting = xcalloc(1, sizeof(*waiting));

    waiting->held.on_closed = waiting_on_closed;
    waiting->call = call;
    waiting->need = need;
    TAILQ_INSERT_TAIL(&call->supervisor->audit.waiting, waiting, link);
    api_hold(call, &waiting->held);
}

static bool door_is_full(const struct supervisor *supervisor)
{
    return audit_queued_count(supervisor) >= supervisor->audit.queue_max;
}

static bool door_refuse(struct api_call *call, const char *why)
{
    struct err err = ERR_INIT;

    fill_unavailable(&err, why);
    api_reply_error(call->exchange, &err, NULL);
    return false;
}

static void door_let_in(struct api_call *call)
{
    struct supervisor *supervisor = call->supervisor;
    const struct audit_who who = audit_who_of_call(call);

    audit_raise_for(supervisor, &who, AUDIT_AUTH_SUCCESS, NULL, NULL);
}

bool audit_admit(struct api_call *call, enum audit_need need)
{
    struct supervisor *supervisor = call->supervisor;
    bool is_full = door_is_full(supervisor);

    if (need == AUDIT_NEEDS_NOTHING)
        return true;
    if (need == AUDIT_NEEDS_DISK && err_is_set(&supervisor->store_health))
        return door_refuse(call, supervisor->store_health.message);
    if (need != AUDIT_NEVER_WAITS && is_full) {
        if (supervisor->audit.refuses || err_is_set(&supervisor->store_health))
            return door_refuse(call, "too many rows wait for the disk");
        waiting_begin(call, need);
        return false;
    }
    door_let_in(call);
    return true;
}

/* Handlers may end other calls of the list: always the first is taken. */
void audit_check_waiting(struct supervisor *supervisor)
{
    struct audit_waiting *waiting = NULL;
    bool is_failing = err_is_set(&supervisor->store_health);

    while ((waiting = TAILQ_FIRST(&supervisor->audit.waiting)) != NULL &&
           (is_failing || !door_is_full(supervisor))) {
        struct api_call *call = waiting->call;
        enum audit_need need = waiting->need;

        api_release(call->exchange);
        waiting_free(waiting);
        if (audit_admit(call, need))
            api_serve(call);
    }
}

/* ---- strangers ---- */

void audit_sum_up_strangers(struct supervisor *supervisor, bool is_end)
{
    struct stranger stranger;
    uint64_t count = 0;

    while (audit_strangers_take(supervisor->audit.strangers, (int64_t)clock_monotonic_ms(), is_end,
                                &stranger, &count)) {
        const struct audit_who who = {.actor = "unknown", .peer = stranger.peer};

        audit_raise_for(supervisor, &who, (enum audit_kind)stranger.kind, "refused",
                        json_pack("{s:I}", "count", (json_int_t)count));
    }
}

/* Users of this machine are told apart by who they are, others by where they are. */
static const char *stranger_name(const struct http_peer *peer, const char *actor)
{
    return peer->is_unix ? actor : peer->address;
}

void audit_refused(struct supervisor *supervisor, struct http_exchange *exchange, const char *actor,
                   enum audit_kind kind, struct err *refusal)
{
    const struct audit_who who =
        audit_who_of_exchange(exchange, actor[0] == '\0' ? "unknown" : actor);
    const char *stranger = stranger_name(http_exchange_peer(exchange), actor);
    struct store_done done;
    struct err full = ERR_INIT;

    audit_sum_up_strangers(supervisor, false);
    if (!audit_strangers_admit(supervisor->audit.strangers, kind, stranger,
                               (int64_t)clock_monotonic_ms()))
        return;
    done = audit_hold_reply(supervisor, exchange);
    if (audit_post(supervisor, &who, kind, "refused",
                   json_pack("{s:s, s:s}", "code", err_wire_code(refusal->kind), "message",
                             refusal->message),
                   done) == 0)
        return;
    err_fill(&full, ERR_BUSY, "too many rows wait for the disk");
    done.on_done(done.owner, &full);
    fill_unavailable(refusal, full.message);
}

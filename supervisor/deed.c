/* Owns the answers that wait for a row. Knows nothing of what was done. */
#include "supervisor/deed.h"

#include "common/http/http.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/journal.h"
#include "supervisor/worker.h"

struct deed {
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange; /* NULL: the client has left */
    char *name;
    struct deed_end end;
};

static void deed_on_closed(struct api_held *held)
{
    struct deed *deed = CONTAINER_OF(held, struct deed, held);

    deed->exchange = NULL;
}

struct deed *deed_begin(struct api_call *call, const char *name, struct deed_end end)
{
    struct deed *deed = xcalloc(1, sizeof(*deed));

    deed->held.on_closed = deed_on_closed;
    deed->supervisor = call->supervisor;
    deed->exchange = call->exchange;
    deed->name = xstrdup(name);
    deed->end = end;
    api_hold(call, &deed->held);
    return deed;
}

static void deed_reply(const struct deed *deed, const struct err *refusal)
{
    AUTO_JSON json_t *record = deed->end.record(deed->supervisor, deed->name);
    struct err err = ERR_INIT;

    if (err_is_set(refusal))
        err_fill(&err, ERR_NOT_STORED,
                 "done, but a restart of the supervisor would forget it: the disk took nothing "
                 "(%s); make room and say it again",
                 refusal->message);
    else if (record == NULL)
        err_fill(&err, ERR_NOT_FOUND, "%s is gone", deed->name);
    if (err_is_set(&err))
        api_reply_error(deed->exchange, &err, NULL);
    else
        http_reply_json(deed->exchange, 200, record);
}

static void deed_on_stored(void *owner, const struct err *err)
{
    struct deed *deed = owner;

    if (deed->end.act != NULL)
        deed->end.act(deed->supervisor, deed->name);
    if (deed->exchange != NULL) {
        api_release(deed->exchange);
        deed_reply(deed, err);
    }
    free(deed->name);
    free(deed);
}

struct store_done deed_done(struct deed *deed)
{
    return (struct store_done){deed_on_stored, deed};
}

void deed_refused(struct deed *deed)
{
    struct err err = ERR_INIT;

    err_fill(&err, ERR_BUSY, "too many rows wait for it");
    deed_on_stored(deed, &err);
}

void deed_for_worker(struct api_call *call, const struct worker *worker, struct deed_end end)
{
    struct deed *deed = deed_begin(call, worker->name, end);

    if (journal_worker_awaited(worker, deed_done(deed)) != 0)
        deed_refused(deed);
}

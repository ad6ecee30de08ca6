/* Owns drills: faults that a person makes a worker have, to see that what follows them works. They
 * are the real thing, and count as it; only their records say what they were. */
#include "common/clock.h"
#include "common/drill.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <signal.h>
#include <sys/pidfd.h>

/* One that the worker was asked for and has not answered. */
struct drill {
    struct api_held held;
    struct http_exchange *exchange;
    struct worker *worker;
    struct worker_probe probe;
    enum drill_kind kind;
};

bool worker_is_in_drill(const struct worker *worker)
{
    return clock_monotonic_ms() < worker->process.drill_until_ms;
}

static void drill_tell(const struct worker *worker, enum drill_kind kind)
{
    log_event(LOG_WARN, "drill", "worker=%s pid=%d kind=%s", worker->name, (int)worker->process.pid,
              drill_name(kind));
    journal_event(worker->supervisor, "drill", worker->name, "",
                  json_pack("{s:s, s:b, s:i, s:s}", "kind", drill_name(kind), "drill", 1, "pid",
                            (int)worker->process.pid, "instance", worker->process.instance));
    audit_worker_people(worker, AUDIT_WORKER_DRILL, drill_name(kind));
}

static void drill_reply(struct http_exchange *exchange, struct worker *worker)
{
    AUTO_JSON json_t *record = worker_record(worker);

    http_reply_json(exchange, 202, record);
}

/* ---- what a signal makes ---- */

/* The leader alone is hit, as by a fault of its own; what it has started follows as after any exit.
 */
static int drill_signal(struct api_call *call, struct worker *worker, enum drill_kind kind,
                        struct err *err)
{
    if (pidfd_send_signal(worker->process.pidfd, kind == DRILL_CRASH ? SIGSEGV : SIGSTOP, NULL,
                          0) != 0)
        return err_set(err, ERR_INTERNAL, "signal worker %s: %m", worker->name);
    worker->process.drill_until_ms = UINT64_MAX;
    drill_tell(worker, kind);
    drill_reply(call->exchange, worker);
    return 0;
}

/* ---- what the worker makes ---- */

static void drill_free(struct drill *drill)
{
    drill->worker->drill = NULL;
    worker_probe_release(&drill->probe);
    free(drill);
}

static void drill_on_closed(struct api_held *held)
{
    struct drill *drill = CONTAINER_OF(held, struct drill, held);

    if (drill->kind == DRILL_SLOW)
        drill->worker->process.drill_until_ms = 0; /* nobody will tell us how long it lasts */
    drill_free(drill);
}

/* No answer any more: from one that was to end that is its end, which worker_drill_end() tells. */
static bool drill_may_have_ended(const struct drill *drill,
                                 const struct worker_probe_answer *answer)
{
    return answer->failure != NULL && drill->kind != DRILL_SLOW;
}

static void drill_refuse(const struct drill *drill, const struct worker_probe_answer *answer)
{
    struct err err = ERR_INIT;

    drill->worker->process.drill_until_ms = 0;
    if (answer->failure != NULL)
        err = *answer->failure;
    else
        err_fill(&err, ERR_PROTOCOL, "worker %s answered %d to a drill", drill->worker->name,
                 answer->status);
    api_reply_error(drill->exchange, &err, NULL);
}

static void drill_on_answer(struct worker *worker, const struct worker_probe_answer *answer)
{
    struct drill *drill = worker->drill;
    json_int_t for_ms = json_integer_value(json_object_get(answer->body, "for_ms"));

    if (drill_may_have_ended(drill, answer))
        return;
    api_release(drill->exchange);
    if (answer->failure != NULL || answer->status != 202) {
        drill_refuse(drill, answer);
    } else {
        if (for_ms > 0)
            worker->process.drill_until_ms = clock_monotonic_ms() + (uint64_t)for_ms;
        drill_reply(drill->exchange, worker);
    }
    drill_free(drill);
}

/* It ends before its answer has come: that is what was wanted. */
void worker_drill_end(struct worker *worker)
{
    struct drill *drill = worker->drill;

    if (drill == NULL)
        return;
    api_release(drill->exchange);
    drill_reply(drill->exchange, worker);
    drill_free(drill);
}

static int drill_ask(struct api_call *call, struct worker *worker, enum drill_kind kind,
                     struct err *err)
{
    struct drill *drill = NULL;

    if (worker->dialect->ask_drill == NULL)
        return err_set(err, ERR_NOT_IMPLEMENTED,
                       "worker %s is a program of its own: only crash and hang can be made of it",
                       worker->name);
    if (worker->drill != NULL)
        return err_set(err, ERR_CONFLICT, "worker %s has been asked for a drill already",
                       worker->name);
    drill = xcalloc(1, sizeof(*drill));
    drill->held.on_closed = drill_on_closed;
    drill->exchange = call->exchange;
    drill->worker = worker;
    drill->kind = kind;
    worker->drill = drill;
    worker->process.drill_until_ms = UINT64_MAX; /* it may end before it has answered */
    drill_tell(worker, kind);
    api_hold(call, &drill->held);
    worker_probe_init(&drill->probe, worker, drill_on_answer);
    worker_probe_ask_drill(&drill->probe, kind);
    return 0;
}

/* ---- the route ---- */

static int drill_check_ready(const struct worker *worker, struct err *err)
{
    switch (worker->state) {
    case LIFE_READY:
        return 0;
    case LIFE_STARTING:
    case LIFE_WAITING:
        return err_set(err, ERR_WORKER_LOADING,
                       "worker %s is %s, a drill needs one that is ready: rbee wait %s",
                       worker->name, life_state_name(worker->state), worker->name);
    default:
        worker_explain(worker, err);
        return -1;
    }
}

int api_worker_drill(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    const char *name = "";
    enum drill_kind kind = DRILL_CRASH;
    struct worker *worker = NULL;

    if (body == NULL || json_read_text(body, "kind", &name, err) != 0 ||
        drill_of_name(name, &kind, err) != 0)
        return -1;
    worker = api_find_worker(call, err);
    if (worker == NULL || drill_check_ready(worker, err) != 0)
        return -1;
    if (kind == DRILL_CRASH || kind == DRILL_HANG)
        return drill_signal(call, worker, kind, err);
    return drill_ask(call, worker, kind, err);
}

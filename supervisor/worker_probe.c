/* Owns small questions to a worker's process. Knows nothing of what the answers mean. */
#include "supervisor/worker_probe.h"

#include "common/http/http.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/worker.h"

/* A list of models is the longest that is asked for. */
enum { REPLY_MAX_BYTES = 64 << 10 };

static int probe_on_head(struct http_call *call, void *owner, const struct http_head *head,
                         struct err *err)
{
    struct worker_probe *probe = owner;

    probe->status = head->status;
    return 0;
}

static void probe_on_body(struct http_call *call, void *owner, const char *data, size_t len)
{
    struct worker_probe *probe = owner;

    (void)buf_add(&probe->reply, data, len); /* a longer one is cut, and no JSON */
}

static void probe_on_end(struct http_call *call, void *owner, const struct err *failure)
{
    struct worker_probe *probe = owner;
    struct err ignored = ERR_INIT;
    AUTO_JSON json_t *body = failure != NULL ? NULL
                                             : json_parse(probe->reply.data, probe->reply.len,
                                                          REPLY_MAX_BYTES, &ignored);
    struct worker_probe_answer answer = {.failure = failure, .status = probe->status, .body = body};

    probe->call = NULL;
    probe->on_answer(probe->worker, &answer);
}

static void probe_send(struct worker_probe *probe, struct dialect_ask *ask)
{
    static const struct http_call_events EVENTS = {
        .on_head = probe_on_head,
        .on_body = probe_on_body,
        .on_end = probe_on_end,
    };

    worker_probe_cancel(probe);
    buf_clear(&probe->reply);
    probe->status = 0;
    /* One that has rested may still be served by a process that takes no new ones. */
    ask->is_alone = true;
    probe->call = dialect_send(probe->worker, ask, &EVENTS, probe);
}

void worker_probe_ask_ready(struct worker_probe *probe)
{
    struct dialect_ask ask;

    probe->worker->dialect->ask_ready(probe->worker, &ask);
    probe_send(probe, &ask);
}

void worker_probe_ask_alive(struct worker_probe *probe)
{
    struct dialect_ask ask;

    probe->worker->dialect->ask_alive(probe->worker, &ask);
    probe_send(probe, &ask);
}

void worker_probe_ask_token(struct worker_probe *probe)
{
    struct dialect_ask ask;

    probe->worker->dialect->ask_canary(probe->worker, &ask);
    probe_send(probe, &ask);
}

void worker_probe_ask_drill(struct worker_probe *probe, enum drill_kind kind)
{
    struct dialect_ask ask;

    probe->worker->dialect->ask_drill(kind, &ask);
    probe_send(probe, &ask);
}

void worker_probe_cancel(struct worker_probe *probe)
{
    if (probe->call != NULL)
        http_call_cancel(probe->call);
    probe->call = NULL;
}

void worker_probe_init(struct worker_probe *probe, struct worker *worker,
                       void (*on_answer)(struct worker *worker,
                                         const struct worker_probe_answer *answer))
{
    *probe = (struct worker_probe){.worker = worker, .on_answer = on_answer};
    buf_init(&probe->reply, REPLY_MAX_BYTES);
}

void worker_probe_release(struct worker_probe *probe)
{
    worker_probe_cancel(probe);
    buf_release(&probe->reply);
    *probe = (struct worker_probe){0};
}

/* Owns small questions to a worker's process. Knows nothing of what the answers mean. */
#include "supervisor/worker_probe.h"

#include "common/http/http.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/token.h"
#include "supervisor/worker.h"

#include <stdio.h>
#include <string.h>

enum { REPLY_MAX_BYTES = 16 << 10 };

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

/* REQUEST gets the worker's token as its first header, for which its list has room. */
static void probe_send(struct worker_probe *probe, struct http_request *request,
                       struct http_header *headers)
{
    static const struct http_call_events EVENTS = {
        .on_head = probe_on_head,
        .on_body = probe_on_body,
        .on_end = probe_on_end,
    };
    const struct worker_process *process = &probe->worker->process;
    char bearer[sizeof("Bearer ") + TOKEN_TEXT_BYTES];

    worker_probe_cancel(probe);
    buf_clear(&probe->reply);
    probe->status = 0;
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", process->token);
    headers[0] = (struct http_header){.name = "Authorization", .value = bearer};
    request->headers = headers;
    probe->call = http_client_send(process->client, request, &EVENTS, probe);
    token_wipe(bearer, sizeof(bearer));
}

void worker_probe_ask_ready(struct worker_probe *probe)
{
    struct http_header headers[1];

    probe_send(probe,
               &(struct http_request){.method = HTTP_GET, .target = "/ready", .header_count = 1},
               headers);
}

void worker_probe_ask_token(struct worker_probe *probe)
{
    char id[TOKEN_ID_BYTES];
    struct http_header headers[] = {
        {0}, {"Content-Type", "application/json"}, {"X-Inference-Id", id}};
    AUTO_JSON json_t *question =
        json_pack("{s:s, s:s, s:b, s:i, s:i, s:b}", "model", probe->worker->name, "prompt", "1",
                  "raw", 1, "max_tokens", 1, "temperature", 0, "stream", 0);
    AUTO_FREE char *body = json_to_text(question);

    token_new_id('c', id);
    probe_send(probe,
               &(struct http_request){.method = HTTP_POST,
                                      .target = "/v1/inference",
                                      .header_count = ARRAY_COUNT(headers),
                                      .body = body,
                                      .body_len = strlen(body)},
               headers);
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

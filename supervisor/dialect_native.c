/* Owns the language of rbee-worker, as ARCHITECTURE.md has it: /ready, /v1/inference, exit codes.
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/dialect.h"
#include "supervisor/native_text.h"
#include "supervisor/proxy.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>

enum {
    WORKER_SLOTS_MAX_COUNT = 4096,
};

/* ---- ready and alive ---- */

static void native_ask_ready(const struct worker *worker, struct dialect_ask *out)
{
    *out = (struct dialect_ask){.method = HTTP_GET, .target = "/ready"};
}

/* 0: nothing is told of the device of that NAME. */
static int64_t native_bytes_on(const json_t *devices, const char *name)
{
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *entry = json_array_get(devices, i);
        const char *device = json_string_value(json_object_get(entry, "device"));
        json_int_t bytes = json_integer_value(json_object_get(entry, "memory_bytes"));

        if (device != NULL && strcmp(device, name) == 0)
            return bytes > 0 ? bytes : 0;
    }
    return 0;
}

/* In the order in which we have them. */
static void native_read_device_bytes(struct worker *worker, const json_t *reply)
{
    const json_t *devices = json_object_get(reply, "devices");

    for (size_t i = 0; i < worker->devices.count; i++)
        worker->facts.device_bytes[i] = native_bytes_on(devices, worker->devices.devices[i]->name);
}

static void native_read_facts(struct worker *worker, const json_t *reply)
{
    const char *device = json_string_value(json_object_get(reply, "device"));
    json_int_t slots = json_integer_value(json_object_get(reply, "slots"));

    worker->facts.context_tokens = json_integer_value(json_object_get(reply, "context_tokens"));
    worker->facts.memory_bytes = json_integer_value(json_object_get(reply, "memory_bytes"));
    worker->facts.counters = (struct liveness_counters){
        .tokens = json_integer_value(json_object_get(reply, "tokens")),
        .prefill_tokens = json_integer_value(json_object_get(reply, "prefill_tokens")),
    };
    native_read_device_bytes(worker, reply);
    worker->facts.slots = slots < 1 || slots > WORKER_SLOTS_MAX_COUNT ? 1 : slots;
    if (device != NULL)
        (void)snprintf(worker->facts.device, sizeof(worker->facts.device), "%s", device);
}

static void native_read_progress(struct worker *worker, const json_t *reply)
{
    struct worker_load *load = &worker->load;
    const char *phase = json_string_value(json_object_get(reply, "phase"));
    json_int_t done = json_integer_value(json_object_get(reply, "done_bytes"));

    load->total_bytes = json_integer_value(json_object_get(reply, "total_bytes"));
    if (phase == NULL)
        return;
    if (strcmp(load->phase, phase) != 0 || done > load->done_bytes)
        load->progress_ms = clock_monotonic_ms();
    if (load->warm_up_ms == 0 && strcmp(phase, "warm_up") == 0)
        load->warm_up_ms = load->progress_ms;
    (void)snprintf(load->phase, sizeof(load->phase), "%s", phase);
    load->done_bytes = done;
}

/* An answer that is none counts as no progress: load_stall ends it. */
static enum dialect_verdict native_take_ready(struct worker *worker, int status, const json_t *body)
{
    const char *phase = json_string_value(json_object_get(body, "phase"));

    if (status == 200 && phase != NULL && strcmp(phase, "ready") == 0) {
        native_read_facts(worker, body);
        return DIALECT_READY;
    }
    if (status == 503 && json_is_object(body))
        native_read_progress(worker, body);
    return DIALECT_NOT_YET;
}

static bool native_read_counters(const json_t *body, struct liveness_counters *out)
{
    const char *phase = json_string_value(json_object_get(body, "phase"));
    const json_t *tokens = json_object_get(body, "tokens");
    const json_t *prefill_tokens = json_object_get(body, "prefill_tokens");

    if (phase == NULL || strcmp(phase, "ready") != 0 || !json_is_integer(tokens) ||
        !json_is_integer(prefill_tokens))
        return false;
    *out = (struct liveness_counters){.tokens = json_integer_value(tokens),
                                      .prefill_tokens = json_integer_value(prefill_tokens)};
    return true;
}

static void native_ask_canary(const struct worker *worker, struct dialect_ask *out)
{
    AUTO_JSON json_t *body =
        json_pack("{s:s, s:s, s:b, s:i, s:i, s:b}", "model", worker->name, "prompt", "1", "raw", 1,
                  "max_tokens", 1, "temperature", 0, "stream", 0);

    *out = (struct dialect_ask){
        .method = HTTP_POST, .target = "/v1/inference", .body = json_to_text(body)};
    token_new_id('c', out->id);
}

static int native_take_canary(const struct worker *worker, int status, const json_t *body,
                              struct err *err)
{
    if (status == 200 && json_is_string(json_object_get(body, "stop_reason")) &&
        json_is_object(json_object_get(body, "usage")))
        return 0;
    return err_set(err, ERR_PROTOCOL, "worker %s answered %d where a token was due", worker->name,
                   status);
}

static void native_ask_drill(enum drill_kind kind, struct dialect_ask *out)
{
    AUTO_JSON json_t *body = json_pack("{s:s}", "kind", drill_name(kind));

    *out =
        (struct dialect_ask){.method = HTTP_POST, .target = "/drill", .body = json_to_text(body)};
}

/* ---- inference ---- */

/* The body as the client sent it, unknown fields included (the worker warns of them), but for what
 * was meant for us. */
static char *native_body(const struct request *request)
{
    char *text = native_text_ask(request);
    const char *name = NULL;
    json_t *value = NULL;
    void *next = NULL;

    if (text != NULL)
        return text;
    json_object_foreach_safe(request->body, next, name, value)
    {
        if (native_text_is_ours(&(struct json_text){name, strlen(name)}))
            (void)json_object_del(request->body, name); /* it is there */
    }
    (void)json_object_set_new(request->body, "model", json_string(request->worker->name));
    (void)json_object_set_new(request->body, "stream", json_true());
    return json_to_text(request->body);
}

static void native_ask_inference(struct request *request, struct dialect_ask *out)
{
    *out = (struct dialect_ask){.method = HTTP_POST,
                                .target = "/v1/inference",
                                .body = native_body(request),
                                .label = request->label,
                                .deadline = request->deadline};
    memcpy(out->id, request->id, sizeof(out->id));
}

static int native_on_started(struct request *request, json_t *event, const char *text, size_t len,
                             struct err *err)
{
    if (proxy_start(request, event, err) != 0)
        return -1;
    if (!request->is_stream)
        request->warnings = json_incref(json_object_get(event, "warnings"));
    return 0;
}

static int native_keep_logprobs(struct request *request, const json_t *event, size_t value_count,
                                struct err *err)
{
    const json_t *logprobs = json_object_get(event, "logprobs");
    json_t *logprob = NULL;
    size_t index = 0;

    if (logprobs == NULL)
        return 0;
    request->logprob_value_count += value_count;
    if (request->logprob_value_count > INFERENCE_LOGPROB_VALUE_MAX_COUNT)
        return err_set(err, ERR_NO_MEMORY,
                       "the answer is larger than a reply in one piece may be; ask for a stream");
    if (request->logprobs == NULL)
        request->logprobs = json_array();
    json_array_foreach(logprobs, index, logprob)
    {
        (void)json_array_append(request->logprobs, logprob);
    }
    return 0;
}

/* In a stream it goes on as it came. */
static int native_on_token(struct request *request, json_t *event, const char *text, size_t len,
                           struct err *err)
{
    const json_t *piece = json_object_get(event, "t");

    if (!json_is_string(piece))
        return err_set(err, ERR_PROTOCOL, "worker %s sent a token without text",
                       request->worker->name);
    if (request->is_stream)
        return proxy_token(request, text, len, err);
    if (native_keep_logprobs(request, event, json_count_values(text, len), err) != 0)
        return -1;
    return proxy_keep_token(request, json_string_value(piece), json_string_length(piece), err);
}

static const char *const ENDS_WITH[] = {"stop_reason", "usage", "timings"};

static json_t *native_whole(const struct request *request, const json_t *event)
{
    json_t *answer = proxy_whole(request);

    if (request->wants_logprobs)
        (void)json_object_set_new(answer, "logprobs",
                                  request->logprobs == NULL ? json_array()
                                                            : json_incref(request->logprobs));
    for (size_t i = 0; i < ARRAY_COUNT(ENDS_WITH); i++)
        (void)json_object_set(answer, ENDS_WITH[i], json_object_get(event, ENDS_WITH[i]));
    return answer;
}

static void native_finish(struct request *request, json_t *event, const struct proxy_waits *waits)
{
    AUTO_JSON json_t *answer =
        request->is_stream ? json_incref(event) : native_whole(request, event);

    proxy_finish(request, answer, waits);
}

static int native_on_end(struct request *request, json_t *event, const char *text, size_t len,
                         struct err *err)
{
    struct proxy_waits waits;

    if (proxy_take_end(request, event, &waits, err) != 0)
        return -1;
    native_finish(request, event, &waits);
    return 0;
}

/* The worker's own words become the reason of the failure. A code that we do not know, or that
 * would be about our token and not the client's, is nonsense to the client. */
static int native_fail(const struct request *request, const json_t *failure, struct err *err)
{
    const char *code = json_string_value(json_object_get(failure, "code"));
    const char *message = json_string_value(json_object_get(failure, "message"));
    enum err_kind kind = code == NULL ? ERR_NONE : err_kind_of_wire(code);

    switch (kind) {
    case ERR_NONE:
    case ERR_MISSING_API_KEY:
    case ERR_INVALID_API_KEY:
    case ERR_FORBIDDEN:
    case ERR_NOT_FOUND:
    case ERR_METHOD:
        return err_set(err, ERR_PROTOCOL, "worker %s answered %s", request->worker->name,
                       code == NULL ? "without a code" : code);
    default:
        return err_set(err, kind, "%s", message == NULL ? "" : message);
    }
}

static int native_on_error(struct request *request, json_t *event, const char *text, size_t len,
                           struct err *err)
{
    return native_fail(request, event, err);
}

/* The worker's queue is not the client's business: it has been told of ours. */
static int native_on_queued(struct request *request, json_t *event, const char *text, size_t len,
                            struct err *err)
{
    return 0;
}

static const struct {
    const char *type;
    int (*take)(struct request *request, json_t *event, const char *text, size_t len,
                struct err *err);
} EVENTS[] = {
    {"token", native_on_token}, {"started", native_on_started}, {"end", native_on_end},
    {"error", native_on_error}, {"queued", native_on_queued},
};

static int native_pass_end(struct request *request, const struct native_text_end *end,
                           struct err *err)
{
    AUTO_BUF struct buf out = BUF_INIT(SIZE_MAX - 1);
    AUTO_JSON json_t *event = NULL;
    struct proxy_waits waits;

    if (proxy_take_result(request, &end->result, &waits, err) != 0)
        return -1;
    if (native_text_write_end(request, end, &waits, &out)) {
        proxy_finish_text(request, out.data, out.len);
        return 0;
    }
    event = proxy_parse_event(request, end->text.at, end->text.len, err);
    if (event != NULL)
        native_finish(request, event, &waits);
    return event == NULL ? -1 : 0;
}

/* What nearly all events are, without a parser. False: it is something else. */
static bool native_take_text(struct request *request, const char *text, size_t len, int *out_result,
                             struct err *err)
{
    const struct json_text event = {text, len};
    struct native_text_end end;
    struct json_text piece;
    bool has_escapes = false;

    if (native_text_is_token(&event, &piece, &has_escapes)) {
        if (!request->is_stream && has_escapes)
            return false;
        *out_result = request->is_stream ? proxy_token(request, text, len, err)
                                         : proxy_keep_token(request, piece.at, piece.len, err);
        return true;
    }
    if (native_text_is_started(request, &event))
        *out_result = proxy_start_text(request, text, len, err);
    else if (native_text_is_end(&event, &end))
        *out_result = native_pass_end(request, &end, err);
    else
        return false;
    return true;
}

static int native_take_event(struct request *request, const char *text, size_t len, struct err *err)
{
    AUTO_JSON json_t *event = NULL;
    const char *type = NULL;
    int result = 0;

    if (strcmp(text, "[DONE]") == 0)
        return 0;
    if (native_take_text(request, text, len, &result, err))
        return result;
    event = proxy_parse_event(request, text, len, err);
    if (event == NULL)
        return -1;
    type = json_string_value(json_object_get(event, "type"));
    for (size_t i = 0; type != NULL && i < ARRAY_COUNT(EVENTS); i++) {
        if (strcmp(EVENTS[i].type, type) == 0)
            return EVENTS[i].take(request, event, text, len, err);
    }
    return err_set(err, ERR_PROTOCOL, "worker %s sent an event of no known type",
                   request->worker->name);
}

static void native_take_refusal(const struct request *request, struct err *err)
{
    AUTO_JSON json_t *reply = proxy_parse_reply(request);

    (void)native_fail(request, json_object_get(reply, "error"), err);
}

/* ---- exit ---- */

static int native_exit_code(int code)
{
    return code;
}

static const char *native_exit_meaning(int code)
{
    static const char *const MEANINGS[] = {
        [10] = " (configuration or model fault)",
        [11] = " (out of host memory)",
        [12] = " (out of device memory)",
        [13] = " (GPU fault)",
        [14] = " (internal error)",
    };

    return code >= 0 && code < (int)ARRAY_COUNT(MEANINGS) && MEANINGS[code] != NULL ? MEANINGS[code]
                                                                                    : "";
}

const struct worker_dialect DIALECT_NATIVE = {
    .tells_progress = true,
    .tells_logprobs = true,
    .ask_ready = native_ask_ready,
    .take_ready = native_take_ready,
    .ask_alive = native_ask_ready,
    .read_counters = native_read_counters,
    .ask_canary = native_ask_canary,
    .take_canary = native_take_canary,
    .ask_drill = native_ask_drill,
    .ask_inference = native_ask_inference,
    .take_event = native_take_event,
    .take_refusal = native_take_refusal,
    .exit_code = native_exit_code,
    .exit_meaning = native_exit_meaning,
};

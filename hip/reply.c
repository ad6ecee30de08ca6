/* Owns how an answer looks on the wire: events, one object, errors. Knows nothing of how tokens are
 * made. */
#include "hip/reply.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/http/http.h"
#include "common/http/sse.h"
#include "common/inference.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/token.h"
#include "common/utf8.h"
#include "hip/engine/engine.h"
#include "hip/logprob_json.h"
#include "hip/serve.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum {
    REPLY_PING_S = 15, /* so much silence, then a comment */
    /* An answer in one piece; the largest context there is (1,048,576 tokens) at 16 bytes a token.
     */
    REPLY_TEXT_MAX_BYTES = 16 << 20,
    REPLY_ID_MAX_LEN = 64,
    /* Unknown fields are named, but nobody can make us repeat a whole body. */
    REPLY_WARNING_MAX_COUNT = 16,
    REPLY_WARNING_FIELD_MAX_BYTES = 64,
};

struct reply {
    TAILQ_ENTRY(reply) link;
    struct serve *serve;
    struct http_exchange *x;        /* NULL: the client has left */
    struct engine_request *request; /* NULL: it has ended */
    char id[REPLY_ID_MAX_LEN + 1];
    bool is_stream;
    json_t *warnings; /* array of text */
    uint32_t text_event_count;
    struct buf text;  /* of an answer in one piece */
    json_t *logprobs; /* the same, where they were asked for; else NULL */
    size_t logprob_value_count;
    struct event *ping; /* of a stream; armed from the last write */
};

static void reply_free(struct reply *reply)
{
    struct serve *serve = reply->serve;

    assert(reply->x == NULL && reply->request == NULL);
    TAILQ_REMOVE(&serve->replies, reply, link);
    if (reply->ping != NULL)
        event_free(reply->ping);
    json_decref(reply->warnings);
    json_decref(reply->logprobs);
    buf_release(&reply->text);
    free(reply);
    serve_check_drained(serve);
}

/* ---- writing ---- */

static void reply_arm_ping(struct reply *reply)
{
    static const struct timeval SILENCE = {.tv_sec = REPLY_PING_S};

    event_add(reply->ping, &SILENCE);
}

static void reply_on_silence(evutil_socket_t fd, short what, void *owner)
{
    struct reply *reply = owner;
    AUTO_BUF struct buf out = BUF_INIT(SSE_EVENT_MAX_BYTES);

    if (reply->x == NULL || reply->request == NULL || sse_append_ping(&out) < 0)
        return;
    http_stream_write(reply->x, out.data, out.len);
    reply_arm_ping(reply);
}

static void reply_begin_stream(struct reply *reply)
{
    http_reply_header(reply->x, "Cache-Control", "no-store");
    http_stream_begin(reply->x, 200, "text/event-stream");
    reply->ping = event_new(reply->serve->base, -1, 0, reply_on_silence, reply);
}

/* Takes EVENT over. */
static void reply_write_event(struct reply *reply, json_t *event)
{
    AUTO_FREE char *text = json_to_text(event);
    /* Six bytes for each of a token's at worst, and a little around them. */
    AUTO_BUF struct buf out = BUF_INIT(2 * SSE_EVENT_MAX_BYTES);

    json_decref(event);
    if (!http_exchange_has_begun(reply->x))
        reply_begin_stream(reply);
    if (sse_append(&out, text, strlen(text)) == 0)
        http_stream_write(reply->x, out.data, out.len);
    reply_arm_ping(reply);
}

static void reply_end_stream(struct reply *reply)
{
    AUTO_BUF struct buf out = BUF_INIT(SSE_EVENT_MAX_BYTES);

    if (sse_append(&out, "[DONE]", strlen("[DONE]")) == 0)
        http_stream_write(reply->x, out.data, out.len);
    http_stream_end(reply->x);
    event_del(reply->ping);
}

/* ---- events ---- */

static json_t *reply_ms(uint64_t us)
{
    return json_real((double)us / 1000.0);
}

/* Adds the fields that an end event and an answer in one piece share to OBJECT. */
static void reply_add_outcome(json_t *object, const struct engine_outcome *outcome)
{
    json_object_set_new(object, "stop_reason",
                        json_string(engine_stop_reason_name(outcome->stop_reason)));
    json_object_set_new(object, "usage",
                        json_pack("{s:i, s:i, s:i}", "prompt_tokens", (int)outcome->prompt_tokens,
                                  "cached_tokens", (int)outcome->cached_tokens, "completion_tokens",
                                  (int)outcome->completion_tokens));
    json_object_set_new(object, "timings",
                        json_pack("{s:o, s:i, s:o, s:o, s:o}", "queue_ms",
                                  reply_ms(outcome->queue_us), "load_ms", 0, "prefill_ms",
                                  reply_ms(outcome->prefill_us), "decode_ms",
                                  reply_ms(outcome->decode_us), "first_token_ms",
                                  reply_ms(outcome->first_token_us)));
}

/* rbeed passes these events on by their form (supervisor/native_text.c): one that changes is slower
 * there until that knows it. */
static void reply_tell_started(struct reply *reply)
{
    json_t *event = json_pack("{s:s, s:s, s:s}", "type", "started", "id", reply->id, "model",
                              reply->serve->options->name);

    if (json_array_size(reply->warnings) > 0)
        json_object_set(event, "warnings", reply->warnings);
    reply_write_event(reply, event);
}

static void reply_tell_text(struct reply *reply, const struct engine_event *event)
{
    json_t *text = json_text_lossy(event->text, event->text_len);
    json_t *said = json_pack("{s:s, s:o, s:i}", "type", "token", "t", text, "i",
                             (int)reply->text_event_count++);
    size_t uncounted = 0; /* one token's are few */

    if (event->logprob_count > 0)
        (void)json_object_set_new(
            said, "logprobs",
            json_pack("[o]", logprob_json(reply->serve->engine, event, &uncounted)));
    reply_write_event(reply, said);
}

static void reply_fail(struct reply *reply, const struct err *error, const json_t *details)
{
    if (!http_exchange_has_begun(reply->x)) {
        http_reply_error(reply->x, error, details);
        return;
    }
    reply_write_event(reply, json_error_event(error, http_exchange_request_id(reply->x), details));
    reply_end_stream(reply);
}

static void reply_tell_error(struct reply *reply, const struct engine_outcome *outcome)
{
    AUTO_JSON json_t *details = NULL;
    struct engine_status status;
    struct deadline_spent spent;

    if (outcome->error.kind == ERR_DEADLINE) {
        engine_outcome_spent(outcome, &spent);
        details = deadline_details(&spent);
    }
    if (outcome->error.kind == ERR_PROMPT_TOO_LONG) {
        engine_read_status(reply->serve->engine, &status);
        details = json_pack("{s:i, s:i}", "prompt_tokens", (int)outcome->prompt_tokens,
                            "context_tokens", (int)status.context_tokens);
    }
    reply_fail(reply, &outcome->error, details);
}

static void reply_tell_end(struct reply *reply, const struct engine_outcome *outcome)
{
    json_t *event = json_pack("{s:s}", "type", "end");

    reply_add_outcome(event, outcome);
    reply_write_event(reply, event);
    reply_end_stream(reply);
}

/* ---- an answer in one piece ---- */

static void reply_tell_whole(struct reply *reply, const struct engine_outcome *outcome)
{
    AUTO_JSON json_t *answer =
        json_pack("{s:s, s:s, s:o}", "id", reply->id, "model", reply->serve->options->name, "text",
                  json_text_lossy(reply->text.data, reply->text.len));

    if (reply->logprobs != NULL)
        json_object_set(answer, "logprobs", reply->logprobs);
    reply_add_outcome(answer, outcome);
    if (json_array_size(reply->warnings) > 0)
        json_object_set(answer, "warnings", reply->warnings);
    http_reply_json(reply->x, 200, answer);
}

static int reply_keep_logprobs(struct reply *reply, const struct engine_event *event)
{
    if (event->logprob_count == 0)
        return 0;
    (void)json_array_append_new(
        reply->logprobs, logprob_json(reply->serve->engine, event, &reply->logprob_value_count));
    return reply->logprob_value_count > INFERENCE_LOGPROB_VALUE_MAX_COUNT ? -1 : 0;
}

static void reply_keep_text(struct reply *reply, const struct engine_event *event)
{
    static const struct err too_large = {
        .kind = ERR_NO_MEMORY,
        .message = "the answer is larger than a reply in one piece may be; ask for a stream"};

    if (http_exchange_has_begun(reply->x) ||
        (buf_add(&reply->text, event->text, event->text_len) == 0 &&
         reply_keep_logprobs(reply, event) == 0))
        return;
    http_reply_error(reply->x, &too_large, NULL);
    engine_request_cancel(reply->request);
}

/* ---- the engine's events ---- */

static void reply_handle_stream(struct reply *reply, const struct engine_event *event)
{
    const struct engine_outcome *outcome = engine_request_outcome(reply->request);

    switch (event->kind) {
    case ENGINE_EVENT_QUEUED:
        reply_write_event(reply, json_pack("{s:s, s:s, s:i}", "type", "queued", "id", reply->id,
                                           "position", (int)event->position));
        break;
    case ENGINE_EVENT_STARTED:
        reply_tell_started(reply);
        break;
    case ENGINE_EVENT_TEXT:
        reply_tell_text(reply, event);
        break;
    case ENGINE_EVENT_END:
        reply_tell_end(reply, outcome);
        break;
    case ENGINE_EVENT_ERROR:
        reply_tell_error(reply, outcome);
        break;
    }
}

static void reply_handle_whole(struct reply *reply, const struct engine_event *event)
{
    const struct engine_outcome *outcome = engine_request_outcome(reply->request);

    if (event->kind == ENGINE_EVENT_TEXT)
        reply_keep_text(reply, event);
    else if (event->kind == ENGINE_EVENT_END && !http_exchange_has_begun(reply->x))
        reply_tell_whole(reply, outcome);
    else if (event->kind == ENGINE_EVENT_ERROR && !http_exchange_has_begun(reply->x))
        reply_tell_error(reply, outcome);
}

static void reply_log(const struct reply *reply, const struct engine_outcome *outcome)
{
    log_event(LOG_INFO, "request_done",
              "id=%s result=%s prompt_tokens=%u completion_tokens=%u queue_us=%llu "
              "prefill_us=%llu decode_us=%llu",
              reply->id,
              err_is_set(&outcome->error) ? err_wire_code(outcome->error.kind)
                                          : engine_stop_reason_name(outcome->stop_reason),
              outcome->prompt_tokens, outcome->completion_tokens,
              (unsigned long long)outcome->queue_us, (unsigned long long)outcome->prefill_us,
              (unsigned long long)outcome->decode_us);
}

/* Returns false when that was the last. */
static bool reply_handle(struct reply *reply, const struct engine_event *event)
{
    if (reply->x != NULL && reply->is_stream)
        reply_handle_stream(reply, event);
    else if (reply->x != NULL)
        reply_handle_whole(reply, event);
    if (event->kind != ENGINE_EVENT_END && event->kind != ENGINE_EVENT_ERROR)
        return true;
    reply_log(reply, engine_request_outcome(reply->request));
    engine_request_free(reply->request);
    reply->request = NULL;
    return false;
}

void reply_pump(struct reply *reply)
{
    struct engine_event *event = NULL;
    bool goes_on = reply->request != NULL;

    while (goes_on &&
           (reply->x == NULL || http_exchange_unsent_bytes(reply->x) <= HTTP_UNSENT_HIGH_BYTES)) {
        event = engine_request_take(reply->request);
        if (event == NULL)
            return;
        goes_on = reply_handle(reply, event);
        free(event);
    }
    if (reply->request == NULL && reply->x == NULL)
        reply_free(reply);
}

void reply_cancel(struct reply *reply)
{
    if (reply->request != NULL)
        engine_request_cancel(reply->request);
}

void reply_on_closed(struct reply *reply)
{
    reply->x = NULL;
    if (reply->request == NULL) {
        reply_free(reply);
        return;
    }
    engine_request_cancel(reply->request);
    reply_pump(reply); /* its last event may lie there already, held back from a slow client */
}

/* ---- starting ---- */

struct reply *reply_find(const struct serve *serve, const char *id)
{
    struct reply *reply = NULL;

    TAILQ_FOREACH(reply, &serve->replies, link)
    {
        if (strcmp(reply->id, id) == 0)
            return reply;
    }
    return NULL;
}

static int reply_take_id(struct reply *reply, struct err *err)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *id = http_head_find(http_exchange_head(reply->x), "X-Inference-Id");
    size_t len = id == NULL ? 0 : strlen(id);

    static_assert(TOKEN_ID_BYTES <= sizeof(reply->id), "an id of ours fits");
    if (id == NULL) {
        token_new_id('r', reply->id);
        return 0;
    }
    if (len == 0 || len > REPLY_ID_MAX_LEN || strspn(id, ALLOWED) != len)
        return err_set(err, ERR_INVALID, "X-Inference-Id must be 1 to %d of [A-Za-z0-9._-]",
                       REPLY_ID_MAX_LEN);
    if (reply_find(reply->serve, id) != NULL)
        return err_set(err, ERR_CONFLICT, "a request with the id %s is running", id);
    memcpy(reply->id, id, len + 1);
    return 0;
}

static void reply_add_warnings(struct reply *reply, const json_t *unknown)
{
    for (size_t i = 0; i < json_array_size(unknown) && i < REPLY_WARNING_MAX_COUNT; i++) {
        const char *field = json_string_value(json_array_get(unknown, i));
        size_t len = strlen(field);

        if (len > REPLY_WARNING_FIELD_MAX_BYTES)
            len = utf8_cut_len(field, REPLY_WARNING_FIELD_MAX_BYTES);
        json_array_append_new(reply->warnings,
                              json_sprintf("unknown field \"%.*s\" is ignored", (int)len, field));
    }
}

static int reply_check_accepting(const struct serve *serve, struct err *err)
{
    struct engine_status status;

    engine_read_status(serve->engine, &status);
    if (serve->is_draining || status.phase == ENGINE_FAILED)
        return err_set(err, ERR_WORKER_DRAINING, "the worker is stopping");
    if (status.phase != ENGINE_READY)
        return err_set(err, ERR_WORKER_LOADING, "the model is still loading");
    return 0;
}

/* Before any work. */
static int reply_read_deadline(struct http_exchange *x, struct deadline *out, struct err *err)
{
    static const struct deadline_spent NOTHING = {.phase = DEADLINE_ARRIVAL};

    if (deadline_read_left(http_exchange_head(x), http_exchange_arrived_us(x), out, err) < 0)
        return -1;
    if (!deadline_is_over(out, clock_monotonic_us()))
        return 0;
    return deadline_refuse(x, &NOTHING, err);
}

static int reply_submit(struct reply *reply, struct err *err)
{
    struct inference_request asked = {0};
    AUTO_JSON json_t *unknown = json_array();
    AUTO_JSON json_t *body = NULL;
    struct deadline deadline;
    size_t len = 0;
    const char *text = http_exchange_body(reply->x, &len);

    if (reply_read_deadline(reply->x, &deadline, err) < 0)
        return -1;
    body = json_parse(text, len, HTTP_BODY_MAX_BYTES, err);
    if (body == NULL || inference_parse(body, &asked, unknown, err) < 0 ||
        reply_take_id(reply, err) < 0)
        return -1;
    reply_add_warnings(reply, unknown);
    reply->is_stream = asked.stream;
    if (asked.logprobs >= 0 && !asked.stream)
        reply->logprobs = json_array(); /* there, though the answer be empty */
    reply->request = engine_submit(reply->serve->engine, &asked, take_ptr(body), &deadline, reply);
    return 0;
}

int reply_start(struct serve *serve, struct http_exchange *x, struct err *err)
{
    struct reply *reply = NULL;

    if (reply_check_accepting(serve, err) < 0)
        return -1;
    reply = xcalloc(1, sizeof(*reply));
    reply->serve = serve;
    reply->x = x;
    reply->warnings = json_array();
    buf_init(&reply->text, REPLY_TEXT_MAX_BYTES);
    if (reply_submit(reply, err) < 0) {
        json_decref(reply->warnings);
        free(reply);
        return -1;
    }
    TAILQ_INSERT_TAIL(&serve->replies, reply, link);
    http_exchange_set_user(x, reply);
    return 0;
}

/* Owns the language of servers with OpenAI's API. They are always asked for a stream, also for a
 * client that wants one piece: only then do they notice that nobody listens any more, and there is
 * one form of reply to read.
 *
 * A load is asked step by step: the health path until it answers 200, the name that the server
 * gives its model, then one token, which alone proves that it works. */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/dialect.h"
#include "supervisor/openai_body.h"
#include "supervisor/proxy.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum openai_step { OPENAI_STEP_HEALTH, OPENAI_STEP_MODELS, OPENAI_STEP_TOKEN };

enum {
    /* A token may be dear: one that was refused is not asked for again as often as /health. */
    OPENAI_TOKEN_RETRY_MS = 1000,
    OPENAI_MESSAGE_MAX_BYTES = 300, /* of a server, in a message of ours */
    OPENAI_WARNING_MAX_COUNT = 16,
    /* What a shell ends with when it cannot run or find a program. */
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
};

static const char CHAT[] = "/v1/chat/completions";
static const char TEXT[] = "/v1/completions";

/* ---- what a server says of a failure ---- */

/* {"error":{"message":…}}, {"error":"…"}, {"message":…}, {"detail":"…"}: all are in use. "" when
 * there is nothing of the kind. Borrowed from BODY. */
static const char *openai_message(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    const json_t *places[] = {json_object_get(error, "message"), error,
                              json_object_get(body, "message"), json_object_get(body, "detail")};

    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        if (json_is_string(places[i]))
            return json_string_value(places[i]);
    }
    return "";
}

static int openai_fill_refusal(const struct worker *worker, enum err_kind kind, int status,
                               const json_t *body, struct err *err)
{
    const char *message = openai_message(body);

    return err_set(err, kind, "worker %s answered %d%s%.*s", worker->name, status,
                   message[0] == '\0' ? "" : ": ", OPENAI_MESSAGE_MAX_BYTES, message);
}

/* About our token, so nothing of it is passed on: a server may quote the token it refuses. */
static int openai_fill_unauthorized(const struct worker *worker, int status, struct err *err)
{
    return err_set(err, ERR_PROTOCOL, "worker %s answered %d: %s", worker->name, status,
                   worker->process.token[0] == '\0'
                       ? "it wants a token, and its command does not take {token_file}"
                       : "it does not take the token of its {token_file}");
}

static bool openai_says_too_long(const json_t *body)
{
    static const char *const WORDS[] = {"context length", "context size", "context window"};
    const char *message = openai_message(body);

    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (strcasestr(message, WORDS[i]) != NULL)
            return true;
    }
    return false;
}

/* The refusal STATUS with BODY (NULL: no JSON) as a failure of ours. */
static int openai_fail(const struct worker *worker, int status, const json_t *body, struct err *err)
{
    static const struct {
        int status;
        enum err_kind kind;
    } KINDS[] = {
        {400, ERR_INVALID},  {413, ERR_BODY_TOO_LARGE},  {422, ERR_INVALID}, {429, ERR_BUSY},
        {500, ERR_INTERNAL}, {501, ERR_NOT_IMPLEMENTED}, {503, ERR_BUSY},
    };
    enum err_kind kind = ERR_PROTOCOL;

    if (status == 401 || status == 403)
        return openai_fill_unauthorized(worker, status, err);
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (KINDS[i].status == status)
            kind = KINDS[i].kind;
    }
    if (kind != ERR_PROTOCOL && openai_says_too_long(body))
        kind = ERR_PROMPT_TOO_LONG;
    return openai_fill_refusal(worker, kind, status, body, err);
}

/* ---- ready and alive ---- */

static const char *openai_model_name(const struct worker *worker)
{
    return worker->facts.model_name[0] != '\0' ? worker->facts.model_name : worker->name;
}

static void openai_ask_canary(const struct worker *worker, struct dialect_ask *out)
{
    bool is_chat = !worker->facts.lacks_chat;
    AUTO_JSON json_t *body = openai_body_of_canary(openai_model_name(worker), is_chat);

    *out = (struct dialect_ask){
        .method = HTTP_POST, .target = is_chat ? CHAT : TEXT, .body = json_to_text(body)};
}

/* A server that counts its tokens and has none has not computed. */
static int openai_take_canary(const struct worker *worker, int status, const json_t *body,
                              struct err *err)
{
    const json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
    const json_t *count = json_object_get(json_object_get(body, "usage"), "completion_tokens");

    if (status != 200)
        return openai_fail(worker, status, body, err);
    if (!json_is_object(choice) || (json_is_integer(count) && json_integer_value(count) < 1))
        return err_set(err, ERR_PROTOCOL, "worker %s answered without a token", worker->name);
    return 0;
}

static void openai_ask_alive(const struct worker *worker, struct dialect_ask *out)
{
    *out = (struct dialect_ask){.method = HTTP_GET, .target = worker->health};
}

static void openai_ask_ready(const struct worker *worker, struct dialect_ask *out)
{
    switch (worker->load.step) {
    case OPENAI_STEP_HEALTH:
        *out = (struct dialect_ask){.method = HTTP_GET, .target = worker->health};
        break;
    case OPENAI_STEP_MODELS:
        *out = (struct dialect_ask){.method = HTTP_GET, .target = "/v1/models"};
        break;
    default:
        openai_ask_canary(worker, out);
        break;
    }
}

static bool openai_is_name_of(const struct worker *worker, const char *name)
{
    return strcmp(name, worker->name) == 0 || strcmp(name, worker->model) == 0 ||
           strcmp(name, worker->model_path) == 0;
}

/* Some servers answer only to the name that they have given their model: it is the worker's, or the
 * model's, or else the first that they tell. */
static void openai_read_models(struct worker *worker, const json_t *body)
{
    const json_t *list = json_object_get(body, "data");
    const char *first = NULL;
    const json_t *model = NULL;
    size_t index = 0;

    json_array_foreach(list, index, model)
    {
        const char *name = json_string_value(json_object_get(model, "id"));

        if (name == NULL || name[0] == '\0' || strlen(name) > WORKER_MODEL_NAME_MAX_BYTES)
            continue;
        if (first == NULL || openai_is_name_of(worker, name))
            first = name;
        if (first == name && openai_is_name_of(worker, name))
            break;
    }
    if (first != NULL)
        memcpy(worker->facts.model_name, first, strlen(first) + 1);
}

static enum dialect_verdict openai_take_first_token(struct worker *worker, int status,
                                                    const json_t *body)
{
    struct err err = ERR_INIT;

    if (openai_take_canary(worker, status, body, &err) == 0)
        return DIALECT_READY;
    (void)snprintf(worker->load.note, sizeof(worker->load.note), "%s", err.message);
    /* No such route, or a model without a chat template: it may complete texts. */
    if (!worker->facts.lacks_chat && (status == 404 || status == 405 || status == 501)) {
        worker->facts.lacks_chat = true;
        return DIALECT_GO_ON;
    }
    worker->load.poll_interval_ms = OPENAI_TOKEN_RETRY_MS;
    return DIALECT_NOT_YET;
}

static enum dialect_verdict openai_take_ready(struct worker *worker, int status, const json_t *body)
{
    switch (worker->load.step) {
    case OPENAI_STEP_HEALTH:
        (void)snprintf(worker->load.note, sizeof(worker->load.note), "%.200s answered %d",
                       worker->health, status);
        if (status != 200)
            return DIALECT_NOT_YET;
        worker->load.step = OPENAI_STEP_MODELS;
        return DIALECT_GO_ON;
    case OPENAI_STEP_MODELS:
        openai_read_models(worker, body); /* many have no such route */
        worker->load.step = OPENAI_STEP_TOKEN;
        return DIALECT_GO_ON;
    default:
        return openai_take_first_token(worker, status, body);
    }
}

/* ---- inference: there ---- */

/* Fields that are none of ours are not passed on, and that is said. */
static json_t *openai_warnings(const json_t *body)
{
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request parsed;
    struct err ignored = ERR_INIT; /* it has been read before */
    json_t *warnings = json_array();

    (void)inference_parse(body, &parsed, unknown, &ignored);
    for (size_t i = 0; i < json_array_size(unknown) && i < OPENAI_WARNING_MAX_COUNT; i++)
        (void)json_array_append_new(warnings,
                                    json_sprintf("unknown field \"%s\" is ignored",
                                                 json_string_value(json_array_get(unknown, i))));
    return warnings;
}

/* A server without a chat route gets a prompt as it stands; messages it refuses itself. */
static bool openai_is_chat(const struct request *request)
{
    bool has_messages = json_is_array(json_object_get(request->body, "messages"));

    return has_messages || !(json_is_true(json_object_get(request->body, "raw")) ||
                             request->worker->facts.lacks_chat);
}

/* Without our ids: some servers refuse an X-Request-Id that is no UUID. */
static void openai_ask_inference(struct request *request, struct dialect_ask *out)
{
    bool is_chat = openai_is_chat(request);
    AUTO_JSON json_t *body =
        openai_body(request->body, openai_model_name(request->worker), is_chat);

    request->warnings = openai_warnings(request->body);
    *out = (struct dialect_ask){
        .method = HTTP_POST, .target = is_chat ? CHAT : TEXT, .body = json_to_text(body)};
}

/* ---- inference: back ---- */

static int openai_start(struct request *request, struct err *err)
{
    AUTO_JSON json_t *event = json_pack("{s:s, s:s, s:s}", "type", "started", "id", request->id,
                                        "model", request->worker->name);

    proxy_add_warnings(request, event);
    return proxy_start(request, event, err);
}

static int openai_send_token(struct request *request, const char *text, struct err *err)
{
    AUTO_JSON json_t *event = json_pack("{s:s, s:s, s:I}", "type", "token", "t", text, "i",
                                        (json_int_t)request->event_count++);
    AUTO_FREE char *line = json_to_text(event);

    return proxy_token(request, line, strlen(line), err);
}

static int openai_take_text(struct request *request, const char *text, struct err *err)
{
    if (text == NULL || text[0] == '\0')
        return 0; /* the role, or the reason of the end */
    if (request->stop_reason[0] != '\0')
        return err_set(err, ERR_PROTOCOL, "worker %s sent a token after its last one",
                       request->worker->name);
    return request->is_stream ? openai_send_token(request, text, err)
                              : proxy_keep_token(request, text, strlen(text), err);
}

/* What a model thinks is work, but none of the answer. */
static void openai_take_thoughts(struct request *request, const json_t *delta)
{
    const char *thoughts = json_string_value(json_object_get(delta, "reasoning_content"));

    if (thoughts == NULL)
        thoughts = json_string_value(json_object_get(delta, "reasoning"));
    if (thoughts != NULL && thoughts[0] != '\0')
        proxy_count_token(request);
}

/* vLLM tells the stop string that was met. Of the reasons that we have no name for (a filter, a
 * call of a tool) each is the model's own end. */
static void openai_take_reason(struct request *request, const json_t *choice)
{
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    const char *stop_reason = "stop";

    if (reason == NULL)
        return;
    if (strcmp(reason, "length") == 0)
        stop_reason = "length";
    else if (json_is_string(json_object_get(choice, "stop_reason")))
        stop_reason = "stop_string";
    (void)snprintf(request->stop_reason, sizeof(request->stop_reason), "%s", stop_reason);
}

static int openai_take_choice(struct request *request, const json_t *choice, struct err *err)
{
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *text =
        delta != NULL ? json_object_get(delta, "content") : json_object_get(choice, "text");

    openai_take_thoughts(request, delta);
    if (openai_take_text(request, json_string_value(text), err) != 0)
        return -1;
    openai_take_reason(request, choice);
    return 0;
}

/* Counts of the server, which knows better than we who count events. */
static void openai_take_usage(struct request *request, const json_t *event)
{
    const json_t *usage = json_object_get(event, "usage");
    const json_t *prompt = json_object_get(usage, "prompt_tokens");
    const json_t *completion = json_object_get(usage, "completion_tokens");

    if (json_is_integer(prompt) && json_integer_value(prompt) >= 0)
        request->prompt_tokens = json_integer_value(prompt);
    if (json_is_integer(completion) && json_integer_value(completion) >= 0)
        request->token_count = json_integer_value(completion);
}

static json_t *openai_timings(const struct request *request)
{
    uint64_t now_us = clock_monotonic_us();
    uint64_t first_us = request->first_token_us != 0 ? request->first_token_us : now_us;
    double prefill_ms = (double)(first_us - request->dispatched_us) / 1000;

    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "queue_ms", 0.0, "load_ms", 0.0, "prefill_ms",
                     prefill_ms, "decode_ms", (double)(now_us - first_us) / 1000, "first_token_ms",
                     prefill_ms);
}

static int openai_end(struct request *request, struct err *err)
{
    AUTO_JSON json_t *result =
        request->is_stream ? json_pack("{s:s}", "type", "end") : proxy_whole(request);
    bool has_prompt_tokens = request->prompt_tokens >= 0; /* unknown is not zero */
    struct proxy_waits waits;
    json_t *usage = json_pack("{s:o, s:I}", "prompt_tokens",
                              has_prompt_tokens ? json_integer((json_int_t)request->prompt_tokens)
                                                : json_null(),
                              "completion_tokens", (json_int_t)request->token_count);

    (void)json_object_set_new(result, "stop_reason", json_string(request->stop_reason));
    (void)json_object_set_new(result, "usage", usage);
    (void)json_object_set_new(result, "timings", openai_timings(request));
    if (request->has_started && request->stop_reason[0] == '\0')
        return err_set(err, ERR_PROTOCOL, "worker %s ended without a finish_reason",
                       request->worker->name);
    if (proxy_take_end(request, result, &waits, err) != 0)
        return -1;
    proxy_finish(request, result, &waits);
    return 0;
}

/* An error within a stream has its status inside, or none. */
static int openai_take_error(struct request *request, const json_t *event, struct err *err)
{
    const json_t *error = json_object_get(event, "error");
    const json_t *code = json_object_get(error != NULL ? error : event, "code");

    return openai_fail(request->worker, json_is_integer(code) ? (int)json_integer_value(code) : 500,
                       event, err);
}

static int openai_take_event(struct request *request, const char *text, size_t len, struct err *err)
{
    AUTO_JSON json_t *event = NULL;
    const char *object = NULL;
    const json_t *choices = NULL;

    if (strcmp(text, "[DONE]") == 0)
        return openai_end(request, err);
    event = proxy_parse_event(request, text, len, err);
    if (event == NULL)
        return -1;
    object = json_string_value(json_object_get(event, "object"));
    choices = json_object_get(event, "choices");
    if (json_object_get(event, "error") != NULL || (object != NULL && strcmp(object, "error") == 0))
        return openai_take_error(request, event, err);
    if (!json_is_array(choices))
        return err_set(err, ERR_PROTOCOL, "worker %s sent an event of no known form",
                       request->worker->name);
    if (!request->has_started && openai_start(request, err) != 0)
        return -1;
    if (openai_take_choice(request, json_array_get(choices, 0), err) != 0)
        return -1;
    openai_take_usage(request, event);
    return 0;
}

static void openai_take_refusal(const struct request *request, struct err *err)
{
    AUTO_JSON json_t *reply = proxy_parse_reply(request);

    (void)openai_fail(request->worker, request->reply_status, reply, err);
}

/* ---- exit ---- */

static int openai_exit_code(int code)
{
    return code == EXIT_NOT_EXECUTABLE || code == EXIT_NOT_FOUND ? code : EXIT_FAILURE;
}

static const char *openai_exit_meaning(int code)
{
    if (code == EXIT_NOT_FOUND)
        return " (a program of the command was not found)";
    return code == EXIT_NOT_EXECUTABLE ? " (a program of the command cannot be executed)" : "";
}

const struct worker_dialect DIALECT_OPENAI = {
    .tells_progress = false,
    .tells_logprobs = false,
    .ask_ready = openai_ask_ready,
    .take_ready = openai_take_ready,
    .ask_alive = openai_ask_alive,
    .ask_canary = openai_ask_canary,
    .take_canary = openai_take_canary,
    .ask_inference = openai_ask_inference,
    .take_event = openai_take_event,
    .take_refusal = openai_take_refusal,
    .exit_code = openai_exit_code,
    .exit_meaning = openai_exit_meaning,
};

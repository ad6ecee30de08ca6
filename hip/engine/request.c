/* Owns one request's way from queued to done. Knows the model's text and its numbers, but neither
 * HTTP nor which other requests there are. */
#include "hip/engine/request.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "hip/text/chat_template.h"
#include "hip/text/recommended.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What one token may make visible. Six bytes of JSON for each of these still fit one event
 * (SSE_EVENT_MAX_BYTES); real pieces have a few bytes, a damaged vocabulary could have any. */
enum { REQUEST_TEXT_MAX_BYTES = 128 * 1024 };

static const char *const STOP_REASON_NAMES[] = {
    [ENGINE_STOP_END] = "stop",
    [ENGINE_STOP_LENGTH] = "length",
    [ENGINE_STOP_STRING] = "stop_string",
    [ENGINE_STOP_CANCELLED] = "cancelled",
};

const char *engine_stop_reason_name(enum engine_stop_reason reason)
{
    assert(reason < ARRAY_COUNT(STOP_REASON_NAMES));
    return STOP_REASON_NAMES[reason];
}

void engine_outcome_spent(const struct engine_outcome *outcome, struct deadline_spent *out)
{
    *out = (struct deadline_spent){.phase = outcome->phase,
                                   .us = {[DEADLINE_QUEUE] = outcome->queue_us,
                                          [DEADLINE_PREFILL] = outcome->prefill_us,
                                          [DEADLINE_DECODE] = outcome->decode_us}};
}

struct engine_request *engine_request_new(struct mailbox *mailbox,
                                          const struct inference_request *asked, json_t *body,
                                          void *user)
{
    struct engine_request *request = xcalloc(1, sizeof(*request));

    request->mailbox = mailbox;
    mailbox_slot_init(&request->slot);
    request->asked = *asked;
    request->body = body;
    request->user = user;
    token_list_init(&request->tokens, 0); /* its room depends on the context */
    buf_init(&request->text, REQUEST_TEXT_MAX_BYTES);
    request->submitted_us = clock_monotonic_us();
    return request;
}

void engine_request_delete(struct engine_request *request)
{
    if (request == NULL)
        return;
    mailbox_slot_release(&request->slot);
    sampler_free(request->sampler);
    text_output_free(request->output);
    untold_free(request->untold);
    buf_release(&request->text);
    token_list_release(&request->tokens);
    json_decref(request->body);
    free(request);
}

/* ---- preparing ---- */

static int request_make_tokens(struct engine_request *request, const struct runtime *runtime,
                               struct err *err)
{
    const struct inference_request *asked = &request->asked;
    AUTO_JSON json_t *messages = NULL;

    if (asked->raw)
        return chat_format_raw(runtime->vocab, asked->prompt, strlen(asked->prompt),
                               &request->tokens, err);
    if (asked->messages != NULL)
        return chat_format_render(runtime->format, runtime->vocab, asked->messages,
                                  &request->tokens, err);
    messages = json_pack("[{s:s, s:s}]", "role", "user", "content", asked->prompt);
    if (messages == NULL)
        return err_set(err, ERR_INVALID_UTF8, "the prompt is not valid UTF-8");
    return chat_format_render(runtime->format, runtime->vocab, messages, &request->tokens, err);
}

/* Others wait while this runs: tokens far beyond the context are not counted. */
static int request_tokenize(struct engine_request *request, const struct runtime *runtime,
                            struct err *err)
{
    size_t most = (size_t)ENGINE_PROMPT_COUNTED_CONTEXTS * runtime->context_tokens;

    request->tokens.max = most;
    if (request_make_tokens(request, runtime, err) == 0)
        return 0;
    if (err->kind != ERR_PROMPT_TOO_LONG)
        return -1;
    request->outcome.prompt_tokens = (uint32_t)(most + 1);
    return err_set(err, ERR_PROMPT_TOO_LONG,
                   "the prompt has at least %zu tokens, the context %u, of which one is kept for "
                   "the answer",
                   most + 1, runtime->context_tokens);
}

/* A prompt that fills the context leaves no place for the token that follows it. */
static int request_check_room(struct engine_request *request, const struct runtime *runtime,
                              struct err *err)
{
    size_t prompt_tokens = request->tokens.count;
    int64_t asked_tokens = request->asked.max_tokens;

    if (prompt_tokens == 0)
        return err_set(err, ERR_INVALID_FIELD, "prompt must hold at least one token");
    request->outcome.prompt_tokens = (uint32_t)prompt_tokens;
    if (prompt_tokens >= runtime->context_tokens)
        return err_set(err, ERR_PROMPT_TOO_LONG,
                       "the prompt has %zu tokens, the context %u, of which one is kept for the "
                       "answer",
                       prompt_tokens, runtime->context_tokens);
    request->token_limit = runtime->context_tokens - (uint32_t)prompt_tokens;
    if (asked_tokens >= 0 && asked_tokens < (int64_t)request->token_limit)
        request->token_limit = (uint32_t)asked_tokens;
    assert(request->token_limit > 0); /* inference_parse() refuses to be asked for none */
    return 0;
}

/* The request's logit_bias to OUT [count]. */
static int request_read_biases(const struct inference_request *asked, uint32_t vocab_count,
                               struct sampler_bias *out, struct err *err)
{
    /* Read only; jansson's iteration wants a pointer that is not const. */
    json_t *biases = (json_t *)(uintptr_t)asked->logit_bias;
    const char *token = NULL;
    json_t *value = NULL;
    size_t count = 0;

    json_object_foreach(biases, token, value)
    {
        unsigned long id = strtoul(token, NULL, 10); /* inference_parse has looked */

        if (id >= vocab_count)
            return err_set(err, ERR_INVALID_FIELD,
                           "logit_bias: the model has %u tokens, and none is number %lu",
                           vocab_count, id);
        out[count++] = (struct sampler_bias){(uint32_t)id, (float)json_number_value(value)};
    }
    return 0;
}

static struct sampler_params request_sampler_params(const struct inference_request *asked)
{
    return (struct sampler_params){
        .temperature = (float)asked->temperature,
        .top_p = (float)asked->top_p,
        .min_p = (float)asked->min_p,
        .repeat_penalty = (float)asked->repeat_penalty,
        .frequency_penalty = (float)asked->frequency_penalty,
        .presence_penalty = (float)asked->presence_penalty,
        .typical_p = (float)asked->typical_p,
        .mirostat = (uint32_t)asked->mirostat,
        .mirostat_tau = (float)asked->mirostat_tau,
        .mirostat_eta = (float)asked->mirostat_eta,
        .top_k = (uint32_t)asked->top_k,
        .seed = (uint64_t)asked->seed,
    };
}

static int request_make_sampler(struct engine_request *request, const struct runtime *runtime,
                                struct err *err)
{
    struct inference_request *asked = &request->asked;
    struct sampler_bias biases[INFERENCE_BIAS_MAX_COUNT];
    /* Rows beyond the vocabulary are padding: they are no tokens and are not drawn. */
    uint32_t token_count = vocab_count(runtime->vocab);
    size_t count = request->tokens.count;
    struct sampler_params params;

    recommended_apply(model_gguf(runtime->model), asked);
    params = request_sampler_params(asked);
    params.biases = biases;
    params.bias_count = json_object_size(asked->logit_bias);
    if (request_read_biases(asked, token_count, biases, err) < 0)
        return -1;
    if (asked->seed < 0 &&
        getrandom(&params.seed, sizeof(params.seed), 0) != (ssize_t)sizeof(params.seed))
        return err_set(err, ERR_INTERNAL, "draw a seed: %m");
    request->sampler = sampler_new(&params, token_count);
    for (size_t i = count > SAMPLER_REPEAT_WINDOW ? count - SAMPLER_REPEAT_WINDOW : 0; i < count;
         i++)
        sampler_accept(request->sampler, request->tokens.ids[i]);
    return 0;
}

/* It has become tokens and a sampler. As a tree it may be many times as large as it was on the
 * wire, and a request can wait long. */
static void request_forget_body(struct engine_request *request)
{
    json_decref(request->body);
    request->body = NULL;
    request->asked = (struct inference_request){0}; /* it borrowed */
}

void engine_request_prepare(struct engine_request *request, const struct runtime *runtime)
{
    struct err err = ERR_INIT;

    if (request_tokenize(request, runtime, &err) < 0 ||
        request_check_room(request, runtime, &err) < 0 ||
        request_make_sampler(request, runtime, &err) < 0) {
        engine_request_fail(request, &err);
        return;
    }
    request->output =
        text_output_new(runtime->vocab, request->asked.stop, request->asked.stop_count);
    if (!request->asked.raw)
        text_output_begin_text(request->output);
    if (request->asked.logprobs >= 0)
        request->untold =
            untold_new((uint32_t)request->asked.logprobs, vocab_count(runtime->vocab));
    request_forget_body(request);
}

/* ---- running ---- */

void engine_request_begin(struct engine_request *request, uint32_t sequence, uint32_t held)
{
    assert(request->state == REQUEST_QUEUED && held < request->tokens.count);
    request->state = REQUEST_PREFILL;
    request->sequence = sequence;
    request->computed_tokens = held;
    if (request->began_us > 0) /* it was interrupted, and goes on */
        return;
    request->began_us = clock_monotonic_us();
    request->outcome.cached_tokens = held;
    mailbox_deliver(request->mailbox, request,
                    &(struct engine_event){.kind = ENGINE_EVENT_STARTED});
}

void engine_request_interrupt(struct engine_request *request)
{
    assert(request->state == REQUEST_PREFILL || request->state == REQUEST_DECODE);
    request->state = REQUEST_QUEUED;
}

bool engine_request_is_paused(const struct engine_request *request)
{
    return mailbox_is_full(request->mailbox, request);
}

uint32_t engine_request_add_rows(struct engine_request *request, struct batch_row *rows,
                                 uint32_t limit)
{
    assert(request->state == REQUEST_PREFILL || request->state == REQUEST_DECODE);
    request->step_rows = 0;
    if (limit == 0 || engine_request_is_paused(request))
        return 0;
    for (uint32_t position = request->computed_tokens;
         position < request->tokens.count && request->step_rows < limit; position++)
        rows[request->step_rows++] =
            (struct batch_row){.token = request->tokens.ids[position],
                               .position = position,
                               .sequence = request->sequence,
                               .wants_logits = position + 1 == request->tokens.count,
                               .is_decode = request->state == REQUEST_DECODE};
    return request->step_rows;
}

bool engine_request_wants_logits(const struct engine_request *request)
{
    return request->step_rows > 0 &&
           request->computed_tokens + request->step_rows == request->tokens.count;
}

uint32_t engine_request_picked_count(const struct engine_request *request)
{
    return request->untold != NULL ? 0 : sampler_picked_count(request->sampler);
}

/* An event for each token whose text is shown. What is left is shown with a token that also has
 * text which is held back. */
static void request_show_tokens(struct engine_request *request, enum untold_until until)
{
    struct buf *text = &request->text;
    struct untold_token token;

    while (untold_next(request->untold, text->len, until, &token)) {
        mailbox_deliver(request->mailbox, request,
                        &(struct engine_event){.kind = ENGINE_EVENT_TEXT,
                                               .text = text->data,
                                               .text_len = token.text_len,
                                               .logprobs = token.logprobs,
                                               .logprob_count = token.count});
        buf_consume(text, token.text_len);
    }
}

static void request_show_text(struct engine_request *request, enum untold_until until)
{
    if (request->untold != NULL) {
        request_show_tokens(request, until);
        return;
    }
    if (request->text.len > 0)
        mailbox_deliver(request->mailbox, request,
                        &(struct engine_event){.kind = ENGINE_EVENT_TEXT,
                                               .text = request->text.data,
                                               .text_len = request->text.len});
    buf_clear(&request->text);
}

static void request_close(struct engine_request *request)
{
    struct engine_outcome *outcome = &request->outcome;
    uint64_t now_us = clock_monotonic_us();
    uint64_t began_us = request->began_us > 0 ? request->began_us : now_us;
    uint64_t prefilled_us = request->prefilled_us > 0 ? request->prefilled_us : now_us;

    assert(request->state != REQUEST_DONE);
    request->state = REQUEST_DONE;
    outcome->phase = request->began_us == 0       ? DEADLINE_QUEUE
                     : request->prefilled_us == 0 ? DEADLINE_PREFILL
                                                  : DEADLINE_DECODE;
    outcome->queue_us = began_us - request->submitted_us;
    outcome->prefill_us = prefilled_us - began_us;
    outcome->decode_us = now_us - prefilled_us;
}

static void request_end(struct engine_request *request, enum engine_stop_reason reason)
{
    request_close(request);
    request->outcome.stop_reason = reason;
}

/* Ends with what was held back, since no more comes that could make it a stop string. */
static int request_flush(struct engine_request *request, enum engine_stop_reason reason,
                         struct err *err)
{
    if (text_output_flush(request->output, &request->text, err) < 0)
        return -1;
    request_show_text(request, UNTOLD_ENDED);
    request_end(request, reason);
    return 0;
}

/* For its log-probabilities, where they are wanted. */
static int request_note_token(struct engine_request *request, uint32_t token, struct err *err)
{
    struct text_extent extent;

    if (request->untold == NULL)
        return 0;
    extent = text_output_extent(request->output);
    return untold_add(request->untold, token, &extent, err);
}

static int request_take_token(struct engine_request *request, uint32_t token, struct err *err)
{
    bool is_stopped = false;

    if (token_list_add(&request->tokens, token, err) < 0)
        return -1;
    request->outcome.completion_tokens++;
    sampler_accept(request->sampler, token);
    if (text_output_push(request->output, token, &request->text, &is_stopped, err) < 0 ||
        request_note_token(request, token, err) < 0)
        return -1;
    if (is_stopped) {
        request_show_text(request, UNTOLD_STOPPED);
        request_end(request, ENGINE_STOP_STRING);
        return 0;
    }
    if (request->outcome.completion_tokens == request->token_limit)
        return request_flush(request, ENGINE_STOP_LENGTH, err);
    request_show_text(request, UNTOLD_SHOWN);
    return 0;
}

static int request_sample(struct engine_request *request, const struct runtime *runtime,
                          const struct row_logits *logits, struct err *err)
{
    uint32_t token = 0;

    if (request->untold != NULL)
        untold_keep(request->untold, logits->all);
    if ((logits->all != NULL
             ? sampler_pick(request->sampler, logits->all, &token, err)
             : sampler_pick_from(request->sampler, logits->picked, &token, err)) < 0)
        return -1;
    if (request->outcome.first_token_us == 0)
        request->outcome.first_token_us = clock_monotonic_us() - request->submitted_us;
    if (vocab_is_end(runtime->vocab, token))
        return request_flush(request, ENGINE_STOP_END, err);
    return request_take_token(request, token, err);
}

void engine_request_advance(struct engine_request *request, const struct runtime *runtime,
                            const struct row_logits *logits)
{
    struct err err = ERR_INIT;

    request->computed_tokens += request->step_rows;
    if (request->computed_tokens < request->tokens.count)
        return;
    request->state = REQUEST_DECODE;
    if (request->prefilled_us == 0)
        request->prefilled_us = clock_monotonic_us();
    if (request_sample(request, runtime, logits, &err) < 0)
        engine_request_fail(request, &err);
}

/* ---- ending ---- */

/* Shows what was held back, as far as that is possible. */
static void request_show_rest(struct engine_request *request)
{
    struct err ignored = ERR_INIT; /* it ends anyway, and for another reason */

    if (request->output != NULL &&
        text_output_flush(request->output, &request->text, &ignored) == 0)
        request_show_text(request, UNTOLD_ENDED);
}

void engine_request_abandon(struct engine_request *request)
{
    request_show_rest(request);
    request_end(request, ENGINE_STOP_CANCELLED);
}

void engine_request_fail(struct engine_request *request, const struct err *error)
{
    request_show_rest(request);
    request_close(request);
    request->outcome.error = *error;
}

void engine_request_miss_deadline(struct engine_request *request)
{
    struct deadline_spent spent;

    request_show_rest(request);
    request_close(request);
    engine_outcome_spent(&request->outcome, &spent);
    (void)deadline_fail(&spent, &request->outcome.error);
}

void engine_request_hand_back(struct engine_request *request)
{
    bool has_failed = err_is_set(&request->outcome.error);

    assert(request->state == REQUEST_DONE);
    mailbox_deliver(
        request->mailbox, request,
        &(struct engine_event){.kind = has_failed ? ENGINE_EVENT_ERROR : ENGINE_EVENT_END});
}

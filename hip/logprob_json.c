/* Owns the form of log-probabilities on the wire. Computes none. */
#include "hip/logprob_json.h"

#include "common/http/sse.h"
#include "common/json.h"
#include "hip/engine/engine.h"

#include <assert.h>

enum {
    /* What json_parse() counts of a token without its bytes: {, [ and a comma for each field, the
     * last one before the next token. */
    TOKEN_VALUE_COUNT = 2 + 4,
    TOP_VALUE_COUNT = 2, /* "top" and its [ */
};

/* A byte has six characters as text ("\\u0000") and four in the list ("255,"). The answer's own
 * text takes at most three quarters of the event (REQUEST_TEXT_MAX_BYTES). */
static_assert((1 + LOGPROBS_TOP_MAX_COUNT) * LOGPROB_TOKEN_MAX_BYTES * (6 + 4) <
                  SSE_EVENT_MAX_BYTES / 4,
              "an event with log-probabilities is an event");

static json_t *bytes_json(const char *bytes, size_t len)
{
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++)
        (void)json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    return list;
}

static json_t *token_json(const struct engine *engine, const struct logprob *logprob,
                          size_t *value_count)
{
    size_t len = 0;
    const char *bytes = engine_token_bytes(engine, logprob->token, &len);

    len = len < LOGPROB_TOKEN_MAX_BYTES ? len : LOGPROB_TOKEN_MAX_BYTES;
    *value_count += TOKEN_VALUE_COUNT + len;
    return json_pack("{s:o, s:o, s:I, s:f}", "token", json_text_lossy(bytes, len), "bytes",
                     bytes_json(bytes, len), "id", (json_int_t)logprob->token, "logprob",
                     logprob->value);
}

json_t *logprob_json(const struct engine *engine, const struct engine_event *event,
                     size_t *value_count)
{
    json_t *token = token_json(engine, &event->logprobs[0], value_count);
    json_t *top = json_array();

    assert(event->logprob_count > 0);
    *value_count += TOP_VALUE_COUNT;
    for (uint32_t i = 1; i < event->logprob_count; i++)
        (void)json_array_append_new(top, token_json(engine, &event->logprobs[i], value_count));
    (void)json_object_set_new(token, "top", top);
    return token;
}

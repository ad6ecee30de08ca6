/* A token's log-probabilities as an answer has them: {"token", "bytes", "id", "logprob", "top"},
 * where top is a list of the likeliest tokens, each with the same fields but for top. */
#ifndef RBEE_HIP_LOGPROB_JSON_H
#define RBEE_HIP_LOGPROB_JSON_H

#include <jansson.h>
#include <stddef.h>

enum {
    /* Of a token's text. A real one has fewer; one of a damaged vocabulary may have any number, and
     * is cut: the event with it must stay an event (SSE_EVENT_MAX_BYTES). */
    LOGPROB_TOKEN_MAX_BYTES = 1024,
};

struct engine;
struct engine_event;

/* Of the token of EVENT, which has log-probabilities. A new reference. *VALUE_COUNT rises by what
 * json_parse() will count in it. */
json_t *logprob_json(const struct engine *engine, const struct engine_event *event,
                     size_t *value_count);

#endif

/* Owns how our fields are called by others. Knows neither workers nor HTTP. */
#include "supervisor/openai_body.h"

#include "common/attr.h"

#include <stddef.h>

/* One of ours may have several names: what a server does not know, it ignores. */
static const struct {
    const char *ours;
    const char *theirs;
} FIELDS[] = {
    {"temperature", "temperature"},
    {"top_p", "top_p"},
    {"top_k", "top_k"},
    {"min_p", "min_p"},
    {"repeat_penalty", "repeat_penalty"},     /* llama.cpp */
    {"repeat_penalty", "repetition_penalty"}, /* vLLM */
    {"frequency_penalty", "frequency_penalty"},
    {"presence_penalty", "presence_penalty"},
    {"logit_bias", "logit_bias"},
    {"typical_p", "typical_p"},
    {"mirostat", "mirostat"},
    {"mirostat_tau", "mirostat_tau"},
    {"mirostat_eta", "mirostat_eta"},
    {"stop", "stop"},
};

/* Where ours are -1 for "not set", theirs are left out. */
static const char *const UNSET_BELOW_ZERO[] = {"max_tokens", "seed"};

static void openai_set(json_t *out, const char *field, json_t *value)
{
    if (value != NULL && !json_is_null(value))
        (void)json_object_set(out, field, value);
}

static void openai_set_prompt(json_t *out, json_t *prompt, bool is_chat)
{
    json_t *message = NULL;

    if (!is_chat) {
        (void)json_object_set(out, "prompt", prompt);
        return;
    }
    message = json_pack("{s:s, s:O}", "role", "user", "content", prompt);
    (void)json_object_set_new(out, "messages", json_pack("[o]", message));
}

json_t *openai_body(const json_t *body, const char *model, bool is_chat)
{
    json_t *out = json_pack("{s:s}", "model", model);
    json_t *messages = json_object_get(body, "messages");

    if (json_is_array(messages))
        (void)json_object_set(out, "messages", messages);
    else
        openai_set_prompt(out, json_object_get(body, "prompt"), is_chat);
    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++)
        openai_set(out, FIELDS[i].theirs, json_object_get(body, FIELDS[i].ours));
    for (size_t i = 0; i < ARRAY_COUNT(UNSET_BELOW_ZERO); i++) {
        json_t *value = json_object_get(body, UNSET_BELOW_ZERO[i]);

        if (json_is_integer(value) && json_integer_value(value) >= 0)
            openai_set(out, UNSET_BELOW_ZERO[i], value);
    }
    (void)json_object_set_new(out, "stream", json_true());
    (void)json_object_set_new(out, "stream_options", json_pack("{s:b}", "include_usage", 1));
    return out;
}

json_t *openai_body_of_canary(const char *model, bool is_chat)
{
    json_t *out = json_pack("{s:s, s:i, s:i, s:b}", "model", model, "max_tokens", 1, "temperature",
                            0, "stream", 0);
    json_t *prompt = json_string("1");

    openai_set_prompt(out, prompt, is_chat);
    json_decref(prompt);
    return out;
}

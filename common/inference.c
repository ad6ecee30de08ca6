/* Owns the fields of an inference and what each may be. Must not know models, tokens or HTTP. */
#include "common/inference.h"

#include "common/device_name.h"
#include "common/json.h"
#include "common/kv_type.h"
#include "common/utf8.h"

#include <assert.h>
#include <string.h>

enum {
    INFERENCE_MODEL_MAX_BYTES = 4096,   /* a name or a path: PATH_MAX */
    INFERENCE_UNKNOWN_MAX_COUNT = 16,   /* names in a warning: the body may hold thousands */
    INFERENCE_UNKNOWN_MAX_BYTES = 64,   /* of one of them */
    INFERENCE_TOKEN_MAX_DIGITS = 9,     /* no vocabulary has a billion tokens */
    INFERENCE_MESSAGE_FIELD_BYTES = 40, /* "messages[1023].content" */
};

/* ---- one field ---- */

enum inference_bounds { BOUNDS_CLOSED, BOUNDS_OPEN };

static int inference_read_BOOL(const json_t *body, const char *field, enum inference_bounds bounds,
                               int64_t min, int64_t max, bool *out, struct err *err)
{
    return json_read_bool(body, field, out, err);
}

static int inference_read_INTEGER(const json_t *body, const char *field,
                                  enum inference_bounds bounds, int64_t min, int64_t max,
                                  int64_t *out, struct err *err)
{
    return json_read_integer(body, field, min, max, out, err);
}

static int inference_read_NUMBER(const json_t *body, const char *field,
                                 enum inference_bounds bounds, int64_t min, int64_t max,
                                 double *out, struct err *err)
{
    double number = *out;

    if (json_read_number(body, field, (double)min, (double)max, &number, err) < 0)
        return -1;
    if (bounds == BOUNDS_OPEN && number <= (double)min)
        return err_set(err, ERR_INVALID_FIELD,
                       "%s must be a number above %.15g, up to %.15g, not %.15g", field,
                       (double)min, (double)max, number);
    *out = number;
    return 0;
}

static const char *const PLAIN_FIELDS[INFERENCE_FIELD_COUNT] = {
#define FIELD(field, member, type, bounds, min, max) [INFERENCE_FIELD_##field] = #field,
#include "common/inference_fields.def"
#undef FIELD
};

/* COUNT: it is none of them. Their first letters tell most names apart. */
static size_t inference_find(const char *name, const char *const *names, size_t count)
{
    size_t i = 0;

    while (i < count && (names[i][0] != name[0] || strcmp(names[i], name) != 0))
        i++;
    return i;
}

/* Of the many fields there are, a body has a few: only those are read. */
static uint32_t inference_given(const json_t *body)
{
    uint32_t given = 0;
    const char *name = NULL;
    json_t *value = NULL;

    static_assert(INFERENCE_FIELD_COUNT <= 32, "each has a bit of inference_request.given");
    /* Read only; jansson's iteration wants a pointer that is not const. */
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        size_t field = inference_find(name, PLAIN_FIELDS, INFERENCE_FIELD_COUNT);

        if (field < INFERENCE_FIELD_COUNT && !json_is_null(value))
            given |= 1U << field;
    }
    return given;
}

static int inference_read_plain(const json_t *body, struct inference_request *out, struct err *err)
{
    out->given = inference_given(body);
#define FIELD(field, member, type, bounds, min, max)                                               \
    if ((out->given & 1U << INFERENCE_FIELD_##field) != 0 &&                                       \
        inference_read_##type(body, #field, BOUNDS_##bounds, min, max, &out->member, err) < 0)     \
        return -1;
#include "common/inference_fields.def"
#undef FIELD
    if (out->max_tokens == 0)
        return err_set(err, ERR_INVALID_FIELD, "max_tokens must be at least 1, or -1, not 0");
    return 0;
}

/* Text of 1 to MAX bytes; NULL when the field is not there. */
static int inference_read_name(const json_t *body, const char *field, size_t max, const char **out,
                               struct err *err)
{
    const char *text = NULL;

    if (json_read_text(body, field, &text, err) < 0)
        return -1;
    if (text != NULL && (text[0] == '\0' || strlen(text) > max))
        return err_set(err, ERR_INVALID_FIELD, "%s must have 1 to %zu bytes, not %zu", field, max,
                       strlen(text));
    *out = text;
    return 0;
}

/* Where it is to run, and how. */
static int inference_read_device(const json_t *body, struct inference_request *out, struct err *err)
{
    const char *device = NULL;

    if (kv_type_read(body, &out->kv_type, err) < 0 ||
        json_read_text(body, "device", &device, err) < 0 ||
        (device != NULL && device_name_check(device, ERR_INVALID_FIELD, err) < 0))
        return -1;
    out->device = device;
    return 0;
}

/* ---- stop ---- */

static int inference_add_stop(const json_t *value, struct inference_request *out, struct err *err)
{
    size_t len = json_string_length(value);

    if (!json_is_string(value))
        return err_set(err, ERR_INVALID_FIELD, "stop must be a text or an array of texts");
    if (len < 1 || len > INFERENCE_STOP_MAX_BYTES || strlen(json_string_value(value)) != len)
        return err_set(err, ERR_INVALID_FIELD,
                       "stop must be texts of 1 to %d bytes without NUL, not one of %zu",
                       INFERENCE_STOP_MAX_BYTES, len);
    out->stop[out->stop_count++] = json_string_value(value);
    return 0;
}

static int inference_read_stop(const json_t *body, struct inference_request *out, struct err *err)
{
    const json_t *stop = json_object_get(body, "stop");
    size_t count = json_array_size(stop);

    if (stop == NULL || json_is_null(stop))
        return 0;
    if (!json_is_array(stop))
        return inference_add_stop(stop, out, err);
    if (count > INFERENCE_STOP_MAX_COUNT)
        return err_set(err, ERR_INVALID_FIELD, "stop must be at most %d texts, not %zu",
                       INFERENCE_STOP_MAX_COUNT, count);
    for (size_t i = 0; i < count; i++) {
        if (inference_add_stop(json_array_get(stop, i), out, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- logit_bias ---- */

/* TEXT is a token's number. That the model has it is for its worker to see. */
static bool inference_is_token(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= INFERENCE_TOKEN_MAX_DIGITS && strspn(text, "0123456789") == len;
}

static int inference_read_bias(const json_t *body, struct inference_request *out, struct err *err)
{
    json_t *bias = json_object_get(body, "logit_bias");
    const char *token = NULL;
    json_t *value = NULL;

    if (bias == NULL || json_is_null(bias))
        return 0;
    if (!json_is_object(bias) || json_object_size(bias) > INFERENCE_BIAS_MAX_COUNT)
        return err_set(err, ERR_INVALID_FIELD,
                       "logit_bias must be an object of at most %d numbers by token",
                       INFERENCE_BIAS_MAX_COUNT);
    json_object_foreach(bias, token, value)
    {
        /* NaN and infinity are no JSON. */
        if (!inference_is_token(token) || !json_is_number(value) ||
            !(json_number_value(value) >= -INFERENCE_BIAS_MAX) ||
            !(json_number_value(value) <= INFERENCE_BIAS_MAX))
            return err_set(err, ERR_INVALID_FIELD,
                           "logit_bias must have numbers of tokens, and for each a number from "
                           "-%d to %d",
                           INFERENCE_BIAS_MAX, INFERENCE_BIAS_MAX);
    }
    out->logit_bias = bias;
    return 0;
}

/* ---- what is not ours ---- */

static void inference_note_unknown(const json_t *object, const char *const *known,
                                   size_t known_count, const char *prefix, json_t *unknown)
{
    const char *name = NULL;
    json_t *value = NULL;

    /* Read only; jansson's iteration wants a pointer that is not const. */
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char shown[INFERENCE_MESSAGE_FIELD_BYTES + INFERENCE_UNKNOWN_MAX_BYTES];
        size_t len = strlen(name);

        if (inference_find(name, known, known_count) < known_count ||
            json_array_size(unknown) >= INFERENCE_UNKNOWN_MAX_COUNT)
            continue;
        if (len > INFERENCE_UNKNOWN_MAX_BYTES - 1)
            len = utf8_cut_len(name, INFERENCE_UNKNOWN_MAX_BYTES - 1);
        (void)snprintf(shown, sizeof(shown), "%s%.*s", prefix, (int)len, name); /* it fits */
        (void)json_array_append_new(unknown, json_text_lossy(shown, strlen(shown)));
    }
}

/* ---- prompt and messages ---- */

static int inference_read_message(const json_t *message, size_t index, json_t *unknown,
                                  struct err *err)
{
    static const char *const KNOWN[] = {"role", "content"};
    static const char *const ROLES[] = {"system", "user", "assistant"};
    char prefix[INFERENCE_MESSAGE_FIELD_BYTES];
    const char *role = NULL;
    const char *content = NULL;

    (void)snprintf(prefix, sizeof(prefix), "messages[%zu]", index);
    if (!json_is_object(message))
        return err_set(err, ERR_INVALID_FIELD, "%s must be an object", prefix);
    if (json_read_text(message, "role", &role, err) < 0 ||
        json_read_text(message, "content", &content, err) < 0)
        return err_wrap(err, "%s", prefix);
    if (role == NULL || inference_find(role, ROLES, ARRAY_COUNT(ROLES)) == ARRAY_COUNT(ROLES))
        return err_set(err, ERR_INVALID_FIELD,
                       "%s.role must be system, user or assistant, not \"%.40s\"", prefix,
                       role != NULL ? role : "");
    if (content == NULL)
        return err_set(err, ERR_INVALID_FIELD, "%s.content is missing", prefix);
    (void)snprintf(prefix, sizeof(prefix), "messages[%zu].", index);
    inference_note_unknown(message, KNOWN, ARRAY_COUNT(KNOWN), prefix, unknown);
    return 0;
}

static int inference_read_messages(const json_t *body, struct inference_request *out,
                                   json_t *unknown, struct err *err)
{
    const json_t *messages = json_object_get(body, "messages");
    size_t count = json_array_size(messages);

    if (messages == NULL || json_is_null(messages))
        return 0;
    if (!json_is_array(messages))
        return err_set(err, ERR_INVALID_FIELD, "messages must be an array");
    if (count < 1 || count > INFERENCE_MESSAGE_MAX_COUNT)
        return err_set(err, ERR_INVALID_FIELD, "messages must be 1 to %d, not %zu",
                       INFERENCE_MESSAGE_MAX_COUNT, count);
    for (size_t i = 0; i < count; i++) {
        if (inference_read_message(json_array_get(messages, i), i, unknown, err) < 0)
            return -1;
    }
    out->messages = messages;
    return 0;
}

static int inference_read_input(const json_t *body, struct inference_request *out, json_t *unknown,
                                struct err *err)
{
    if (json_read_text(body, "prompt", &out->prompt, err) < 0 ||
        inference_read_messages(body, out, unknown, err) < 0)
        return -1;
    if (out->prompt == NULL && out->messages == NULL)
        return err_set(err, ERR_INVALID_FIELD, "prompt is missing (or messages)");
    if (out->prompt != NULL && out->messages != NULL)
        return err_set(err, ERR_INVALID_FIELD, "prompt and messages exclude each other");
    if (out->prompt != NULL && out->prompt[0] == '\0')
        return err_set(err, ERR_INVALID_FIELD, "prompt must not be empty");
    if (out->raw && out->messages != NULL)
        return err_set(err, ERR_INVALID_FIELD,
                       "raw needs prompt: messages are made for a template");
    return 0;
}

int inference_parse(const json_t *body, struct inference_request *out, json_t *unknown,
                    struct err *err)
{
    static const char *const KNOWN[] = {
#define FIELD(field, member, type, bounds, min, max) #field,
#include "common/inference_fields.def"
#undef FIELD
        "model", "prompt", "messages", "stop", "device", "kv_type", "logit_bias"};
    struct inference_request request = {
        .max_tokens = -1,
        .temperature = 0.8,
        .top_p = 0.95,
        .top_k = 40,
        .min_p = 0.05,
        .repeat_penalty = 1.0,
        .typical_p = 1.0,
        .mirostat_tau = 5.0,
        .mirostat_eta = 0.1,
        .logprobs = -1,
        .seed = -1,
        .stream = true,
        .start = true,
    };

    if (!json_is_object(body))
        return err_set(err, ERR_INVALID_FIELD, "the body must be an object");
    if (inference_read_plain(body, &request, err) < 0 ||
        inference_read_name(body, "model", INFERENCE_MODEL_MAX_BYTES, &request.model, err) < 0 ||
        inference_read_device(body, &request, err) < 0 ||
        inference_read_stop(body, &request, err) < 0 ||
        inference_read_bias(body, &request, err) < 0)
        return -1;
    inference_note_unknown(body, KNOWN, ARRAY_COUNT(KNOWN), "", unknown);
    if (inference_read_input(body, &request, unknown, err) < 0)
        return -1;
    *out = request;
    return 0;
}

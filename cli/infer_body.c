/* Owns the translation of options into the fields of a request. Must not know how it is sent. */
#include "cli/infer_body.h"

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/model_name.h"
#include "common/buf.h"
#include "common/inference.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/units.h"

#include <stdlib.h>
#include <string.h>

struct field {
    enum option_id option;
    const char *name;
};

static const struct field INTEGERS[] = {
    {OPTION_MAX_TOKENS, "max_tokens"}, {OPTION_TOP_K, "top_k"}, {OPTION_MIROSTAT, "mirostat"},
    {OPTION_LOGPROBS, "logprobs"},     {OPTION_SEED, "seed"},   {OPTION_CONTEXT, "context"},
    {OPTION_SLOTS, "slots"},
};
static const struct field NUMBERS[] = {
    {OPTION_TEMPERATURE, "temperature"},
    {OPTION_TOP_P, "top_p"},
    {OPTION_MIN_P, "min_p"},
    {OPTION_REPEAT_PENALTY, "repeat_penalty"},
    {OPTION_FREQUENCY_PENALTY, "frequency_penalty"},
    {OPTION_PRESENCE_PENALTY, "presence_penalty"},
    {OPTION_TYPICAL_P, "typical_p"},
    {OPTION_MIROSTAT_TAU, "mirostat_tau"},
    {OPTION_MIROSTAT_ETA, "mirostat_eta"},
};

static void set_numbers(const struct args *args, json_t *body)
{
    for (size_t i = 0; i < ARRAY_COUNT(INTEGERS); i++) {
        if (args_has(args, INTEGERS[i].option))
            (void)json_object_set_new(body, INTEGERS[i].name,
                                      json_integer(args_integer(args, INTEGERS[i].option)));
    }
    for (size_t i = 0; i < ARRAY_COUNT(NUMBERS); i++) {
        if (args_has(args, NUMBERS[i].option))
            (void)json_object_set_new(body, NUMBERS[i].name,
                                      json_real(args_number(args, NUMBERS[i].option)));
    }
}

static void set_flags(const struct args *args, json_t *body)
{
    bool is_streamed = !args_has(args, OPTION_NO_STREAM) && !args_has(args, OPTION_JSON);
    const char *kv_type = args_text(args, OPTION_KV_TYPE);

    (void)json_object_set_new(body, "stream", json_boolean(is_streamed));
    if (args_has(args, OPTION_RAW))
        (void)json_object_set_new(body, "raw", json_true());
    if (args_has(args, OPTION_ALLOW_CPU))
        (void)json_object_set_new(body, "allow_cpu", json_true());
    if (args_has(args, OPTION_NO_START))
        (void)json_object_set_new(body, "start", json_false());
    if (kv_type != NULL)
        (void)json_object_set_new(body, "kv_type", json_string(kv_type));
}

static int set_device(const struct args *args, json_t *body, struct err *err)
{
    const char *device = args_text(args, OPTION_DEVICE);

    if (device == NULL)
        return 0;
    if (input_check_text("--device", device, strlen(device), err) < 0)
        return -1;
    (void)json_object_set_new(body, "device", json_string(device));
    return 0;
}

/* -m, then RBEE_MODEL; without both the supervisor chooses. */
static int set_model(const struct args *args, json_t *body, struct err *err)
{
    const char *option = args_text(args, OPTION_MODEL);
    const char *variable = getenv("RBEE_MODEL");

    if (option != NULL)
        return model_name_set(option, body, err) < 0 ? err_wrap(err, "-m") : 0;
    if (variable != NULL && variable[0] != '\0')
        return model_name_set(variable, body, err) < 0 ? err_wrap(err, "RBEE_MODEL") : 0;
    return 0;
}

static int set_stops(const struct args *args, json_t *body, struct err *err)
{
    AUTO_JSON json_t *stops = json_array();
    const char *stop = NULL;
    size_t cursor = 0;

    while ((stop = args_next(args, OPTION_STOP, &cursor)) != NULL) {
        if (stop[0] == '\0' || strlen(stop) > INFERENCE_STOP_MAX_BYTES)
            return err_set(err, ERR_USAGE, "--stop must be a text of 1 to %d bytes, not \"%.64s\"",
                           INFERENCE_STOP_MAX_BYTES, stop);
        if (input_check_text("--stop", stop, strlen(stop), err) < 0)
            return -1;
        (void)json_array_append_new(stops, json_string(stop));
    }
    if (json_array_size(stops) > INFERENCE_STOP_MAX_COUNT)
        return err_set(err, ERR_USAGE, "--stop may be given %d times, not %zu",
                       INFERENCE_STOP_MAX_COUNT, json_array_size(stops));
    if (json_array_size(stops) > 0)
        (void)json_object_set(body, "stop", stops);
    return 0;
}

/* TOKEN=BIAS */
static int set_bias(json_t *biases, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    AUTO_FREE char *token = equals == NULL ? NULL : xstrndup(text, (size_t)(equals - text));
    int64_t id = 0;
    double bias = 0;

    if (token == NULL || units_parse_integer(token, 0, INT32_MAX, &id, err) < 0 ||
        units_parse_number(equals + 1, -INFERENCE_BIAS_MAX, INFERENCE_BIAS_MAX, &bias, err) < 0)
        return err_set(err, ERR_USAGE,
                       "--logit-bias must be a token's number, = and a number from -%d to %d, not "
                       "\"%.64s\"",
                       INFERENCE_BIAS_MAX, INFERENCE_BIAS_MAX, text);
    (void)json_object_set_new(biases, token, json_real(bias));
    return 0;
}

static int set_biases(const struct args *args, json_t *body, struct err *err)
{
    AUTO_JSON json_t *biases = json_object();
    const char *text = NULL;
    size_t cursor = 0;

    while ((text = args_next(args, OPTION_LOGIT_BIAS, &cursor)) != NULL) {
        if (set_bias(biases, text, err) < 0)
            return -1;
    }
    if (json_object_size(biases) > 0)
        (void)json_object_set(body, "logit_bias", biases);
    return 0;
}

json_t *infer_message_new(const char *role, const char *text, size_t len)
{
    return json_pack("{s:s,s:s%}", "role", role, "content", text, len);
}

int infer_system_message(struct cli *cli, json_t **out, struct err *err)
{
    const char *option = args_text(cli->args, OPTION_SYSTEM);
    AUTO_BUF struct buf text = BUF_INIT(INPUT_MAX_BYTES);

    *out = NULL;
    if (option == NULL)
        return 0;
    if (input_read_system(option, &text, err) < 0)
        return -1;
    *out = infer_message_new("system", text.data, text.len);
    return 0;
}

/* The prompt alone, or with a system message two messages. */
static int set_prompt(struct cli *cli, json_t *body, struct err *err)
{
    AUTO_BUF struct buf prompt = BUF_INIT(INPUT_MAX_BYTES);
    AUTO_JSON json_t *system = NULL;
    json_t *messages = NULL;

    if (infer_system_message(cli, &system, err) < 0 || input_read_prompt(cli, &prompt, err) < 0)
        return -1;
    if (system == NULL) {
        (void)json_object_set_new(body, "prompt", json_stringn(prompt.data, prompt.len));
        return 0;
    }
    messages = json_pack("[O,o]", system, infer_message_new("user", prompt.data, prompt.len));
    (void)json_object_set_new(body, "messages", messages);
    return 0;
}

static int check_combinations(const struct args *args, struct err *err)
{
    if (args_has(args, OPTION_RAW) && args_has(args, OPTION_SYSTEM))
        return err_set(err, ERR_USAGE, "--raw has no place for a system message (-s)");
    if (args_has(args, OPTION_STREAM) && args_has(args, OPTION_JSON))
        return err_set(err, ERR_USAGE, "--stream=ndjson and --json are two forms: choose one");
    if (args_has(args, OPTION_STREAM) && args_has(args, OPTION_NO_STREAM))
        return err_set(err, ERR_USAGE, "--stream=ndjson and --no-stream contradict each other");
    if (args_has(args, OPTION_LOGPROBS) && !args_has(args, OPTION_STREAM) &&
        !args_has(args, OPTION_JSON))
        return err_set(err, ERR_USAGE,
                       "--logprobs has no place in a plain answer: add --json or --stream=ndjson");
    return 0;
}

json_t *infer_body_options(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = json_object();

    if (set_model(cli->args, body, err) < 0 || set_stops(cli->args, body, err) < 0 ||
        set_biases(cli->args, body, err) < 0 || set_device(cli->args, body, err) < 0)
        return NULL;
    set_numbers(cli->args, body);
    set_flags(cli->args, body);
    return take_ptr(body);
}

json_t *infer_body_new(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = NULL;

    if (check_combinations(cli->args, err) < 0)
        return NULL;
    body = infer_body_options(cli, err);
    return body == NULL || set_prompt(cli, body, err) < 0 ? NULL : take_ptr(body);
}

/* Owns the reading of an answer's events. Must not know how they come here. */
#include "cli/infer_answer.h"

#include "cli/api.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "cli/progress.h"
#include "common/json.h"

#include <string.h>

#define STREAM_DONE "[DONE]"
static const double MS_PER_SECOND = 1000;

void infer_answer_init(struct infer_answer *answer, struct cli *cli, struct output *output)
{
    *answer = (struct infer_answer){.cli = cli,
                                    .output = output,
                                    .progress = progress_start(cli),
                                    .is_ndjson = args_has(cli->args, OPTION_STREAM)};
}

static void end_progress(struct infer_answer *answer)
{
    progress_stop(answer->progress);
    answer->progress = NULL;
}

void infer_answer_release(struct infer_answer *answer)
{
    end_progress(answer);
    json_decref(answer->end);
}

static void say_warnings(struct infer_answer *answer, const json_t *object)
{
    const json_t *warnings = json_object_get(object, "warnings");
    const json_t *warning = NULL;
    size_t index = 0;

    json_array_foreach(warnings, index, warning)
    {
        if (json_is_string(warning))
            message_note(answer->cli, "warning: %s", json_string_value(warning));
    }
}

static int on_queued(struct infer_answer *answer, const json_t *event, struct err *err)
{
    message_progress(answer->cli, "waiting, position %" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(event, "position")));
    return 0;
}

static int on_started(struct infer_answer *answer, const json_t *event, struct err *err)
{
    end_progress(answer);
    message_detail(answer->cli, "request %s on %s", json_shown_text(event, "id"),
                   json_shown_text(event, "model"));
    say_warnings(answer, event);
    return 0;
}

static int take_text(struct infer_answer *answer, const json_t *text, struct err *err)
{
    const char *bytes = json_string_value(text);
    size_t len = json_string_length(text);

    if (answer->text != NULL && buf_add(answer->text, bytes, len) < 0)
        return err_set(err, ERR_BODY_TOO_LARGE, "an answer of more than %zu bytes",
                       answer->text->max);
    if (answer->is_ndjson || answer->cli->wants_json)
        return 0;
    return output_text(answer->output, bytes, len, err);
}

static int on_token(struct infer_answer *answer, const json_t *event, struct err *err)
{
    const json_t *text = json_object_get(event, "t");

    answer->token_count++;
    return take_text(answer, text, err);
}

static int on_end(struct infer_answer *answer, const json_t *event, struct err *err)
{
    answer->has_told_end = true;
    answer->end = json_deep_copy(event);
    return 0;
}

/* The event has the fields of an envelope's "error". */
static int on_error(struct infer_answer *answer, const json_t *event, struct err *err)
{
    json_t *error = json_deep_copy(event);
    AUTO_JSON json_t *envelope = json_object();

    end_progress(answer);
    answer->has_told_end = true;
    (void)json_object_del(error, "type"); /* "error": there in every event */
    (void)json_object_set_new(envelope, "error", error);
    json_error_from_envelope(envelope, err);
    /* What is on stdout is not the whole answer: another exit code than "nothing came". */
    if (err->kind == ERR_WORKER_DIED && answer->token_count > 0)
        err->kind = ERR_STREAM_BROKEN;
    json_decref(answer->cli->failure);
    answer->cli->failure = take_ptr(envelope);
    return -1;
}

static const struct {
    const char *type;
    int (*handle)(struct infer_answer *answer, const json_t *event, struct err *err);
} EVENTS[] = {
    {"queued", on_queued}, {"started", on_started}, {"token", on_token},
    {"end", on_end},       {"error", on_error},
};

int infer_answer_event(void *owner, const char *data, size_t len, struct err *err)
{
    struct infer_answer *answer = owner;
    AUTO_JSON json_t *event = NULL;
    const char *type = NULL;

    if (strcmp(data, STREAM_DONE) == 0 || answer->end != NULL)
        return 0;
    event = json_parse(data, len, API_REPLY_MAX_BYTES, err);
    type = json_string_value(json_object_get(event, "type"));
    if (type == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor sent an event that is none");
    if (answer->is_ndjson && output_json(answer->output, event, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(EVENTS); i++) {
        if (strcmp(EVENTS[i].type, type) == 0)
            return EVENTS[i].handle(answer, event, err);
    }
    return 0; /* a newer supervisor may send more kinds */
}

int infer_answer_whole(struct infer_answer *answer, const json_t *reply, struct err *err)
{
    const json_t *text = json_object_get(reply, "text");

    end_progress(answer);
    if (!json_is_string(text))
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has no text");
    answer->end = json_deep_copy(reply);
    say_warnings(answer, reply);
    if (answer->cli->wants_json && output_json(answer->output, reply, err) < 0)
        return -1;
    return take_text(answer, text, err);
}

int infer_answer_check_end(const struct infer_answer *answer, struct err *err)
{
    if (answer->end == NULL)
        return err_set(err, ERR_STREAM_BROKEN, "the answer broke off: the stream has no end");
    if (strcmp(json_shown_text(answer->end, "stop_reason"), "cancelled") == 0)
        return err_set(err, ERR_CANCELLED, "the request was cancelled");
    return 0;
}

bool infer_answer_is_cut(const struct infer_answer *answer)
{
    return strcmp(json_shown_text(answer->end, "stop_reason"), "length") == 0;
}

static double number_of(const json_t *object, const char *field)
{
    return json_number_value(json_object_get(object, field));
}

static double per_second(double count, double ms)
{
    return ms > 0 ? count / ms * MS_PER_SECOND : 0;
}

void infer_answer_say_stats(struct cli *cli, const json_t *end)
{
    const json_t *usage = json_object_get(end, "usage");
    const json_t *timings = json_object_get(end, "timings");
    double prompt = number_of(usage, "prompt_tokens");
    double cached = number_of(usage, "cached_tokens"); /* 0 where the worker does not tell */
    double completion = number_of(usage, "completion_tokens");
    double prefill_ms = number_of(timings, "prefill_ms");
    double decode_ms = number_of(timings, "decode_ms");

    message_always(
        cli,
        "prompt %.0f tokens (%.0f cached) in %.1f ms (%.1f/s), answer %.0f tokens in %.1f ms "
        "(%.1f/s), first token after %.1f ms, queue %.1f ms, load %.1f ms, stop: %s",
        prompt, cached, prefill_ms, per_second(prompt - cached, prefill_ms), completion, decode_ms,
        per_second(completion, decode_ms), number_of(timings, "first_token_ms"),
        number_of(timings, "queue_ms"), number_of(timings, "load_ms"),
        json_shown_text(end, "stop_reason"));
}

void infer_answer_tell_failure(struct infer_answer *answer, const struct err *failure)
{
    json_t *error = json_object_get(answer->cli->failure, "error");
    AUTO_JSON json_t *event = json_object();
    AUTO_JSON json_t *envelope = NULL;
    struct err ignored = ERR_INIT; /* the first failure is the one to report */

    if (!answer->is_ndjson || answer->has_told_end || answer->cli->interrupt.signal != 0)
        return;
    if (error == NULL) {
        envelope = json_error_envelope(failure, NULL, NULL);
        error = json_object_get(envelope, "error");
    }
    (void)json_object_update_missing(event, error);
    (void)json_object_set_new(event, "type", json_string("error"));
    (void)output_json(answer->output, event, &ignored);
}

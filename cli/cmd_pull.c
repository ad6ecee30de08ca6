/* rbee model pull and rbee model verify: a model is fetched, or its files are looked at, while a
 * stream of events says how far it is. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/model_record.h"
#include "cli/output.h"
#include "cli/pull_line.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/terminal.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    VERIFY_TEXT_MAX_BYTES = 4096,
    PULL_COLUMNS_DEFAULT = 80, /* of a terminal that does not say */
};

/* A stream that is read. */
struct watched {
    struct cli *cli;
    const char *end_type; /* of the event that has the result */
    char *file;           /* what is fetched; NULL: not known yet */
    json_t *end;          /* that event; NULL: not yet */
};

static void watched_release(struct watched *watched)
{
    json_decref(watched->end);
    free(watched->file);
}

static int64_t number_of(const json_t *event, const char *field)
{
    return json_integer_value(json_object_get(event, field));
}

static void show_progress(struct watched *watched, const json_t *event)
{
    char text[PULL_LINE_MAX_BYTES];
    const struct pull_line line = {
        .what = strcmp(json_shown_text(event, "phase"), "check") == 0 ? "checking" : "",
        .file = watched->file == NULL ? "" : watched->file,
        .done_bytes = number_of(event, "done_bytes"),
        .total_bytes = number_of(event, "total_bytes"),
        .bytes_per_second = number_of(event, "bytes_per_second"),
    };
    unsigned columns = terminal_size(STDERR_FILENO).columns;

    if (!watched->cli->has_progress)
        return;
    /* The last column stays empty: some terminals begin a new line there. */
    pull_line_format(&line, (columns > 0 ? columns : PULL_COLUMNS_DEFAULT) - 1, text);
    message_progress(watched->cli, "%s", text);
}

static void show_chosen(struct watched *watched, const json_t *event)
{
    free(watched->file);
    watched->file = xstrdup(json_shown_text(event, "file"));
    if (json_shown_text(event, "why")[0] != '\0')
        message_note(watched->cli, "%s (%s)", watched->file, json_shown_text(event, "why"));
    else
        message_detail(watched->cli, "%s", watched->file);
}

static int refuse(struct watched *watched, const json_t *event, struct err *err)
{
    json_t *error = json_deep_copy(event);
    AUTO_JSON json_t *envelope = json_object();

    (void)json_object_del(error, "type"); /* "error": there in every event */
    (void)json_object_set_new(envelope, "error", error);
    json_error_from_envelope(envelope, err);
    json_decref(watched->cli->failure);
    watched->cli->failure = take_ptr(envelope);
    return -1;
}

static int on_event(void *owner, const char *data, size_t len, struct err *err)
{
    struct watched *watched = owner;
    AUTO_JSON json_t *event = json_parse(data, len, API_REPLY_MAX_BYTES, err);
    const char *type = json_string_value(json_object_get(event, "type"));

    if (type == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor sent an event that is none");
    if (strcmp(type, "error") == 0)
        return refuse(watched, event, err);
    if (strcmp(type, "progress") == 0)
        show_progress(watched, event);
    else if (strcmp(type, "chosen") == 0)
        show_chosen(watched, event);
    else if (strcmp(type, "note") == 0)
        message_note(watched->cli, "%s", json_shown_text(event, "message"));
    else if (strcmp(type, watched->end_type) == 0 && watched->end == NULL)
        watched->end = json_deep_copy(event);
    return 0; /* a newer supervisor may send more kinds */
}

/* Sends, and reads the stream to its end. No time limit: a download takes as long as it does. */
static int watch(struct watched *watched, const char *target, const json_t *body, struct err *err)
{
    struct cli *cli = watched->cli;
    const struct api_request request = {.method = HTTP_POST,
                                        .target = target,
                                        .body = body,
                                        .on_event = on_event,
                                        .owner = watched};
    int result = 0;

    if (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0)
        return -1;
    result = call_send(cli, &request, NULL, err);
    message_progress_clear(cli);
    if (result < 0)
        return -1;
    if (watched->end == NULL)
        return err_set(err, ERR_STREAM_BROKEN, "the supervisor's answer has no end");
    return 0;
}

/* ---- pull ---- */

static bool is_source(const char *text)
{
    return strncmp(text, "hf:", 3) == 0 || strncasecmp(text, "https://", 8) == 0 ||
           strncasecmp(text, "http://", 7) == 0;
}

static void say_what_is_known(struct cli *cli, const json_t *model)
{
    const char *checksum = json_shown_text(model, "checksum");

    if (strcmp(checksum, "published") == 0)
        message_detail(cli, "verified: its checksum is what the repository says");
    else
        message_note(cli, "not verified: nobody says what its checksum must be; it is read as a "
                          "model, and as long as the server said");
}

static int pull(struct watched *watched, const char *source, struct err *err)
{
    struct cli *cli = watched->cli;
    const char *name = args_text(cli->args, OPTION_NAME);
    AUTO_JSON json_t *body = json_object();
    const json_t *model = NULL;

    if (json_object_set_new(body, "source", json_string(source)) < 0)
        return err_set(err, ERR_INVALID_UTF8, "the source is not UTF-8");
    if (name != NULL && json_object_set_new(body, "name", json_string(name)) < 0)
        return err_set(err, ERR_INVALID_UTF8, "--name is not UTF-8");
    if (watch(watched, "/v1/pulls", body, err) < 0) {
        if (cli->interrupt.signal != 0)
            message_note(cli, "stopped; what came is kept, the same command goes on from there");
        return -1;
    }
    model = json_object_get(watched->end, "model");
    say_what_is_known(cli, model);
    return model_record_print(cli, model, err);
}

int command_model_pull(struct cli *cli, struct err *err)
{
    const char *source = cli->args->operands[0];
    struct watched watched = {.cli = cli, .end_type = "model"};
    int result = 0;

    if (!is_source(source))
        return err_set(
            err, ERR_USAGE,
            "%s cannot be pulled: it is hf:ORG/REPO, hf:ORG/REPO:QUANT, hf:ORG/REPO/FILE "
            "or a URL; a file of this machine is for \"rbee model add\"",
            source);
    result = pull(&watched, source, err);
    watched_release(&watched);
    return result;
}

/* ---- verify ---- */

/* Where a model that is bad came from can give it again. */
static void say_where_from(struct cli *cli, const char *target, const char *name)
{
    const struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *record = NULL;
    struct err ignored = ERR_INIT; /* nothing is known of it, then */
    const char *source = NULL;

    if (call_send(cli, &request, &record, &ignored) == 0)
        source = json_string_value(json_object_get(record, "source"));
    json_decref(take_ptr(cli->failure));
    if (source != NULL && is_source(source))
        message_note(cli, "to get it again: rbee model pull %s --name %s", source, name);
}

static int print_verified(struct cli *cli, json_t *end, struct err *err)
{
    bool is_good = json_is_true(json_object_get(end, "good"));
    bool is_known = json_is_true(json_object_get(end, "known"));
    AUTO_BUF struct buf text = BUF_INIT(VERIFY_TEXT_MAX_BYTES);

    (void)json_object_del(end, "type");
    if (cli->wants_json)
        return output_print_json(cli, end, err) < 0 ? -1 : (is_good ? EXIT_DONE : EXIT_BAD);
    /* The supervisor's texts are far shorter than the maximum. */
    if (!is_good)
        (void)buf_printf(&text, "%s: bad: %s\n", json_shown_text(end, "name"),
                         json_shown_text(end, "message"));
    else if (is_known)
        (void)buf_printf(&text, "%s: good\n", json_shown_text(end, "name"));
    else
        (void)buf_printf(&text,
                         "%s: recorded; its checksum was not known, from now on it is this one\n",
                         json_shown_text(end, "name"));
    if (output_print(cli, &text, err) < 0)
        return -1;
    return is_good ? EXIT_DONE : EXIT_BAD;
}

int command_model_verify(struct cli *cli, struct err *err)
{
    const char *name = cli->args->operands[0];
    AUTO_FREE char *model = call_model_target(name, err);
    AUTO_FREE char *target = model == NULL ? NULL : xasprintf("%s/verify", model);
    struct watched watched = {.cli = cli, .end_type = "verified"};
    int result = -1;

    if (target == NULL)
        return -1;
    watched.file = xstrdup(name);
    if (watch(&watched, target, NULL, err) == 0)
        result = print_verified(cli, watched.end, err);
    if (result == EXIT_BAD)
        say_where_from(cli, model, name);
    watched_release(&watched);
    return result;
}

/* rbee logs: what a worker has written to stdout and stderr, or the supervisor to its log. */
#include "cli/call.h"
#include "cli/follow.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#include <inttypes.h>
#include <string.h>

enum {
    LOGS_DEFAULT_COUNT = 20,
    LOGS_LINE_MAX_BYTES = 256 << 10, /* a chunk of a log that has no line end is one line */
};

struct logs {
    struct cli *cli;
    struct output output;
    char *path;       /* of the route */
    int64_t since_ms; /* 0: not given */
    int64_t count;    /* -1: all since since_ms */
    /* For a supervisor that comes back: the time of the last line that was shown, how many lines
     * were shown from that time on, and how many of those are still to be passed over. */
    char last_at[CLOCK_RFC3339_BYTES];
    int64_t shown_count;
    int64_t skip_count;
};

static void remember(struct logs *logs, const json_t *line)
{
    const char *at = json_string_value(json_object_get(line, "at"));

    if (at != NULL && strcmp(at, logs->last_at) != 0 && strlen(at) < sizeof(logs->last_at)) {
        memcpy(logs->last_at, at, strlen(at) + 1);
        logs->shown_count = 0;
    }
    logs->shown_count++;
}

static int print_line(struct logs *logs, const json_t *line, struct err *err)
{
    const char *at = json_string_value(json_object_get(line, "at"));
    const char *text = json_string_value(json_object_get(line, "text"));
    AUTO_BUF struct buf out = BUF_INIT(LOGS_LINE_MAX_BYTES);

    if (logs->cli->wants_json)
        return output_json(&logs->output, line, err);
    if (text == NULL) /* a gap */
        text = "(lines are missing here: the log has turned over)";
    if (buf_printf(&out, "%s%s%s\n", at != NULL ? at : "", at != NULL ? " " : "", text) < 0)
        return err_set(err, ERR_PROTOCOL, "the supervisor sent a line of more than %d bytes",
                       LOGS_LINE_MAX_BYTES);
    return output_text(&logs->output, out.data, out.len, err);
}

static int on_line(void *owner, const json_t *line, struct err *err)
{
    struct logs *logs = owner;

    if (logs->skip_count > 0) {
        logs->skip_count--;
        return 0;
    }
    remember(logs, line);
    return print_line(logs, line, err);
}

static char *logs_target(struct logs *logs, bool follows)
{
    char since[CLOCK_RFC3339_BYTES] = "";
    bool is_resumed = logs->last_at[0] != '\0';
    AUTO_FREE char *lines = NULL;

    if (is_resumed)
        memcpy(since, logs->last_at, sizeof(since));
    else if (logs->since_ms > 0)
        clock_format_rfc3339(logs->since_ms, since);
    logs->skip_count = is_resumed ? logs->shown_count : 0;
    if (logs->count >= 0 && !is_resumed)
        lines = xasprintf("&lines=%" PRId64, logs->count);
    return xasprintf("%s?follow=%d%s%s%s", logs->path, follows, since[0] != '\0' ? "&since=" : "",
                     since, lines != NULL ? lines : "");
}

static char *follow_target(void *owner)
{
    return logs_target(owner, true);
}

static int print_past(struct logs *logs, struct err *err)
{
    AUTO_FREE char *target = logs_target(logs, false);
    struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *reply = NULL;
    const json_t *line = NULL;
    size_t index = 0;

    if (call_send(logs->cli, &request, &reply, err) < 0)
        return -1;
    json_array_foreach(json_object_get(reply, "lines"), index, line)
    {
        if (print_line(logs, line, err) < 0)
            return -1;
    }
    if (json_is_true(json_object_get(reply, "is_cut")))
        message_note(logs->cli, "there are older lines; the file itself has them");
    return EXIT_DONE;
}

static int logs_read_options(struct cli *cli, struct logs *logs, struct err *err)
{
    bool has_name = cli->args->operand_count > 0;

    *logs = (struct logs){.cli = cli, .output = OUTPUT_INIT};
    if (follow_read_since(cli, &logs->since_ms, err) < 0)
        return -1;
    logs->count = logs->since_ms > 0 ? -1 : LOGS_DEFAULT_COUNT;
    if (args_has(cli->args, OPTION_LINE_COUNT))
        logs->count = args_integer(cli->args, OPTION_LINE_COUNT);
    logs->path =
        has_name ? call_worker_target(cli->args->operands[0], "/logs", err) : xstrdup("/v1/logs");
    return logs->path == NULL ? -1 : 0;
}

int command_logs(struct cli *cli, struct err *err)
{
    struct logs logs;
    const struct follow follow = {.target = follow_target, .on_event = on_line, .owner = &logs};
    int rc = logs_read_options(cli, &logs, err);

    if (rc == 0 && (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0 ||
                    output_open(&logs.output, &cli->interrupt, NULL, err) < 0))
        rc = -1;
    if (rc == 0)
        rc = args_has(cli->args, OPTION_FOLLOW) ? follow_run(cli, &follow, err)
                                                : print_past(&logs, err);
    free(logs.path);
    return rc;
}

/* rbee infer: one answer.
 *
 * Everything that can be wrong with the input, and whether the file of -o can be written, is found
 * before the supervisor is asked, or started. From then on signals are watched: the first one
 * closes the connection, which cancels the request on the worker, removes an unfinished file of -o,
 * and ends the process. Before that a signal ends it there and then, so -o is opened only now. */
#include "cli/call.h"
#include "cli/infer_answer.h"
#include "cli/infer_body.h"
#include "cli/message.h"
#include "common/json.h"
#include "common/units.h"

enum {
    INFER_DEADLINE_MS = 10 * 60 * 1000, /* a first answer waits for the load of its model */
    INFER_GRACE_MS = 5000,
};

/* The supervisor answers by the deadline; one that does not is given up soon after it. */
static int send_with(struct cli *cli, struct api_request *request, uint64_t deadline_ms,
                     json_t **out_reply, struct err *err)
{
    request->deadline_ms = deadline_ms;
    request->timeout_ms = deadline_ms + INFER_GRACE_MS;
    return call_send(cli, request, out_reply, err);
}

/* Who asked for no deadline gets the longest that the supervisor allows, if ours is longer. */
static int send_in_time(struct cli *cli, struct api_request *request, json_t **out_reply,
                        struct err *err)
{
    bool is_given = args_has(cli->args, OPTION_DEADLINE);
    uint64_t deadline_ms =
        is_given ? args_duration_ms(cli->args, OPTION_DEADLINE) : INFER_DEADLINE_MS;
    const json_t *details = NULL;
    json_int_t max_ms = 0;
    char max[UNITS_TEXT_BYTES];

    if (send_with(cli, request, deadline_ms, out_reply, err) == 0)
        return 0;
    if (err->kind != ERR_INVALID_DEADLINE)
        return -1;
    details = json_object_get(json_object_get(cli->failure, "error"), "details");
    max_ms = json_integer_value(json_object_get(details, "max_ms"));
    if (max_ms <= 0 || (uint64_t)max_ms >= deadline_ms)
        return -1;
    if (is_given) {
        units_format_duration((uint64_t)max_ms, max);
        return err_set(err, ERR_INVALID_DEADLINE,
                       "--deadline must be at most %s, the supervisor's deadline.max", max);
    }
    json_decref(cli->failure);
    cli->failure = NULL;
    err_clear(err);
    return send_with(cli, request, (uint64_t)max_ms, out_reply, err);
}

static int ask(struct infer_answer *answer, const json_t *body, struct err *err)
{
    bool is_streamed = json_is_true(json_object_get(body, "stream"));
    struct api_request request = {.method = HTTP_POST,
                                  .target = "/v1/inference",
                                  .body = body,
                                  .on_event = is_streamed ? infer_answer_event : NULL,
                                  .owner = answer};
    AUTO_JSON json_t *reply = NULL;

    if (send_in_time(answer->cli, &request, &reply, err) < 0) {
        /* Nothing is missing: the connection broke after the end. */
        if (err->kind != ERR_STREAM_BROKEN || answer->end == NULL)
            return -1;
        err_clear(err);
    }
    if (!is_streamed && infer_answer_whole(answer, reply, err) < 0)
        return -1;
    return infer_answer_check_end(answer, err);
}

static int finish(struct infer_answer *answer, struct err *err)
{
    struct cli *cli = answer->cli;

    if (output_commit(answer->output, err) < 0)
        return -1;
    if (args_has(cli->args, OPTION_STATS))
        infer_answer_say_stats(answer);
    if (!args_has(cli->args, OPTION_FAIL_ON_LENGTH) || !infer_answer_is_cut(answer))
        return EXIT_DONE;
    message_note(cli, "the answer was cut by its limit of tokens");
    return EXIT_INCOMPLETE;
}

int command_infer(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = infer_body_new(cli, err);
    AUTO_OUTPUT struct output output = OUTPUT_INIT;
    const char *path = args_text(cli->args, OPTION_OUTPUT);
    struct infer_answer answer;
    int rc = 0;

    if (body == NULL || output_check(path, err) < 0 || cli_connect(cli, err) < 0 ||
        interrupt_watch(&cli->interrupt, err) < 0 ||
        output_open(&output, &cli->interrupt, path, err) < 0)
        return -1;
    infer_answer_init(&answer, cli, &output);
    rc = ask(&answer, body, err);
    if (rc == 0)
        rc = finish(&answer, err);
    else
        infer_answer_tell_failure(&answer, err);
    if (rc < 0)
        output_break_line(&output);
    infer_answer_release(&answer);
    return rc;
}

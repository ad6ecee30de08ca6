/* Owns how long an answer is waited for, and when one is whole. Must not know what becomes of it.
 */
#include "cli/infer_ask.h"

#include "cli/call.h"
#include "cli/command.h"
#include "common/json.h"
#include "common/units.h"

enum {
    INFER_DEADLINE_MS = 10 * 60 * 1000, /* a first answer waits for the load of its model */
    CHAT_DEADLINE_MS = 60 * 60 * 1000,  /* somebody sits there and cancels what takes too long */
};

/* The supervisor answers by the deadline; one that does not is given up soon after it. */
static int send_with(struct cli *cli, struct api_request *request, uint64_t deadline_ms,
                     json_t **out_reply, struct err *err)
{
    request->deadline_ms = deadline_ms;
    request->timeout_ms = deadline_ms + INFER_GRACE_MS;
    return call_send(cli, request, out_reply, err);
}

uint64_t infer_deadline_ms(const struct cli *cli)
{
    if (args_has(cli->args, OPTION_DEADLINE))
        return args_duration_ms(cli->args, OPTION_DEADLINE);
    return cli->args->command->id == COMMAND_CHAT ? CHAT_DEADLINE_MS : INFER_DEADLINE_MS;
}

int infer_deadline_lower(const struct cli *cli, const json_t *failure, uint64_t *deadline_ms,
                         struct err *err)
{
    const json_t *details = json_object_get(json_object_get(failure, "error"), "details");
    json_int_t max_ms = json_integer_value(json_object_get(details, "max_ms"));
    char max[UNITS_TEXT_BYTES];

    if (err->kind != ERR_INVALID_DEADLINE || max_ms <= 0 || (uint64_t)max_ms >= *deadline_ms)
        return -1;
    if (args_has(cli->args, OPTION_DEADLINE)) {
        units_format_duration((uint64_t)max_ms, max);
        return err_set(err, ERR_INVALID_DEADLINE,
                       "--deadline must be at most %s, the supervisor's deadline.max", max);
    }
    err_clear(err);
    *deadline_ms = (uint64_t)max_ms;
    return 0;
}

static int send_in_time(struct cli *cli, struct api_request *request, json_t **out_reply,
                        struct err *err)
{
    uint64_t deadline_ms = infer_deadline_ms(cli);

    if (send_with(cli, request, deadline_ms, out_reply, err) == 0)
        return 0;
    if (infer_deadline_lower(cli, cli->failure, &deadline_ms, err) < 0)
        return -1;
    json_decref(take_ptr(cli->failure));
    return send_with(cli, request, deadline_ms, out_reply, err);
}

int infer_ask(struct infer_answer *answer, const json_t *body, struct err *err)
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

/* Owns the shape that most commands share: one request, one record or list. */
#include "cli/call.h"

#include "cli/output.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"

enum { CALL_PRINT_MAX_BYTES = 32 << 20 };

int call_send(struct cli *cli, const struct api_request *request, json_t **out_reply,
              struct err *err)
{
    return api_send(cli->api, request, out_reply, &cli->failure, err);
}

int call_get(struct cli *cli, const char *target, json_t **out_reply, struct err *err)
{
    struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};

    if (cli_connect(cli, err) < 0)
        return -1;
    if (call_send(cli, &request, out_reply, err) < 0)
        return -1;
    if (*out_reply == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer is empty");
    return 0;
}

char *call_worker_target(const char *name, const char *suffix, struct err *err)
{
    if (config_name_check(name, ERR_WORKER_NOT_FOUND, err) < 0)
        return err_wrap_null(err, "there is no such worker");
    return xasprintf("/v1/workers/%s%s", name, suffix);
}

char *call_model_target(const char *name, struct err *err)
{
    if (config_name_check(name, ERR_MODEL_NOT_FOUND, err) < 0)
        return err_wrap_null(err, "there is no such model");
    return xasprintf("/v1/models/%s", name);
}

static int print_buf(struct cli *cli, struct buf *text, struct err *err)
{
    return output_print(cli, text, err) < 0 ? -1 : EXIT_DONE;
}

int call_print_record(struct cli *cli, enum record_kind kind, const json_t *record, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(CALL_PRINT_MAX_BYTES);

    if (cli->wants_json)
        return output_print_json(cli, record, err) < 0 ? -1 : EXIT_DONE;
    record_print_details(kind, record, &text);
    return print_buf(cli, &text, err);
}

int call_print_list(struct cli *cli, enum record_kind kind, const json_t *reply, const char *field,
                    struct err *err)
{
    const json_t *rows = json_object_get(reply, field);
    AUTO_BUF struct buf text = BUF_INIT(CALL_PRINT_MAX_BYTES);

    if (!json_is_array(rows))
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has no list \"%s\"", field);
    if (cli->wants_json)
        return output_print_json(cli, reply, err) < 0 ? -1 : EXIT_DONE;
    record_print_table(kind, rows, &text);
    return print_buf(cli, &text, err);
}

int call_wait(struct cli *cli, const char *name, const char *state, uint64_t timeout_ms,
              json_t **out_record, struct err *err)
{
    AUTO_FREE char *suffix = xasprintf("/wait?for=%s", state);
    AUTO_FREE char *target = call_worker_target(name, suffix, err);
    struct api_request request = {.method = HTTP_GET, .target = target, .timeout_ms = timeout_ms};

    if (target == NULL || (cli->api == NULL && cli_connect(cli, err) < 0))
        return -1;
    if (call_send(cli, &request, out_record, err) == 0)
        return 0;
    if (err->kind == ERR_TIMED_OUT && cli->failure == NULL)
        return err_set(err, ERR_TIMED_OUT, "%s was not %s within the time", name, state);
    return -1;
}

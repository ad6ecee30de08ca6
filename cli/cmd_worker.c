/* rbee worker start, stop, show: the life of one worker. */
#include "cli/call.h"
#include "cli/model_name.h"
#include "common/json.h"

enum worker_action { WORKER_ACTION_START, WORKER_ACTION_STOP };

/* Posts the action, and with --wait holds until it is done. */
static int act(struct cli *cli, enum worker_action action, const json_t *body, struct err *err)
{
    const char *name = cli->args->operands[0];
    bool is_start = action == WORKER_ACTION_START;
    AUTO_FREE char *target = call_worker_target(name, is_start ? "/start" : "/stop", err);
    struct api_request request = {
        .method = HTTP_POST, .target = target, .body = body, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || cli_connect(cli, err) < 0 || call_send(cli, &request, &record, err) < 0)
        return -1;
    if (args_has(cli->args, OPTION_WAIT)) {
        json_decref(take_ptr(record));
        if (call_wait(cli, name, is_start ? "ready" : "stopped", 0, &record, err) < 0)
            return -1;
    }
    return cli->wants_json ? call_print_record(cli, RECORD_WORKER, record, err) : EXIT_DONE;
}

static void set_integer(const struct cli *cli, enum option_id id, const char *field, json_t *body)
{
    if (args_has(cli->args, id))
        (void)json_object_set_new(body, field, json_integer(args_integer(cli->args, id)));
}

int command_worker_start(struct cli *cli, struct err *err)
{
    const char *model = args_text(cli->args, OPTION_WORKER_MODEL);
    const char *device = args_text(cli->args, OPTION_DEVICE);
    AUTO_JSON json_t *body = json_object();

    if (model != NULL && model_name_set(model, body, err) < 0)
        return err_wrap(err, "-m");
    set_integer(cli, OPTION_CONTEXT, "context", body);
    set_integer(cli, OPTION_SLOTS, "slots", body);
    set_integer(cli, OPTION_THREADS, "threads", body);
    if (device != NULL && json_object_set_new(body, "device", json_string(device)) < 0)
        return err_set(err, ERR_USAGE, "--device is not UTF-8");
    if (args_has(cli->args, OPTION_ALLOW_CPU))
        (void)json_object_set_new(body, "allow_cpu", json_true());
    return act(cli, WORKER_ACTION_START, body, err);
}

int command_worker_stop(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = json_pack("{s:b}", "force", (int)args_has(cli->args, OPTION_FORCE));

    return act(cli, WORKER_ACTION_STOP, body, err);
}

int command_worker_show(struct cli *cli, struct err *err)
{
    AUTO_FREE char *target = call_worker_target(cli->args->operands[0], "", err);
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return -1;
    return call_print_record(cli, RECORD_WORKER, record, err);
}

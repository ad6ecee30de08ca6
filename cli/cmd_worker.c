/* rbee worker start, stop, restart, hold, release, show: the life of one worker. */
#include "cli/call.h"
#include "cli/model_name.h"
#include "common/json.h"
#include "common/mem.h"

#include <string.h>

/* Posts BODY to what the worker's VERB is; *out_record is what it is then. */
static int post(struct cli *cli, const char *verb, const json_t *body, json_t **out_record,
                struct err *err)
{
    AUTO_FREE char *suffix = xasprintf("/%s", verb);
    AUTO_FREE char *target = call_worker_target(cli->args->operands[0], suffix, err);

    return target == NULL ? -1 : call_post(cli, target, body, out_record, err);
}

/* The same, and with --wait holds until GOAL is there. */
static int act(struct cli *cli, const char *verb, const json_t *body, const char *goal,
               struct err *err)
{
    AUTO_JSON json_t *record = NULL;

    if (post(cli, verb, body, &record, err) < 0)
        return -1;
    if (args_has(cli->args, OPTION_WAIT)) {
        json_decref(take_ptr(record));
        if (call_wait(cli, cli->args->operands[0], goal, 0, &record, err) < 0)
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
    const char *kv_type = args_text(cli->args, OPTION_KV_TYPE);
    AUTO_JSON json_t *body = json_object();

    if (model != NULL && model_name_set(model, body, err) < 0)
        return err_wrap(err, "-m");
    set_integer(cli, OPTION_CONTEXT, "context", body);
    set_integer(cli, OPTION_SLOTS, "slots", body);
    set_integer(cli, OPTION_THREADS, "threads", body);
    if (device != NULL && json_object_set_new(body, "device", json_string(device)) < 0)
        return err_set(err, ERR_USAGE, "--device is not UTF-8");
    if (kv_type != NULL)
        (void)json_object_set_new(body, "kv_type", json_string(kv_type));
    if (args_has(cli->args, OPTION_ALLOW_CPU))
        (void)json_object_set_new(body, "allow_cpu", json_true());
    return act(cli, "start", body, "ready", err);
}

int command_worker_stop(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = json_pack("{s:b}", "force", (int)args_has(cli->args, OPTION_FORCE));

    return act(cli, "stop", body, "stopped", err);
}

int command_worker_restart(struct cli *cli, struct err *err)
{
    return act(cli, "restart", NULL, "ready", err);
}

int command_worker_hold(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = call_reason_body(cli, err);

    return body == NULL ? -1 : act(cli, "hold", body, "stopped", err);
}

/* One that is not wanted up stays down, and is not waited for. */
int command_worker_release(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *record = NULL;
    const char *desired = NULL;

    if (post(cli, "release", NULL, &record, err) < 0)
        return -1;
    desired = json_string_value(json_object_get(record, "desired"));
    if (args_has(cli->args, OPTION_WAIT) && desired != NULL && strcmp(desired, "up") == 0) {
        json_decref(take_ptr(record));
        if (call_wait(cli, cli->args->operands[0], "ready", 0, &record, err) < 0)
            return -1;
    }
    return cli->wants_json ? call_print_record(cli, RECORD_WORKER, record, err) : EXIT_DONE;
}

int command_worker_show(struct cli *cli, struct err *err)
{
    AUTO_FREE char *target = call_worker_target(cli->args->operands[0], "", err);
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return -1;
    return call_print_record(cli, RECORD_WORKER, record, err);
}

/* rbee breaker ls, show, reset, open: the circuit breakers of workers and GPUs. */
#include "cli/call.h"
#include "common/json.h"

int command_breaker_ls(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;

    if (call_get(cli, "/v1/breakers", &reply, err) < 0)
        return -1;
    return call_print_list(cli, RECORD_BREAKER, reply, "breakers", err);
}

int command_breaker_show(struct cli *cli, struct err *err)
{
    AUTO_FREE char *target = call_breaker_target(cli->args->operands[0], "", err);
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return -1;
    return call_print_record(cli, RECORD_BREAKER, record, err);
}

static int act(struct cli *cli, const char *suffix, const json_t *body, struct err *err)
{
    AUTO_FREE char *target = call_breaker_target(cli->args->operands[0], suffix, err);
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || call_post(cli, target, body, &record, err) < 0)
        return -1;
    return cli->wants_json ? call_print_record(cli, RECORD_BREAKER, record, err) : EXIT_DONE;
}

int command_breaker_reset(struct cli *cli, struct err *err)
{
    return act(cli, "/reset", NULL, err);
}

int command_breaker_open(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = call_reason_body(cli, err);

    return body == NULL ? -1 : act(cli, "/open", body, err);
}

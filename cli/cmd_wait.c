/* rbee wait: hold until a worker is in a state, or cannot come to it. */
#include "cli/call.h"
#include "common/json.h"

int command_wait(struct cli *cli, struct err *err)
{
    const char *state = args_text(cli->args, OPTION_FOR);
    uint64_t timeout_ms =
        args_has(cli->args, OPTION_TIMEOUT) ? args_duration_ms(cli->args, OPTION_TIMEOUT) : 0;
    AUTO_JSON json_t *record = NULL;

    if (call_wait(cli, cli->args->operands[0], state != NULL ? state : "ready", timeout_ms, &record,
                  err) < 0)
        return -1;
    return cli->wants_json ? call_print_record(cli, RECORD_WORKER, record, err) : EXIT_DONE;
}

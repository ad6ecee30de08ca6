/* rbee up: start the supervisor. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/start.h"
#include "common/json.h"

int command_up(struct cli *cli, struct err *err)
{
    struct err nobody = ERR_INIT;
    AUTO_JSON json_t *status = NULL;
    bool was_up = false;

    if (args_has(cli->args, OPTION_FOREGROUND))
        return start_foreground(cli, err);
    was_up = start_find(cli, &nobody) == 0;
    if (call_get(cli, "/v1/status", &status, err) < 0)
        return -1;
    message_note(cli, "rbeed %s, pid %" JSON_INTEGER_FORMAT,
                 was_up ? "was running already" : "is running",
                 json_integer_value(json_object_get(status, "pid")));
    return cli->wants_json ? call_print_record(cli, RECORD_STATUS, status, err) : EXIT_DONE;
}

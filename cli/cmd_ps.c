/* rbee ps: the workers. */
#include "cli/call.h"
#include "common/json.h"

int command_ps(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;

    if (call_get(cli, "/v1/workers", &reply, err) < 0)
        return -1;
    return call_print_list(cli, RECORD_WORKER, reply, "workers", err);
}

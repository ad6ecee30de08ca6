/* rbee why: one screen that explains a worker's state. */
#include "cli/call.h"
#include "cli/output.h"
#include "common/why_text.h"
#include "common/json.h"

enum { WHY_SCREEN_MAX_BYTES = 64 << 10 };

int command_why(struct cli *cli, struct err *err)
{
    AUTO_FREE char *target = call_worker_target(cli->args->operands[0], "/why", err);
    AUTO_JSON json_t *record = NULL;
    AUTO_BUF struct buf text = BUF_INIT(WHY_SCREEN_MAX_BYTES);

    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return -1;
    if (cli->wants_json)
        return output_print_json(cli, record, err) < 0 ? -1 : EXIT_DONE;
    why_text(record, &text);
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

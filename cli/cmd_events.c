/* rbee events: what happened to the workers, and with -f what happens. */
#include "cli/cli.h"
#include "cli/log_view.h"
#include "common/config.h"
#include "common/event_text.h"

enum { EVENTS_DEFAULT_COUNT = 20 };

int command_events(struct cli *cli, struct err *err)
{
    struct log_view view = {.cli = cli,
                            .path = "/v1/events",
                            .list = "events",
                            .filter = "worker",
                            .add_line = event_text_add,
                            .output = OUTPUT_INIT};

    if (cli->args->operand_count > 0)
        view.wanted = cli->args->operands[0];
    if (view.wanted != NULL && config_name_check(view.wanted, ERR_WORKER_NOT_FOUND, err) < 0)
        return err_wrap(err, "there is no such worker");
    if (log_view_read_options(&view, EVENTS_DEFAULT_COUNT, err) < 0)
        return -1;
    return log_view_run(&view, err);
}

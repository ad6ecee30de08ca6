/* rbee help [COMMAND]. */
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/output.h"

int command_help(struct cli *cli, struct err *err)
{
    const struct command *command = NULL;
    const struct command_group *group = NULL;
    size_t word_count = 0;
    AUTO_BUF struct buf text = BUF_INIT(HELP_MAX_BYTES);

    if (cli->args->operand_count == 0) {
        help_overview(&text);
        return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
    }
    command = command_find(cli->args->operands, cli->args->operand_count, &word_count, &group, err);
    if (command != NULL) {
        help_command(&text, command);
    } else if (group != NULL && cli->args->operand_count == 1) {
        err_clear(err);
        help_group(&text, group);
    } else {
        return -1;
    }
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

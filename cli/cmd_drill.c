/* rbee drill: a fault on purpose, for real. */
#include "cli/call.h"
#include "cli/message.h"
#include "common/drill.h"
#include "common/json.h"

#include <stdio.h>
#include <strings.h>

/* What runs on it fails, so a person is asked, and a script has to say that it means it. */
static int confirm(struct cli *cli, enum drill_kind kind, const char *name, struct err *err)
{
    char answer[16] = "";

    if (args_has(cli->args, OPTION_YES))
        return 0;
    if (!isatty(STDIN_FILENO))
        return err_set(err, ERR_USAGE,
                       "a drill breaks what %s is doing; without a terminal to ask "
                       "on it needs --yes",
                       name);
    message_always(cli,
                   "worker %s: it %s, what it is doing breaks, and it counts as a failure. "
                   "Do it? [y/N]",
                   name, drill_meaning(kind));
    if (fgets(answer, sizeof(answer), stdin) != NULL &&
        (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0))
        return 0;
    return err_set(err, ERR_FAILED, "nothing was done");
}

int command_drill(struct cli *cli, struct err *err)
{
    const char *name = cli->args->operands[1];
    AUTO_FREE char *target = call_worker_target(name, "/drill", err);
    AUTO_JSON json_t *body = json_pack("{s:s}", "kind", cli->args->operands[0]);
    AUTO_JSON json_t *record = NULL;
    enum drill_kind kind = DRILL_CRASH;

    if (drill_of_name(cli->args->operands[0], &kind, err) < 0) {
        err->kind = ERR_USAGE;
        return -1;
    }
    if (target == NULL || confirm(cli, kind, name, err) < 0 ||
        call_post(cli, target, body, &record, err) < 0)
        return -1;
    message_note(cli, "worker %s %s; what follows: rbee status", name, drill_meaning(kind));
    return cli->wants_json ? call_print_record(cli, RECORD_WORKER, record, err) : EXIT_DONE;
}

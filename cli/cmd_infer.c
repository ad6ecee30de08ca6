/* rbee infer: one answer.
 *
 * Everything that can be wrong with the input, and whether the file of -o can be written, is found
 * before the supervisor is asked, or started. From then on signals are watched: the first one
 * closes the connection, which cancels the request on the worker, removes an unfinished file of -o,
 * and ends the process. Before that a signal ends it there and then, so -o is opened only now. */
#include "cli/cli.h"
#include "cli/infer_ask.h"
#include "cli/infer_body.h"
#include "cli/message.h"
#include "common/json.h"

static int finish(struct infer_answer *answer, struct err *err)
{
    struct cli *cli = answer->cli;

    if (output_commit(answer->output, err) < 0)
        return -1;
    if (args_has(cli->args, OPTION_STATS))
        infer_answer_say_stats(cli, answer->end);
    if (!args_has(cli->args, OPTION_FAIL_ON_LENGTH) || !infer_answer_is_cut(answer))
        return EXIT_DONE;
    message_note(cli, "the answer was cut by its limit of tokens");
    return EXIT_INCOMPLETE;
}

int command_infer(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *body = infer_body_new(cli, err);
    AUTO_OUTPUT struct output output = OUTPUT_INIT;
    const char *path = output_path(cli->args, OPTION_OUTPUT);
    struct infer_answer answer;
    int rc = 0;

    if (body == NULL || output_check(path, err) < 0 || cli_connect(cli, err) < 0 ||
        interrupt_watch(&cli->interrupt, err) < 0 ||
        output_open(&output, &cli->interrupt, path, err) < 0)
        return -1;
    infer_answer_init(&answer, cli, &output);
    rc = infer_ask(&answer, body, err);
    if (rc == 0)
        rc = finish(&answer, err);
    else
        infer_answer_tell_failure(&answer, err);
    if (rc < 0)
        output_break_line(&output);
    infer_answer_release(&answer);
    return rc;
}

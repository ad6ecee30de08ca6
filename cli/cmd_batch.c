/* rbee batch: many requests, JSONL in and out.
 *
 * Everything that can be wrong with the input is found before the first request is sent. Results
 * are written in the order in which they come; "index" says which request each belongs to, counted
 * from 0 over the lines that are not blank. */
#include "cli/batch_input.h"
#include "cli/batch_output.h"
#include "cli/batch_run.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "cli/output.h"
#include "common/json.h"

#include <string.h>

static size_t integer_or(const struct cli *cli, enum option_id option, size_t without)
{
    return args_has(cli->args, option) ? (size_t)args_integer(cli->args, option) : without;
}

/* How the rest can be asked for. The words of the command are the user's own, with options that
 * change the answers: to repeat some of them only would be another batch. */
static void say_how_to_go_on(struct cli *cli, const struct batch_output *output, size_t left)
{
    const char *are = left == 1 ? "request has" : "requests have";

    if (left == 0)
        return;
    if (output->can_resume)
        message_note(cli, "%zu %s no answer yet; to go on, run the same command again%s", left, are,
                     args_has(cli->args, OPTION_RESUME) ? "" : " with --resume");
    else if (output->path == NULL)
        message_note(cli, "%zu %s no answer; with -o FILE a batch can be gone on with", left, are);
    else
        message_note(cli, "%zu %s no answer", left, are);
}

static int print_summary(struct cli *cli, const struct batch_input *input,
                         const struct batch_counts *counts, struct err *err)
{
    AUTO_JSON json_t *summary =
        json_pack("{s:I,s:I,s:I}", "requests", (json_int_t)input->count, "answered",
                  (json_int_t)counts->answered, "failed", (json_int_t)counts->failed);

    return output_print_json(cli, summary, err);
}

static int run(struct cli *cli, const struct batch_input *input, struct batch_output *output,
               struct err *err)
{
    size_t jobs = integer_or(cli, OPTION_JOBS, BATCH_JOBS_DEFAULT);
    struct batch_counts counts;
    size_t left = 0;
    int rc =
        batch_run(cli, input, output, jobs, integer_or(cli, OPTION_MAX_FAILURES, 0), &counts, err);

    left = input->count - counts.answered;
    if (rc < 0) {
        /* Where nothing was answered the same would fail again, but for a batch that was ended. */
        if (counts.answered > 0 || cli->interrupt.signal != 0)
            say_how_to_go_on(cli, output, left);
        return -1;
    }
    if (batch_output_close(output, err) < 0)
        return -1;
    message_note(cli, "%zu of %zu answered, %zu failed", counts.answered, input->count,
                 counts.failed);
    say_how_to_go_on(cli, output, left);
    /* stdout without -o has the results themselves. */
    if (cli->wants_json && output->path != NULL && print_summary(cli, input, &counts, err) < 0)
        return -1;
    return left > 0 ? EXIT_INCOMPLETE : EXIT_DONE;
}

static int read_and_open(struct cli *cli, struct batch_input *input, struct batch_output *output,
                         struct err *err)
{
    const char *path = output_path(cli->args, OPTION_RESULTS);
    bool resumes = args_has(cli->args, OPTION_RESUME);

    if (resumes && path == NULL)
        return err_set(err, ERR_USAGE, "--resume needs -o, the file to go on with");
    if (batch_input_read(input, cli, cli->args->operands[0], err) < 0 ||
        batch_output_open(output, &cli->interrupt, path, resumes, input, err) < 0)
        return -1;
    if (output->torn_bytes > 0)
        message_note(cli, "%s: cut off a last line that was not finished", path);
    if (output->answered_count > 0)
        message_note(cli, "%zu of %zu are answered already", output->answered_count, input->count);
    return 0;
}

int command_batch(struct cli *cli, struct err *err)
{
    struct batch_input input = {.text = BUF_INIT(0)};
    struct batch_output output = {.fd = -1, .out = OUTPUT_INIT};
    int rc = read_and_open(cli, &input, &output, err);

    if (rc == 0 && (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0))
        rc = -1;
    if (rc == 0)
        rc = run(cli, &input, &output, err);
    batch_output_release(&output);
    batch_input_release(&input);
    return rc;
}

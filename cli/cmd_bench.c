/* rbee bench: becomes a worker program that measures. Only a worker reads model files, and one that
 * is this process leaves nothing behind, however it ends. */
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/model_name.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BENCH_ARGUMENT_MAX_COUNT = 16,
    BENCH_NUMBER_MAX_BYTES = 24, /* of an int64_t */
};

struct bench_command {
    const char *argv[BENCH_ARGUMENT_MAX_COUNT + 1];
    size_t count;
    char context[BENCH_NUMBER_MAX_BYTES];
    char threads[BENCH_NUMBER_MAX_BYTES];
};

static void add_argument(struct bench_command *command, const char *text)
{
    assert(command->count < BENCH_ARGUMENT_MAX_COUNT);
    command->argv[command->count++] = text;
}

static void add_flag(struct bench_command *command, const struct args *args, enum option_id option,
                     const char *flag)
{
    if (args_has(args, option))
        add_argument(command, flag);
}

static void add_text(struct bench_command *command, const struct args *args, enum option_id option,
                     const char *flag)
{
    if (!args_has(args, option))
        return;
    add_argument(command, flag);
    add_argument(command, args_text(args, option));
}

static void add_number(struct bench_command *command, const struct args *args,
                       enum option_id option, const char *flag, char text[BENCH_NUMBER_MAX_BYTES])
{
    if (!args_has(args, option))
        return;
    (void)snprintf(text, BENCH_NUMBER_MAX_BYTES, "%" PRId64, args_integer(args, option));
    add_argument(command, flag);
    add_argument(command, text);
}

/* What was asked of rbee, in the words of rbee-worker. */
static void add_options(struct bench_command *command, const struct args *args)
{
    add_text(command, args, OPTION_DEVICE, "--device");
    add_text(command, args, OPTION_KV_TYPE, "--kv-type");
    add_number(command, args, OPTION_CONTEXT, "--context", command->context);
    add_number(command, args, OPTION_THREADS, "--threads", command->threads);
    add_flag(command, args, OPTION_ALLOW_CPU, "--allow-cpu");
    add_flag(command, args, OPTION_JSON, "--json");
    add_flag(command, args, OPTION_QUIET, "--quiet");
}

/* The file of what was named: a path is one, a name is looked up in the registry. */
static char *find_file(struct cli *cli, const char *name, struct err *err)
{
    AUTO_FREE char *target = NULL;
    AUTO_JSON json_t *record = NULL;
    const char *path = NULL;

    if (name[0] == '/')
        return xstrdup(name);
    target = call_model_target(name, err);
    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return NULL;
    path = json_string_value(json_object_get(record, "path"));
    return path != NULL ? xstrdup(path)
                        : err_set_null(err, ERR_PROTOCOL, "the supervisor's answer has no path");
}

static int become(const struct bench_command *command, struct err *err)
{
    (void)signal(SIGPIPE, SIG_DFL); /* as main() found them; cannot fail */
    (void)signal(SIGXFSZ, SIG_DFL);
    (void)execvp(command->argv[0], (char *const *)(uintptr_t)command->argv); /* returns to fail */
    return err_set(err, ERR_INTERNAL, "run %s: %m", command->argv[0]);
}

int command_bench(struct cli *cli, struct err *err)
{
    AUTO_FREE char *program = paths_sibling_program("rbee-worker");
    AUTO_FREE char *name = model_name_resolve(cli->args->operands[0], err);
    AUTO_FREE char *path = name != NULL ? find_file(cli, name, err) : NULL;
    struct bench_command command = {0};

    if (path == NULL)
        return -1;
    add_argument(&command, program);
    add_argument(&command, "--bench");
    add_argument(&command, path);
    if (name[0] != '/') {
        add_argument(&command, "--name");
        add_argument(&command, name);
    }
    add_options(&command, cli->args);
    return become(&command, err);
}

/* rbee completion bash, zsh, fish: the files of completions/, as they were when this was built. And
 * rbee completion workers, models, breakers, gpus: the names that those files offer, as they are
 * now. Somebody waits in the middle of typing a line: no supervisor is started, none is waited for
 * long, and nothing is said when it fails. */
#include "cli/api.h"
#include "cli/call.h"
#include "cli/completion_files.h"
#include "cli/output.h"
#include "common/json.h"
#include "common/mem.h"

#include <string.h>

enum {
    COMPLETION_FILE_MAX_BYTES = 256 * 1024,
    NAMES_MAX_BYTES = 64 * 1024, /* far more than anybody reads */
    NAMES_WAIT_MS = 500,         /* for each list */
};

struct name_list {
    const char *operand;
    const char *target;
    const char *field;  /* of the reply */
    const char *key;    /* of its records */
    const char *prefix; /* of the names that count */
};

/* The rows of one operand are put together: a GPU may be known to its driver, or to a worker. */
static const struct name_list NAME_LISTS[] = {
    {"workers", "/v1/workers", "workers", "name", ""},
    {"models", "/v1/models", "data", "name", ""},
    {"breakers", "/v1/breakers", "breakers", "name", ""},
    {"gpus", "/v1/gpus", "gpus", "id", "gpu:"},
    {"gpus", "/v1/breakers", "breakers", "name", "gpu:"},
};

/* A name goes into a shell: none that a shell, or a terminal, could take for more than a name. */
static bool is_harmless(const char *name)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._:-";

    return name[0] != '\0' && name[0] != '-' && name[strspn(name, LETTERS)] == '\0';
}

/* Whether LINE, with its end, is one of OUT's. */
static bool is_listed(const struct buf *out, const char *line)
{
    const char *found = strstr(out->data, line);

    while (found != NULL && found != out->data && found[-1] != '\n')
        found = strstr(found + 1, line);
    return found != NULL;
}

static void add_names(struct buf *out, const struct name_list *list, const json_t *records)
{
    const json_t *record = NULL;
    size_t index = 0;

    json_array_foreach(records, index, record)
    {
        const char *name = json_string_value(json_object_get(record, list->key));
        AUTO_FREE char *line = NULL;

        if (name == NULL || !is_harmless(name) ||
            strncmp(name, list->prefix, strlen(list->prefix)) != 0)
            continue;
        line = xasprintf("%s\n", name);
        if (!is_listed(out, line) && buf_add_string(out, line) < 0)
            return; /* what fits is offered */
    }
}

/* What cannot be told is left out: there is nobody to tell why. */
static void ask_names(struct cli *cli, const struct name_list *list, struct buf *out)
{
    const struct api_request request = {
        .method = HTTP_GET, .target = list->target, .timeout_ms = NAMES_WAIT_MS};
    struct err ignored = ERR_INIT;
    AUTO_JSON json_t *reply = NULL;

    if (api_send(cli->api, &request, &reply, NULL, &ignored) == 0)
        add_names(out, list, json_object_get(reply, list->field));
}

/* Another machine's names would be asked for with a token, and over a network, at the press of a
 * key. */
static int print_names(struct cli *cli, const char *operand, struct err *err)
{
    struct err ignored = ERR_INIT;
    AUTO_BUF struct buf names = BUF_INIT(NAMES_MAX_BYTES);
    const char *host = args_text(cli->args, OPTION_HOST);

    if ((host != NULL && strncmp(host, "unix:", strlen("unix:")) != 0) ||
        cli_connect(cli, &ignored) < 0)
        return EXIT_DONE;
    for (size_t i = 0; i < ARRAY_COUNT(NAME_LISTS); i++) {
        if (strcmp(NAME_LISTS[i].operand, operand) == 0)
            ask_names(cli, &NAME_LISTS[i], &names);
    }
    return output_print(cli, &names, err) < 0 ? -1 : EXIT_DONE;
}

static int print_file(struct cli *cli, const struct completion_file *file, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(COMPLETION_FILE_MAX_BYTES);

    if (buf_add_string(&text, file->text) < 0)
        return err_set(err, ERR_INTERNAL, "the completions of %s are too long", file->shell);
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

int command_completion(struct cli *cli, struct err *err)
{
    const char *wanted = cli->args->operands[0];

    for (size_t i = 0; i < COMPLETION_FILE_COUNT; i++) {
        if (strcmp(wanted, COMPLETION_FILES[i].shell) == 0)
            return print_file(cli, &COMPLETION_FILES[i], err);
    }
    for (size_t i = 0; i < ARRAY_COUNT(NAME_LISTS); i++) {
        if (strcmp(wanted, NAME_LISTS[i].operand) == 0)
            return print_names(cli, wanted, err);
    }
    return err_set(err, ERR_USAGE, "there are completions for bash, zsh and fish, not for %.64s",
                   wanted);
}

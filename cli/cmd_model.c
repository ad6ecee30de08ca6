/* rbee model add, ls, show, rm: which files are models, and what they are called. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/model_record.h"
#include "cli/output.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/split_name.h"

#include <string.h>
#include <unistd.h>

int command_model_add(struct cli *cli, struct err *err)
{
    const char *name = args_text(cli->args, OPTION_NAME);
    AUTO_FREE char *path = paths_absolute(cli->args->operands[0], err);
    AUTO_JSON json_t *body = json_object();
    AUTO_JSON json_t *record = NULL;
    /* Describing a file takes as long as the disk does: no time limit. */
    struct api_request request = {.method = HTTP_POST, .target = "/v1/models", .body = body};

    if (path == NULL)
        return -1;
    if (access(path, R_OK) < 0)
        return err_set(err, ERR_NO_FILE, "open %s: %m", path);
    if (json_object_set_new(body, "path", json_string(path)) < 0)
        return err_set(err, ERR_INVALID_UTF8, "the path is not UTF-8");
    if (name != NULL && json_object_set_new(body, "name", json_string(name)) < 0)
        return err_set(err, ERR_INVALID_UTF8, "--name is not UTF-8");
    if (cli_connect(cli, err) < 0 || call_send(cli, &request, &record, err) < 0)
        return -1;
    return model_record_print(cli, record, err);
}

int command_model_ls(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *reply = NULL;

    if (call_get(cli, "/v1/models", &reply, err) < 0)
        return -1;
    return call_print_list(cli, RECORD_MODEL, reply, "data", err);
}

int command_model_show(struct cli *cli, struct err *err)
{
    AUTO_FREE char *target = call_model_target(cli->args->operands[0], err);
    AUTO_JSON json_t *record = NULL;

    if (target == NULL || call_get(cli, target, &record, err) < 0)
        return -1;
    return call_print_record(cli, RECORD_MODEL, record, err);
}

/* The record of a model that we have fetched, and whose file nobody may know the place of; else
 * NULL. What fails here fails in the removal as well, which says why. */
static json_t *find_pulled(struct cli *cli, const char *target)
{
    const struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *record = NULL;
    struct err ignored = ERR_INIT;

    if (api_send(cli->api, &request, &record, NULL, &ignored) < 0 ||
        !json_is_string(json_object_get(record, "source")) ||
        !json_is_string(json_object_get(record, "path")))
        return NULL;
    return take_ptr(record);
}

/* What a shell takes for the file of a model, and for the other parts of a split one; the caller
 * frees it. */
static char *files_word(const char *path)
{
    static const char ANY_INDEX[] = "?????"; /* of five digits */
    struct split_name split;

    if (!split_name_read(path, &split))
        return xasprintf("'%s'", path);
    return xasprintf("'%.*s'-%s-of-%05u%s", (int)split.stem_len, path, ANY_INDEX, split.count,
                     path + strlen(path) - strlen(GGUF_SUFFIX));
}

static void say_what_stays(struct cli *cli, const json_t *pulled)
{
    AUTO_FREE char *word = files_word(json_string_value(json_object_get(pulled, "path")));

    message_note(cli, "forgotten; what was fetched stays, and goes with: rm %s", word);
}

int command_model_rm(struct cli *cli, struct err *err)
{
    const char *name = cli->args->operands[0];
    AUTO_FREE char *target = call_model_target(name, err);
    struct api_request request = {
        .method = HTTP_DELETE, .target = target, .timeout_ms = API_ANSWER_MS};
    AUTO_JSON json_t *pulled = NULL;
    AUTO_JSON json_t *removed = NULL;

    if (target == NULL || cli_connect(cli, err) < 0)
        return -1;
    pulled = find_pulled(cli, target);
    if (call_send(cli, &request, NULL, err) < 0)
        return -1;
    if (pulled != NULL)
        say_what_stays(cli, pulled);
    removed = json_pack("{s:s,s:s}", "name", name, "state", "removed");
    if (cli->wants_json && output_print_json(cli, removed, err) < 0)
        return -1;
    return EXIT_DONE;
}

/* rbee config check, show, path: the settings of this machine, read here and not asked for. */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "common/config.h"
#include "common/json.h"
#include "common/paths.h"
#include "common/records.h"

#include <string.h>
#include <unistd.h>

enum { CONFIG_TEXT_MAX_BYTES = 1 << 20, CONFIG_FILE_MAX_COUNT = 2 };

static struct config *load(const struct cli *cli, struct err *err)
{
    return config_load(args_text(cli->args, OPTION_CONFIG), err);
}

/* The files that are read, in order: the one of --config, or the system's and the user's. */
static json_t *list_files(const struct cli *cli)
{
    const char *given = args_text(cli->args, OPTION_CONFIG);
    AUTO_FREE char *user = paths_user_config();
    const char *paths[CONFIG_FILE_MAX_COUNT] = {given, NULL};
    json_t *files = json_array();

    if (given == NULL) {
        paths[0] = paths_system_config();
        paths[1] = user;
    }
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        if (paths[i] != NULL)
            (void)json_array_append_new(
                files, json_pack("{s:o,s:b}", "path", json_text_lossy(paths[i], strlen(paths[i])),
                                 "exists", access(paths[i], F_OK) == 0));
    }
    return files;
}

int command_config_check(struct cli *cli, struct err *err)
{
    AUTO_CONFIG struct config *config = load(cli, err);
    AUTO_JSON json_t *files = list_files(cli);
    AUTO_JSON json_t *report = json_pack("{s:s,s:O}", "state", "ok", "files", files);
    const json_t *file = NULL;
    size_t index = 0;
    AUTO_BUF struct buf text = BUF_INIT(CONFIG_TEXT_MAX_BYTES);

    if (config == NULL)
        return -1;
    if (cli->wants_json)
        return output_print_json(cli, report, err) < 0 ? -1 : EXIT_DONE;
    json_array_foreach(files, index, file)
    {
        (void)buf_printf(&text, "%s: %s\n", json_string_value(json_object_get(file, "path")),
                         json_is_true(json_object_get(file, "exists")) ? "ok" : "none");
    }
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

int command_config_path(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *files = list_files(cli);
    /* The last one is the user's own, or the one of --config. */
    const json_t *own = json_array_get(files, json_array_size(files) - 1);
    AUTO_BUF struct buf text = BUF_INIT(CONFIG_TEXT_MAX_BYTES);

    if (cli->wants_json)
        return output_print_json(cli, own, err) < 0 ? -1 : EXIT_DONE;
    if (buf_printf(&text, "%s\n", json_string_value(json_object_get(own, "path"))) < 0)
        return err_set(err, ERR_INTERNAL, "no memory for a path");
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

int command_config_show(struct cli *cli, struct err *err)
{
    AUTO_CONFIG struct config *config = load(cli, err);
    AUTO_JSON json_t *settings = NULL;
    AUTO_JSON json_t *report = NULL;
    AUTO_BUF struct buf text = BUF_INIT(CONFIG_TEXT_MAX_BYTES);

    if (config == NULL)
        return -1;
    settings = settings_list(config);
    if (cli->wants_json) {
        report = json_pack("{s:O}", "settings", settings);
        return output_print_json(cli, report, err) < 0 ? -1 : EXIT_DONE;
    }
    record_print_table(RECORD_SETTING, settings, &text);
    return output_print(cli, &text, err) < 0 ? -1 : EXIT_DONE;
}

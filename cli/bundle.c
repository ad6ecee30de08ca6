/* Owns the files of a bundle and what all of them have in common. Must not know what is in them. */
#include "cli/bundle.h"

#include "cli/cli.h"
#include "cli/start.h"
#include "common/config.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"

#include <fcntl.h>
#include <string.h>

enum {
    BUNDLE_FILE_MODE = 0600,
    BUNDLE_FILE_MAX_BYTES = 64 << 20,
    BUNDLE_TOKEN_MAX_BYTES = 4096 + 2
};

static const struct {
    int (*make)(struct bundle *bundle, struct err *err);
    const char *summary;
} PARTS[] = {
#define PART(function_, summary_) {.make = function_, .summary = summary_},
#include "cli/bundle_parts.def"
#undef PART
};

/* A token that we can read must not be in there, wherever it was quoted. */
static void hide_file(struct bundle *bundle, const char *path)
{
    AUTO_BUF struct buf text = BUF_INIT(BUNDLE_TOKEN_MAX_BYTES);
    struct err ignored = ERR_INIT; /* what we cannot read, nothing of ours has quoted */

    if (path[0] == '\0' || io_read_file(path, &text, &ignored) < 0)
        return;
    text.data[strcspn(text.data, "\r\n")] = '\0';
    scrub_hide(&bundle->scrub, text.data, "(secret)");
    explicit_bzero(text.data, text.len);
}

static void hide_tokens(struct bundle *bundle)
{
    struct err ignored = ERR_INIT;
    const char *given = args_text(bundle->cli->args, OPTION_TOKEN_FILE);
    AUTO_CONFIG struct config *config =
        config_load(args_text(bundle->cli->args, OPTION_CONFIG), &ignored);
    AUTO_FREE char *hub = paths_hub_token();

#define TOKEN_ROLE(id, name, file, credential, key)                                                \
    {                                                                                              \
        AUTO_FREE char *usual = paths_user_token(file);                                            \
        hide_file(bundle, usual);                                                                  \
        if (config != NULL)                                                                        \
            hide_file(bundle, config_text(config, key));                                           \
    }
#include "common/token_roles.def"
#undef TOKEN_ROLE
    hide_file(bundle, hub);
    if (config != NULL)
        hide_file(bundle, config_text(config, CONFIG_pull_token_file));
    if (given != NULL)
        hide_file(bundle, given);
}

void bundle_init(struct bundle *bundle, struct cli *cli, char *folder)
{
    *bundle = (struct bundle){.cli = cli, .folder = folder, .names = json_array()};
    scrub_init(&bundle->scrub);
    hide_tokens(bundle);
}

void bundle_release(struct bundle *bundle)
{
    scrub_release(&bundle->scrub);
    json_decref(bundle->names);
}

int bundle_add_text(struct bundle *bundle, const char *name, const char *text, size_t len,
                    struct err *err)
{
    AUTO_FREE char *path = paths_join(bundle->folder, name);
    AUTO_BUF struct buf clean = BUF_INIT(BUNDLE_FILE_MAX_BYTES);
    AUTO_CLOSE int fd = -1;

    if (scrub_text(&bundle->scrub, text, len, &clean) < 0)
        return err_set(err, ERR_OUTPUT, "%s would have more than %d bytes", name,
                       BUNDLE_FILE_MAX_BYTES);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, BUNDLE_FILE_MODE);
    if (fd < 0)
        return err_set(err, ERR_OUTPUT, "create %s: %m", path);
    if (io_write_all(fd, clean.data, clean.len, err) < 0)
        return err_wrap(err, "%s", path);
    (void)json_array_append_new(bundle->names, json_string(name));
    return 0;
}

int bundle_add_json(struct bundle *bundle, const char *name, const json_t *value, struct err *err)
{
    AUTO_FREE char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);

    if (text == NULL)
        return err_set(err, ERR_INTERNAL, "%s is no JSON", name);
    return bundle_add_text(bundle, name, text, strlen(text), err);
}

/* What is in there, for who opens it. */
static int add_readme(struct bundle *bundle, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(BUNDLE_FILE_MAX_BYTES);

    (void)buf_add_string(&text, "A support bundle of rbee. Prompts, answers, tokens and what "
                                "workers wrote are left out.\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(PARTS); i++)
        (void)buf_printf(&text, "- %s\n", PARTS[i].summary);
    return bundle_add_text(bundle, "README.txt", text.data, text.len, err);
}

int bundle_fill(struct bundle *bundle, struct err *err)
{
    struct err why = ERR_INIT;

    bundle->has_supervisor =
        start_find(bundle->cli, &why) == 0 && cli_connect(bundle->cli, &why) == 0;
    if (add_readme(bundle, err) < 0)
        return -1;
    if (!bundle->has_supervisor &&
        bundle_add_text(bundle, "supervisor.txt", why.message, strlen(why.message), err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_COUNT(PARTS); i++) {
        if (PARTS[i].make(bundle, err) < 0)
            return -1;
    }
    return 0;
}

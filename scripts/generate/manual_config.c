/* Owns rbee.conf(5), made of common/config_keys.def. */
#include "common/config.h"
#include "common/mem.h"
#include "scripts/generate/manual.h"
#include "scripts/generate/mdoc.h"

#include <assert.h>
#include <string.h>

/* What a value is. A CHOICE has its words instead. */
static const char *const TYPE_NAMES[] = {
    [CONFIG_TEXT] = "text",           [CONFIG_PATH] = "absolute path",
    [CONFIG_MODEL] = "model",         [CONFIG_COMMAND] = "command",
    [CONFIG_ENDPOINT] = "URL",        [CONFIG_TARGET] = "path of a URL",
    [CONFIG_DEVICE] = "device",       [CONFIG_ADDRESS] = "address",
    [CONFIG_HOSTS] = "list of hosts", [CONFIG_ORIGINS] = "list of origins",
    [CONFIG_INTEGER] = "number",      [CONFIG_BOOL] = "true or false",
    [CONFIG_DURATION] = "duration",   [CONFIG_SIZE] = "size",
};

/* "off|local": all of them, and the first is the default. */
static void add_choice(struct mdoc *page, const struct config_key_info *info)
{
    AUTO_FREE char *words = xstrdup(info->default_text);
    char *rest = words;
    const char *first = strsep(&rest, "|");
    const char *word = NULL;

    mdoc_line(page, "One of");
    mdoc_line(page, ".Cm %s", first);
    while ((word = strsep(&rest, "|")) != NULL)
        mdoc_line(page, "or\n.Cm %s", word);
    mdoc_line(page, "; the default is\n.Cm %s .", first);
}

static void add_key(struct mdoc *page, const struct config_key_info *info)
{
    mdoc_line(page, ".It Ic %s", info->key);
    mdoc_sentence(page, info->summary);
    if (info->type == CONFIG_CHOICE) {
        add_choice(page, info);
        return;
    }
    assert(info->type < ARRAY_COUNT(TYPE_NAMES) && TYPE_NAMES[info->type] != NULL);
    mdoc_line(page, "Type: %s%s", TYPE_NAMES[info->type],
              info->default_text[0] != '\0' ? "; the default is" : "; empty by default.");
    if (info->default_text[0] != '\0')
        mdoc_line(page, ".Cm %s .", info->default_text);
}

static void add_section(struct mdoc *page, const char *section)
{
    mdoc_line(page, ".Ss %s\n.Bl -tag -width Ds", section);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct config_key_info *info = config_key_info((enum config_key)key);

        if (strcmp(info->section, section) == 0)
            add_key(page, info);
    }
    mdoc_line(page, ".El");
}

static void add_sections(struct mdoc *page)
{
    const char *section = "";

    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct config_key_info *info = config_key_info((enum config_key)key);

        if (strcmp(info->section, section) != 0) /* those of one section stand together */
            add_section(page, info->section);
        section = info->section;
    }
}

static void add_worker_section(struct mdoc *page)
{
    mdoc_line(page, ".Ss worker NAME");
    mdoc_text(page, "A worker of that name, which the supervisor knows without being told. The "
                    "section may stand several times, once for each name.");
    mdoc_line(page, ".Bl -tag -width Ds");
    for (int key = 0; key < CONFIG_WORKER_KEY_COUNT; key++)
        add_key(page, config_worker_key_info((enum config_worker_key)key));
    mdoc_line(page, ".El");
}

static void add_description(struct mdoc *page)
{
    mdoc_text(page,
              "The settings of `rbee` and of its supervisor. A file is made of sections of keys; a "
              "key that is not there keeps its default, and the file may be missing altogether. An "
              "unknown key, one that stands twice and a value out of range are errors that name "
              "file and line.");
    mdoc_line(page, ".Pp");
    mdoc_text(page, "Your own file goes before the system's, key by key, and an option of the "
                    "command line before both. A file that somebody else can write is refused. "
                    "`rbee config check` says what is wrong, `rbee config show` which value holds "
                    "and where it comes from. The supervisor reads its file again at HUP.");
    mdoc_line(page, ".Pp");
    mdoc_text(page, "Text stands in double quotes. Durations are `500ms`, `30s`, `5m` and `1h`; "
                    "sizes are bytes, or `64KiB`, `4MiB`, `2GiB`. Where a limit may be turned "
                    "off, its value is `off`. Lines that begin with `#` are comments.");
}

int manual_config_generate(const char *folder, struct err *err)
{
    struct mdoc page;

    if (mdoc_begin(&page, folder, "rbee.conf", "5", "configuration of rbee", err) < 0)
        return -1;
    mdoc_line(&page, ".Sh DESCRIPTION");
    add_description(&page);
    add_sections(&page);
    add_worker_section(&page);
    mdoc_line(&page, ".Sh FILES\n.Bl -tag -width Ds\n.It Pa $XDG_CONFIG_HOME/rbee/rbee.conf");
    mdoc_text(&page, "Yours; without the variable, in `~/.config`.");
    mdoc_line(&page, ".It Pa /etc/rbee/rbee.conf\nThe system's.\n.El\n.Sh EXAMPLES");
    mdoc_sentence(&page, "a model that is always there, and a longer wait for answers");
    mdoc_line(&page, ".Bd -literal -offset indent");
    mdoc_literal(&page, "deadline { default = 5m }");
    mdoc_literal(&page, "worker chat {");
    mdoc_literal(&page, "    model = \"/srv/models/llama.gguf\"");
    mdoc_literal(&page, "    context = 16384");
    mdoc_literal(&page, "    autostart = true");
    mdoc_literal(&page, "    pin = true");
    mdoc_literal(&page, "}");
    mdoc_line(&page, ".Ed\n.Sh SEE ALSO\n.Xr rbee 1 ,\n.Xr rbee-config 1 ,\n.Xr rbeed 8");
    return mdoc_end(&page, err);
}

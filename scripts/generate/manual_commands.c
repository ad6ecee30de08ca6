/* Owns rbee(1) and the pages of commands and groups. What they say comes from cli/commands.def,
 * cli/options.def and cli/examples.def, as "rbee help" does, and from man/prose.def. */
#include "cli/command.h"
#include "cli/option.h"
#include "common/mem.h"
#include "scripts/generate/manual.h"
#include "scripts/generate/mdoc.h"

#include <string.h>

/* A paragraph of a page. The name of what it is about is a text: what no command has is passed
 * over, what has no paragraph says its summary. */
static const struct {
    const char *name; /* "" for rbee(1) */
    const char *text;
} PROSE[] = {
#define PROSE(name_, text_) {.name = name_, .text = text_},
#include "man/prose.def"
#undef PROSE
};

static const struct {
    enum command_id command;
    const char *line;
    const char *what;
} EXAMPLES[] = {
#define EXAMPLE(command_, line_, what_)                                                            \
    {.command = COMMAND_##command_, .line = line_, .what = what_},
#include "cli/examples.def"
#undef EXAMPLE
};

/* "rbee-worker-start" of "worker start"; the caller frees it. */
static char *page_name(const char *name)
{
    char *page = xasprintf("rbee-%s", name);

    for (char *at = page; *at != '\0'; at++) {
        if (*at == ' ')
            *at = '-';
    }
    return page;
}

/* Whether there is any. */
static bool add_prose(struct mdoc *page, const char *name)
{
    bool is_first = true;

    for (size_t i = 0; i < ARRAY_COUNT(PROSE); i++) {
        if (strcmp(PROSE[i].name, name) != 0)
            continue;
        if (!is_first)
            mdoc_line(page, ".Pp");
        mdoc_text(page, PROSE[i].text);
        is_first = false;
    }
    return !is_first;
}

/* ---- options ---- */

static void add_option(struct mdoc *page, const struct option *option)
{
    if (option->letter != 0)
        mdoc_line(page, ".It Fl %c , Fl -%s%s%s", option->letter, option->long_name,
                  option_has_value(option) ? " Ar " : "", option->argument);
    else
        mdoc_line(page, ".It Fl -%s%s%s", option->long_name, option_has_value(option) ? " Ar " : "",
                  option->argument);
    mdoc_sentence(page, option->summary);
    if (option->default_text[0] != '\0') {
        mdoc_line(page, "Default: %s.", option->default_text);
    }
}

/* Those of COMMAND alone, or with NULL those of every command. */
static void add_options(struct mdoc *page, const struct command *command)
{
    bool has_any = false;

    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = option_get((enum option_id)id);
        bool is_global = option_is_global(option);

        if (is_global != (command == NULL) ||
            (command != NULL && !option_belongs_to(option, command)))
            continue;
        if (!has_any)
            mdoc_line(page, ".Bl -tag -width Ds");
        has_any = true;
        add_option(page, option);
    }
    if (has_any)
        mdoc_line(page, ".El");
    if (command == NULL)
        return;
    mdoc_line(page, "%s", has_any ? ".Pp" : "It has no options of its own.");
    mdoc_line(page, "Options that every command has are in");
    mdoc_line(page, ".Xr rbee 1 .");
}

/* ---- what is typed inside of a command ---- */

/* What a command understands while it runs. */
static const struct {
    enum command_id command;
    const char *typed;
    const char *operand;
    const char *help; /* "": the row before has it */
} TYPED[] = {
#define CHAT_COMMAND(name, function, operand_, summary)                                            \
    {.command = COMMAND_CHAT, .typed = "/" name, .operand = operand_, .help = summary},
#include "cli/chat_commands.def"
#undef CHAT_COMMAND
#define KEY(key, shown, views, function, bottom, help_)                                            \
    {.command = COMMAND_TOP, .typed = shown, .operand = "", .help = help_},
#include "tui/keys.def"
#undef KEY
};

static void add_typed(struct mdoc *page, const struct command *command)
{
    bool has_any = false;

    for (size_t i = 0; i < ARRAY_COUNT(TYPED); i++) {
        if (TYPED[i].command != command->id || TYPED[i].help[0] == '\0')
            continue;
        if (!has_any)
            mdoc_line(page, ".Ss %s\n.Bl -tag -width Ds",
                      command->id == COMMAND_TOP ? "Keys" : "Lines that begin with a slash");
        has_any = true;
        mdoc_line(page, ".It Xo");
        mdoc_line(page, ".Cm \"\\&%s\"", TYPED[i].typed); /* a lone "?" would be punctuation */
        if (TYPED[i].operand[0] != '\0')
            mdoc_macro(page, "Ar", TYPED[i].operand);
        mdoc_line(page, ".Xc");
        mdoc_sentence(page, TYPED[i].help);
    }
    if (has_any)
        mdoc_line(page, ".El");
}

/* ---- examples ---- */

static void add_examples(struct mdoc *page, const struct command *command)
{
    bool has_any = false;

    for (size_t i = 0; i < ARRAY_COUNT(EXAMPLES); i++) {
        if (EXAMPLES[i].command != command->id)
            continue;
        mdoc_line(page, "%s", has_any ? ".Pp" : ".Sh EXAMPLES");
        has_any = true;
        mdoc_sentence(page, EXAMPLES[i].what);
        mdoc_line(page, ".Bd -literal -offset indent");
        mdoc_literal(page, EXAMPLES[i].line);
        mdoc_line(page, ".Ed");
    }
}

/* ---- lists of commands ---- */

/* What each command of GROUP does, or with NULL each command of one word. */
static void add_command_list(struct mdoc *page, const struct command_group *group)
{
    for (int id = 0; id < COMMAND_COUNT; id++) {
        const struct command *command = command_get((enum command_id)id);
        AUTO_FREE char *name = page_name(command->name);

        if (group != NULL ? !command_is_in_group(command, group)
                          : strchr(command->name, ' ') != NULL)
            continue;
        mdoc_line(page, ".It Xr %s 1", name);
        mdoc_sentence(page, command->summary);
    }
}

static void add_group_list(struct mdoc *page)
{
    size_t count = 0;
    const struct command_group *groups = command_groups(&count);

    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *name = page_name(groups[i].name);

        mdoc_line(page, ".It Xr %s 1", name);
        mdoc_sentence(page, groups[i].summary);
    }
}

/* ---- pages ---- */

/* The other commands of the group of COMMAND, in front of what every page names. */
static void add_see_also(struct mdoc *page, const struct command *command)
{
    size_t count = 0;
    const struct command_group *groups = command_groups(&count);

    mdoc_line(page, ".Sh SEE ALSO\n.Xr rbee 1 ,");
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *name = page_name(groups[i].name);

        if (command_is_in_group(command, &groups[i]))
            mdoc_line(page, ".Xr %s 1 ,", name);
    }
    mdoc_line(page, ".Xr rbee.conf 5 ,\n.Xr rbee-exit 7");
}

static void add_exit_status(struct mdoc *page)
{
    mdoc_line(page, ".Sh EXIT STATUS");
    mdoc_text(page, "0 when it is done. Each way to fail has a code of its own, listed in");
    mdoc_line(page, ".Xr rbee-exit 7 .");
}

static int write_command(const char *folder, const struct command *command, struct err *err)
{
    AUTO_FREE char *name = page_name(command->name);
    struct mdoc page;

    if (mdoc_begin(&page, folder, name, "1", command->summary, err) < 0)
        return -1;
    mdoc_line(&page, ".Sh SYNOPSIS\n.Nm \"rbee %s\"", command->name);
    if (command->operands[0] != '\0')
        mdoc_macro(&page, "Ar", command->operands);
    mdoc_line(&page, ".Op Ar OPTION ...\n.Sh DESCRIPTION");
    if (!add_prose(&page, command->name))
        mdoc_sentence(&page, command->summary);
    add_typed(&page, command);
    mdoc_line(&page, ".Sh OPTIONS");
    add_options(&page, command);
    add_exit_status(&page);
    add_examples(&page, command);
    add_see_also(&page, command);
    return mdoc_end(&page, err);
}

static int write_group(const char *folder, const struct command_group *group, struct err *err)
{
    AUTO_FREE char *name = page_name(group->name);
    struct mdoc page;

    if (mdoc_begin(&page, folder, name, "1", group->summary, err) < 0)
        return -1;
    mdoc_line(&page,
              ".Sh SYNOPSIS\n.Nm \"rbee %s\"\n.Ar COMMAND\n.Op Ar OPTION ...\n.Sh DESCRIPTION",
              group->name);
    if (!add_prose(&page, group->name))
        mdoc_sentence(&page, group->summary);
    mdoc_line(&page, ".Bl -tag -width Ds");
    add_command_list(&page, group);
    mdoc_line(&page, ".El\n.Sh SEE ALSO\n.Xr rbee 1 ,\n.Xr rbee-exit 7");
    return mdoc_end(&page, err);
}

static void add_files(struct mdoc *page)
{
    static const struct {
        const char *path;
        const char *what;
    } FILES[] = {
        {"$XDG_CONFIG_HOME/rbee/rbee.conf", "your configuration; without the variable, in "
                                            "`~/.config`"},
        {"/etc/rbee/rbee.conf", "the system's configuration"},
        {"$XDG_STATE_HOME/rbee",
         "the database, the logs, the audit trail; without the variable, in "
         "`~/.local/state`"},
        {"$XDG_DATA_HOME/rbee/models",
         "models that were pulled; without the variable, in `~/.local/share`"},
        {"$XDG_RUNTIME_DIR/rbee/rbee.sock", "the supervisor's socket"},
        {"/run/rbee/rbee.sock",
         "the socket of the system's supervisor, asked when there is none of "
         "yours"},
    };

    mdoc_line(page, ".Sh FILES\n.Bl -tag -width Ds");
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        mdoc_line(page, ".It Pa %s", FILES[i].path);
        mdoc_sentence(page, FILES[i].what);
    }
    mdoc_line(page, ".El");
}

static void add_environment(struct mdoc *page)
{
    mdoc_line(page, ".Sh ENVIRONMENT\n.Bl -tag -width Ds");
    mdoc_line(page, ".It Ev RBEE_MODEL");
    mdoc_sentence(page, "the model of requests that name none");
    mdoc_line(page, ".It Ev NO_COLOR");
    mdoc_sentence(page, "set to anything: no colours");
    mdoc_line(page, ".It Ev RBEE_GPU_GRAPHS");
    mdoc_sentence(page,
                  "`off`: workers launch the kernels of a GPU one by one, not many of them as "
                  "one graph; for drivers whose graphs fail");
    mdoc_line(page, ".El");
}

static int write_overview(const char *folder, struct err *err)
{
    struct mdoc page;

    if (mdoc_begin(&page, folder, "rbee", "1", "run language models, and keep them running", err) <
        0)
        return -1;
    mdoc_line(&page, ".Sh SYNOPSIS\n.Nm rbee\n.Ar COMMAND\n.Op Ar ARGUMENT ...\n.Op Ar OPTION ...");
    mdoc_line(&page, ".Sh DESCRIPTION");
    (void)add_prose(&page, ""); /* it has some */
    mdoc_line(&page, ".Ss Commands\n.Bl -tag -width Ds");
    add_command_list(&page, NULL);
    mdoc_line(&page, ".El\n.Ss Groups of commands\n.Bl -tag -width Ds");
    add_group_list(&page);
    mdoc_line(&page, ".El\n.Sh OPTIONS");
    mdoc_text(&page, "Options stand anywhere, also before the command; `--` ends them. "
                     "`--option=value` works as well as two words. Every command has these:");
    add_options(&page, NULL);
    add_environment(&page);
    add_files(&page);
    add_exit_status(&page);
    mdoc_line(&page, ".Sh SEE ALSO\n.Xr rbee.conf 5 ,\n.Xr rbee-exit 7 ,\n.Xr rbeed 8");
    return mdoc_end(&page, err);
}

int manual_commands_generate(const char *folder, struct err *err)
{
    size_t group_count = 0;
    const struct command_group *groups = command_groups(&group_count);

    for (int id = 0; id < COMMAND_COUNT; id++) {
        if (write_command(folder, command_get((enum command_id)id), err) < 0)
            return -1;
    }
    for (size_t i = 0; i < group_count; i++) {
        if (write_group(folder, &groups[i], err) < 0)
            return -1;
    }
    return write_overview(folder, err);
}

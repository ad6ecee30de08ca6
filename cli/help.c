/* Owns the look of help texts. Must not know any command by name. */
#include "cli/help.h"

#include "cli/option.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    HELP_NAME_COLUMN = 16,   /* of commands */
    HELP_OPTION_COLUMN = 28, /* of options */
    HELP_OPTION_MAX_BYTES = 64,
};

struct example {
    enum command_id command;
    const char *line;
    const char *what;
};

static const struct example EXAMPLES[] = {
#define EXAMPLE(command_, line_, what_)                                                            \
    {.command = COMMAND_##command_, .line = line_, .what = what_},
#include "cli/examples.def"
#undef EXAMPLE
};

static void add(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct buf *out, const char *format, ...)
{
    char line[HELP_MAX_BYTES / 64];
    va_list args;
    int len = 0;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    assert(len >= 0 && len < (int)sizeof(line)); /* lines of our own tables */
    if (buf_add(out, line, (size_t)len) < 0)
        assert(!"help is longer than HELP_MAX_BYTES");
}

static void add_commands(struct buf *out, const struct command_group *group)
{
    for (int id = 0; id < COMMAND_COUNT; id++) {
        const struct command *command = command_get((enum command_id)id);

        if (group == NULL || command_is_in_group(command, group))
            add(out, "  %-*s %s\n", HELP_NAME_COLUMN, command->name, command->summary);
    }
}

static void add_option(struct buf *out, const struct option *option)
{
    char name[HELP_OPTION_MAX_BYTES];
    char letter[] = "-?, ";
    int len = 0;

    letter[1] = option->letter;
    len = snprintf(name, sizeof(name), "%s--%s%s%s", option->letter != 0 ? letter : "    ",
                   option->long_name, option_has_value(option) ? " " : "", option->argument);
    assert(len < (int)sizeof(name));
    add(out, "  %-*s %s", HELP_OPTION_COLUMN, name, option->summary);
    if (option->default_text[0] != '\0')
        add(out, " [%s]", option->default_text);
    add(out, "\n");
}

static void add_global_options(struct buf *out)
{
    add(out, "\nOptions of every command:\n");
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (option_is_global(option_get((enum option_id)id)))
            add_option(out, option_get((enum option_id)id));
    }
}

void help_overview(struct buf *out)
{
    add(out, "usage: rbee COMMAND [ARGUMENT...] [OPTION...]\n\n"
             "Runs language models on this machine and keeps them running.\n\nCommands:\n");
    add_commands(out, NULL);
    add_global_options(out);
    add(out, "\n\"rbee COMMAND --help\" says more. Options stand anywhere; -- ends them.\n"
             "Exit codes: 0 done, 2 bad option, 65 bad input, 66 no such file, 67 no such model,\n"
             "worker, breaker or GPU, 69 no supervisor, 73 output not written, 74 broken off,\n"
             "75 try later, 78 bad configuration, 124 out of time, 130 interrupted.\n");
}

void help_group(struct buf *out, const struct command_group *group)
{
    add(out, "usage: rbee %s COMMAND [OPTION...]\n\n%s\n\nCommands:\n", group->name,
        group->summary);
    add_commands(out, group);
    add_global_options(out);
}

void help_command(struct buf *out, const struct command *command)
{
    bool has_title = false;

    add(out, "usage: rbee %s%s%s [OPTION...]\n\n%s\n", command->name,
        command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = option_get((enum option_id)id);

        if (option_is_global(option) || !option_belongs_to(option, command))
            continue;
        if (!has_title)
            add(out, "\nOptions:\n");
        has_title = true;
        add_option(out, option);
    }
    add_global_options(out);
    has_title = false;
    for (size_t i = 0; i < ARRAY_COUNT(EXAMPLES); i++) {
        if (EXAMPLES[i].command != command->id)
            continue;
        add(out, "%s  # %s\n  %s\n", has_title ? "" : "\nExamples:\n", EXAMPLES[i].what,
            EXAMPLES[i].line);
        has_title = true;
    }
}

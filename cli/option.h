/* The table of options (options.def). */
#ifndef RBEE_CLI_OPTION_H
#define RBEE_CLI_OPTION_H

#include "cli/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
#define OPTION(id, long_name, letter, argument, type, min, max, def, commands, summary) OPTION_##id,
#include "cli/options.def"
#undef OPTION
    OPTION_COUNT,
};

enum option_type {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_LIST,
    OPTION_INTEGER,
    OPTION_NUMBER,
    OPTION_ABOVE,
    OPTION_DURATION,
    OPTION_CHOICE,
};

struct option {
    const char *long_name;
    char letter;          /* 0: it has none */
    const char *argument; /* what the value is, "" for a flag */
    enum option_type type;
    double min;
    double max;
    const char *default_text;
    uint64_t commands; /* one bit a command_id */
    const char *summary;
};

const struct option *option_get(enum option_id id);
static inline bool option_has_value(const struct option *option)
{
    return option->type != OPTION_FLAG;
}
/* Whether every command has it. */
bool option_is_global(const struct option *option);
bool option_belongs_to(const struct option *option, const struct command *command);

#endif

/* The table of commands (commands.def). A command is a function that gets the context of the run
 * and returns the exit code, or -1 with err, from which main() makes message and exit code. */
#ifndef RBEE_CLI_COMMAND_H
#define RBEE_CLI_COMMAND_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

struct cli;

enum command_id {
#define GROUP(name, summary)
#define COMMAND(id, name, function, needs, operands, min, max, summary) COMMAND_##id,
#include "cli/commands.def"
#undef COMMAND
    COMMAND_COUNT,
};

enum command_needs { COMMAND_NEEDS_NOBODY, COMMAND_NEEDS_RUNNING, COMMAND_NEEDS_STARTED };

struct command {
    enum command_id id;
    const char *name; /* one word or two */
    int (*run)(struct cli *cli, struct err *err);
    enum command_needs needs;
    const char *operands; /* for the usage line */
    size_t operand_min;
    size_t operand_max;
    const char *summary;
};

#define COMMAND(id, name, function, needs, operands, min, max, summary)                            \
    int function(struct cli *cli, struct err *err);
#include "cli/commands.def"
#undef COMMAND
#undef GROUP

struct command_group {
    const char *name;
    const char *summary;
};

const struct command *command_get(enum command_id id);
/* All groups, in the order of the table. */
const struct command_group *command_groups(size_t *out_count);
/* NULL: there is none. */
const struct command_group *command_find_group(const char *name);
bool command_is_in_group(const struct command *command, const struct command_group *group);
/* Finds the command of the first one or two words; *out_word_count is how many of them were its
 * name. *out_group is set, beside a failure, when WORDS[0] is a group. ERR_USAGE, with the nearest
 * name. */
const struct command *command_find(const char *const *words, size_t word_count,
                                   size_t *out_word_count, const struct command_group **out_group,
                                   struct err *err);

#endif

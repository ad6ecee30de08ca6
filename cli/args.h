/* The command line, read and checked. Options stand anywhere, `--` ends them, `--opt=VAL`,
 * `--opt VAL`, `-oVAL` and `-o VAL` are the same, letters without a value may be joined (-qv),
 * names are never abbreviated, and of an option that is given twice the last one counts (a LIST
 * keeps all). Every failure is ERR_USAGE and names the option, its constraint and the value. */
#ifndef RBEE_CLI_ARGS_H
#define RBEE_CLI_ARGS_H

#include "cli/option.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union args_value {
    const char *text; /* TEXT, CHOICE */
    int64_t integer;
    double number;
    uint64_t duration_ms;
};

struct args_occurrence; /* an option where it stood */

struct args {
    /* NULL when there is none: then the operands are the words that were found, if any. */
    const struct command *command;
    const struct command_group *group; /* of the command, or the group that help is asked for */
    const char **operands;             /* without the command's name; text borrowed from argv */
    size_t operand_count;
    bool is_given[OPTION_COUNT];
    union args_value values[OPTION_COUNT];
    struct args_occurrence *occurrences;
    size_t occurrence_count;
};

/* Storage of the caller, released after a failure too. --json, --help and --version are set even
 * when it fails: the failure is told as they ask for. With --help or --version nothing else is
 * checked. */
int args_parse(struct args *args, int argc, char *const *argv, struct err *err);
void args_release(struct args *args);

/* Values of options; asserts the type. Text: NULL when not given. */
bool args_has(const struct args *args, enum option_id id);
const char *args_text(const struct args *args, enum option_id id);
/* Only when given: */
int64_t args_integer(const struct args *args, enum option_id id);
double args_number(const struct args *args, enum option_id id);
uint64_t args_duration_ms(const struct args *args, enum option_id id);
/* The values of a LIST, in order: *CURSOR is 0 at first; NULL at the end. */
const char *args_next(const struct args *args, enum option_id id, size_t *cursor);

#endif

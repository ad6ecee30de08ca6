/* --help and `rbee help`, made from the tables of commands, options and examples. */
#ifndef RBEE_CLI_HELP_H
#define RBEE_CLI_HELP_H

#include "cli/command.h"
#include "common/buf.h"

enum { HELP_MAX_BYTES = 32 * 1024 };

/* Each appends to OUT, whose maximum is HELP_MAX_BYTES: the tables fit. */
void help_overview(struct buf *out);
void help_group(struct buf *out, const struct command_group *group);
void help_command(struct buf *out, const struct command *command);

#endif

/* What a shell may offer where the tables of commands and options name a value. A hint is words
 * with a space between them: one in angle brackets names something that is looked up when it is
 * wanted, every other one is offered as it is.
 *
 *   <file> <worker> <model> <breaker> <gpu> <command>
 *
 * "crash|hang NAME" at 0 is "crash hang", at 1 "<worker>". */
#ifndef RBEE_SCRIPTS_GENERATE_HINT_H
#define RBEE_SCRIPTS_GENERATE_HINT_H

#include "cli/command.h"
#include "cli/option.h"
#include "common/buf.h"

enum { HINT_MAX_BYTES = 1024 };

/* Each appends to OUT, whose maximum is HINT_MAX_BYTES; nothing where nothing can be offered. */
void hint_of_operand(struct buf *out, const struct command *command, size_t index);
void hint_of_option(struct buf *out, const struct option *option);

#endif

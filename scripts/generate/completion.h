/* The completion files: tables that are made of cli/commands.def and cli/options.def, in the words
 * of each shell, and behind them the part that completions/logic.SHELL holds. */
#ifndef RBEE_SCRIPTS_GENERATE_COMPLETION_H
#define RBEE_SCRIPTS_GENERATE_COMPLETION_H

#include "common/err.h"

/* Reads SOURCE/completions/logic.*, writes OUT/completions/. */
int completion_generate(const char *source, const char *out, struct err *err);

#endif

/* The manual: rbee(1), a page for each command and each group, rbee.conf(5), rbee-exit(7). */
#ifndef RBEE_SCRIPTS_GENERATE_MANUAL_H
#define RBEE_SCRIPTS_GENERATE_MANUAL_H

#include "common/err.h"

/* Writes OUT/man/. */
int manual_generate(const char *out, struct err *err);
/* Parts of it; FOLDER is OUT/man. */
int manual_commands_generate(const char *folder, struct err *err);
int manual_config_generate(const char *folder, struct err *err);
int manual_exit_generate(const char *folder, struct err *err);

#endif

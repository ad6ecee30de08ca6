/* The files of completions/, whole, as they were when the program was built; the Makefile has a C
 * file made of them (scripts/embed_completions.sh). */
#ifndef RBEE_CLI_COMPLETION_FILES_H
#define RBEE_CLI_COMPLETION_FILES_H

#include <stddef.h>

struct completion_file {
    const char *shell;
    const char *text;
};

extern const struct completion_file COMPLETION_FILES[];
extern const size_t COMPLETION_FILE_COUNT;

#endif

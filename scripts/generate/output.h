/* Files of the generator: written with stdio, whose failures are kept until the end. */
#ifndef RBEE_SCRIPTS_GENERATE_OUTPUT_H
#define RBEE_SCRIPTS_GENERATE_OUTPUT_H

#include "common/err.h"

#include <stdio.h>

/* Both fail with ERR_OUTPUT. The second tells whether everything written since has arrived. */
int output_create(const char *path, FILE **out_file, struct err *err);
int output_close(const char *path, FILE *file, struct err *err);

#endif

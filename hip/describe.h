/* `rbee-worker --describe FILE`: what the supervisor asks instead of parsing model files itself. */
#ifndef RBEE_HIP_DESCRIBE_H
#define RBEE_HIP_DESCRIBE_H

#include "common/err.h"

/* Checks the file as a load would, without reading weights, and prints one line of JSON on stdout.
 * On failure nothing is printed. */
int describe_run(const char *path, struct err *err);

#endif

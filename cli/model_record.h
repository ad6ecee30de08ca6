/* What the commands print that make a model known. */
#ifndef RBEE_CLI_MODEL_RECORD_H
#define RBEE_CLI_MODEL_RECORD_H

#include "cli/cli.h"

#include <jansson.h>

/* The name alone, for $(rbee model add FILE); with --json the record. The exit code, or -1. */
int model_record_print(struct cli *cli, const json_t *record, struct err *err);

#endif

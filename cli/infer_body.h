/* The options of `rbee infer` as the body of POST /v1/inference (common/inference.h). */
#ifndef RBEE_CLI_INFER_BODY_H
#define RBEE_CLI_INFER_BODY_H

#include "common/err.h"

#include <jansson.h>

struct cli;

/* What the options say, without anything to answer. The caller owns the result; NULL on failure. */
json_t *infer_body_options(struct cli *cli, struct err *err);
/* Reads prompt, files and stdin as well. What was not given is left to the supervisor and its
 * defaults. The caller owns the result; NULL on failure. */
json_t *infer_body_new(struct cli *cli, struct err *err);

#endif

/* The options of `rbee infer` as the body of POST /v1/inference (common/inference.h). */
#ifndef RBEE_CLI_INFER_BODY_H
#define RBEE_CLI_INFER_BODY_H

#include "common/err.h"

#include <jansson.h>
#include <stddef.h>

struct cli;

/* {"role","content"}: TEXT was checked (input.h). The caller owns it. */
json_t *infer_message_new(const char *role, const char *text, size_t len);
/* The system message of -s, which the caller owns; *OUT is NULL without one. */
int infer_system_message(struct cli *cli, json_t **out, struct err *err);

/* What the options say, without anything to answer. The caller owns the result; NULL on failure. */
json_t *infer_body_options(struct cli *cli, struct err *err);
/* Reads prompt, files and stdin as well. What was not given is left to the supervisor and its
 * defaults. The caller owns the result; NULL on failure. */
json_t *infer_body_new(struct cli *cli, struct err *err);

#endif

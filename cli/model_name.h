/* What -m means: a worker, a model, or a path, which only we can make absolute. */
#ifndef RBEE_CLI_MODEL_NAME_H
#define RBEE_CLI_MODEL_NAME_H

#include "common/err.h"

#include <jansson.h>

/* The text for the API's field "model"; the caller frees it. NULL on failure. A text with a slash
 * is a path; so is one that names a file here and cannot be, or does not look like, a name. */
char *model_name_resolve(const char *text, struct err *err);
/* Sets the field to what TEXT means. */
int model_name_set(const char *text, json_t *body, struct err *err);
#endif

/* The requests of a batch: lines of JSON, checked before the first one is sent.
 *
 * A line is an object: "prompt" or "messages", any other field of a request (common/inference.h),
 * and an "id" of the user's own, text or whole number. What a line does not say, the command's
 * options say. Blank lines are no requests. All of FILE is held in memory. */
#ifndef RBEE_CLI_BATCH_INPUT_H
#define RBEE_CLI_BATCH_INPUT_H

#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct cli;
struct batch_line;

enum { BATCH_INPUT_MAX_BYTES = 256 << 20 };

struct batch_input {
    struct buf text;
    struct batch_line *lines;
    size_t count;
    json_t *options; /* fields for lines that do not have them */
    json_t *system;  /* the system message of -s, for lines with a prompt; NULL: none */
};

/* PATH "-": stdin. ERR_NO_FILE, ERR_BODY_TOO_LARGE; a line that is no request: its number, and exit
 * code 65. Storage of the caller, to be released after a failure too. */
int batch_input_read(struct batch_input *input, struct cli *cli, const char *path, struct err *err);
void batch_input_release(struct batch_input *input);
/* The body of request INDEX, from 0; the caller owns it. */
json_t *batch_input_body(const struct batch_input *input, size_t index);
/* Whether it names a model of its own. */
bool batch_input_has_model(const struct batch_input *input, size_t index);
/* Its "id", borrowed; NULL: it has none. */
json_t *batch_input_id(const struct batch_input *input, size_t index);

#endif

/* The results of a batch, one JSON object a line, each written whole and as it comes: stdout, or
 * the file of -o.
 *
 * The file is appended to, and one batch at a time has it. A run that was killed leaves at most its
 * last line torn; --resume cuts that off, skips what has an answer, and asks again what failed: of
 * two lines of one index the later one counts. */
#ifndef RBEE_CLI_BATCH_OUTPUT_H
#define RBEE_CLI_BATCH_OUTPUT_H

#include "cli/output.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct batch_input;
struct interrupt;

struct batch_output {
    struct output out; /* without a file */
    const char *path;  /* NULL: stdout */
    int fd;            /* of the file, -1 for none */
    bool can_resume;   /* it is one that can be read again */
    bool *is_answered; /* for each request: its answer is there */
    size_t answered_count;
    size_t torn_bytes; /* what was cut off */
};

/* Opens the file (PATH NULL: stdout) for the results of INPUT. Without RESUMES it must be empty or
 * not there (ERR_OUTPUT); a file of another batch is ERR_INVALID. Storage of the caller, to be
 * released after a failure too. */
int batch_output_open(struct batch_output *output, struct interrupt *interrupt, const char *path,
                      bool resumes, const struct batch_input *input, struct err *err);
/* One result; it is a line of its own when this returns 0. */
int batch_output_add(struct batch_output *output, const json_t *result, struct err *err);
/* Everything is on disk. */
int batch_output_close(struct batch_output *output, struct err *err);
void batch_output_release(struct batch_output *output);

#endif

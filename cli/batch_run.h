/* The requests of a batch on their way, some at a time, on one event loop.
 *
 * What says "try later" is asked again after the time it names, a bounded number of times; what
 * would be the same for every request (no supervisor, no token) ends the batch. */
#ifndef RBEE_CLI_BATCH_RUN_H
#define RBEE_CLI_BATCH_RUN_H

#include "common/err.h"

#include <stddef.h>

struct batch_input;
struct batch_output;
struct cli;

enum {
    BATCH_JOBS_DEFAULT = 4,
    BATCH_JOBS_MAX = 64, /* as many as a worker's queue takes [limits.queue] */
};

struct batch_counts {
    size_t answered; /* in an earlier run, too */
    size_t failed;   /* in this one */
};

/* CLI is connected and watches signals. 0: every request has its result, or MAX_FAILURES (0: no
 * limit) have failed. -1: it ended before that; what was written stays. *COUNTS is set in any case.
 */
int batch_run(struct cli *cli, const struct batch_input *input, struct batch_output *output,
              size_t job_count, size_t max_failures, struct batch_counts *counts, struct err *err);

#endif

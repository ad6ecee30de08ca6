/* The context of one run of `rbee`: what every command gets. Made and torn down by main(). */
#ifndef RBEE_CLI_CLI_H
#define RBEE_CLI_CLI_H

#include "cli/args.h"
#include "cli/interrupt.h"
#include "common/err.h"
#include "common/http/http.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct api;

/* Exit codes that are no failures; README.md has all of them. */
enum {
    EXIT_DONE = 0,
    EXIT_DEGRADED = 1,
    EXIT_BAD = 1, /* what was verified is not what it was */
    EXIT_INCOMPLETE = 3,
    EXIT_STOPPED = 3,
};

struct cli {
    const struct args *args;
    bool wants_json;
    bool is_quiet;
    bool is_verbose;
    bool has_colors_out; /* stdout takes colours */
    bool has_colors_err;
    bool has_progress; /* stderr is a terminal with lines that can be written over, and nobody asked
                          for quiet */
    bool progress_is_shown;
    struct interrupt interrupt;
    struct http_address address; /* of the supervisor, once connected */
    struct api *api;             /* NULL until cli_connect */
    json_t *failure;             /* the error envelope as the supervisor sent it, or NULL */
};

/* Connects to the supervisor; starts one when the command is of those that do, nothing forbids it
 * and none runs. ERR_UNREACHABLE. */
int cli_connect(struct cli *cli, struct err *err);

#endif

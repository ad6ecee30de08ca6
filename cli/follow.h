/* Streams that a person follows until Ctrl-C, over restarts of the supervisor. */
#ifndef RBEE_CLI_FOLLOW_H
#define RBEE_CLI_FOLLOW_H

#include "common/err.h"

#include <jansson.h>
#include <stdint.h>

struct cli;

struct follow {
    /* What to ask for, from where it was left; the caller frees it. */
    char *(*target)(void *owner);
    /* One event of the stream that is no error. -1 with err ends it all. */
    int (*on_event)(void *owner, const json_t *event, struct err *err);
    void *owner;
};

/* Never returns 0: a signal, the reader of stdout, or what the supervisor refuses end it. A
 * supervisor that goes away is waited for. */
int follow_run(struct cli *cli, const struct follow *follow, struct err *err);

/* The moment of --since, wall time; 0: not given. ERR_USAGE. */
int follow_read_since(struct cli *cli, int64_t *out_ms, struct err *err);

#endif

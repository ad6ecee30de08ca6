/* Finding the supervisor, and starting one.
 *
 * Any number of first commands start exactly one: whoever holds the lock STATE/start.lock looks
 * again, and only then starts. A supervisor that is just going, or coming, is waited for. */
#ifndef RBEE_CLI_START_H
#define RBEE_CLI_START_H

#include "common/err.h"

#include <stdbool.h>

struct cli;

/* Sets cli->address to a socket that somebody answers on: that of --host (on TCP whether anybody
 * does is seen at the first request) or else --config, then the usual one, the one in the
 * supervisor's lock file, and /run/rbee/rbee.sock. ERR_UNREACHABLE. */
int start_find(struct cli *cli, struct err *err);
/* Starts rbeed in a session of its own and waits until it takes requests; its own error when it
 * does not come to that; ERR_CONFLICT when another holds the state and is not found for 10 s. With
 * another one quicker there is nothing to do. Sets cli->address. */
int start_supervisor(struct cli *cli, struct err *err);
/* The process that holds this user's state; 0: none that we can see. Takes no lock: a supervisor
 * that starts meanwhile would find it, and give up. */
long start_holder_pid(void);
/* Becomes rbeed; returns only with an error. */
int start_foreground(struct cli *cli, struct err *err);

/* Puts the token for cli->address into *OUT, which the caller wipes and frees: that of
 * --token-file; without it, for this machine alone, the user's own: it must not go out to whoever
 * is named after
 * --host. NULL: there is none, or none is needed, because a Unix socket tells who calls. */
int start_read_token(const struct cli *cli, char **out, struct err *err);

#endif

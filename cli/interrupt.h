/* Signals that end a run in the middle: seen as a descriptor, so that a request can be cancelled
 * and a temporary file removed before the process ends as the signal would have ended it.
 *
 * Until interrupt_watch() signals do what they always do. Ending by the signal itself, and not by
 * exit(130), lets the shell that runs us in a loop know that it was interrupted. */
#ifndef RBEE_CLI_INTERRUPT_H
#define RBEE_CLI_INTERRUPT_H

#include "common/err.h"

#include <signal.h>
#include <stdint.h>

struct interrupt {
    int fd;     /* a signalfd, -1 when signals are not watched */
    int signal; /* the one that came (or SIGPIPE: stdout has no reader); 0: none */
};

/* Watches INT, TERM and HUP, but for those that the parent made us ignore. */
int interrupt_watch(struct interrupt *interrupt, struct err *err);
/* Takes what has arrived, without waiting; the next of these signals ends the process at once. */
void interrupt_take(struct interrupt *interrupt);
/* What was taken is over and done with: the next one is watched for again. */
int interrupt_rearm(struct interrupt *interrupt, struct err *err);
/* Waits until FD has something to read, or its end. -1: a watched signal came first. */
int interrupt_wait_readable(struct interrupt *interrupt, int fd);
/* Waits REST_MS. -1, ERR_CANCELLED: a watched signal came first. */
int interrupt_rest(struct interrupt *interrupt, uint64_t rest_ms, struct err *err);
/* Ends the process as SIGNO would; the exit status a shell sees is 128 + SIGNO. */
void interrupt_end_process(int signo) __attribute__((noreturn));

#endif

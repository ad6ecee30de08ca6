/* A child of ours, known by its pidfd: it cannot become another process before it is reaped. Its
 * descriptor stays the caller's. What it is for, and what follows from its end, is too. */
#ifndef RBEE_SUPERVISOR_CHILD_H
#define RBEE_SUPERVISOR_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* It may have ended already. */
void child_kill(int pidfd);
/* Reaps it if it has ended: false when it has not. */
bool child_reap(int pidfd, siginfo_t *out_status);
/* Kills and reaps it. One that is not gone at ENDS_MS of the monotonic clock is wedged, and the
 * kernel's to reap. */
void child_end(int pidfd, uint64_t ends_ms);

#endif

/* The one place that makes processes. vfork, so that a large parent costs nothing; the child does
 * only system calls until exec. */
#ifndef RBEE_COMMON_SPAWN_H
#define RBEE_COMMON_SPAWN_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SPAWN_FD_MAX = 8 };

struct spawn_fd {
    int parent_fd; /* a descriptor of ours */
    int child_fd;  /* its number in the child, 0 or above */
};

struct spawn {
    const char *program;               /* a path, or a name for the PATH */
    const char *const *argv;           /* NULL-terminated */
    const char *const *envp;           /* NULL-terminated, the whole environment; NULL: ours */
    struct spawn_fd fds[SPAWN_FD_MAX]; /* every other descriptor is closed; 0, 1 and 2 become
                                          /dev/null unless given */
    size_t fd_count;
    bool new_session;      /* setsid, chdir("/"): a daemon that outlives us */
    bool new_group;        /* its own process group */
    bool dies_with_parent; /* parent-death SIGKILL; call from the main thread only */
    bool no_core;          /* RLIMIT_CORE 0, no_new_privs */
};

/* Starts a process; *out_pid and *out_pidfd (CLOEXEC, may be NULL) are set on success. Signal mask
 * and dispositions are the defaults in the child. A failing exec is reported here: ERR_NO_FILE
 * when the program is missing, ERR_CONFIG when it is none or may not be run, else ERR_INTERNAL. The
 * caller reaps. */
int spawn_process(const struct spawn *spawn, pid_t *out_pid, int *out_pidfd, struct err *err);

/* A copy of this process, which must have no thread and nothing that two processes cannot share (an
 * event loop, a connection). *OUT_PID is 0 in the copy; it gets SIGNO when this process ends. The
 * caller reaps. */
int spawn_twin(int signo, pid_t *out_pid, struct err *err);

#endif

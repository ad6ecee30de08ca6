/* One supervisor for a state folder: flock on STATE/rbee.lock, whose text says who holds it. */
#ifndef RBEE_SUPERVISOR_LOCK_H
#define RBEE_SUPERVISOR_LOCK_H

#include "common/err.h"

struct lock {
    int fd; /* -1: not held */
};

#define LOCK_INIT                                                                                  \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* ERR_CONFLICT naming the holder when another process has it; ERR_IO. */
int lock_acquire(struct lock *lock, const char *state_dir, const char *socket_path,
                 struct err *err);
/* The file stays: removing it would let two processes each lock a file of that name. */
void lock_release(struct lock *lock);

#endif

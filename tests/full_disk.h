/* A disk that is full, for one program: no file of it may grow past a size. */
#ifndef RBEE_TESTS_FULL_DISK_H
#define RBEE_TESTS_FULL_DISK_H

#include <assert.h>
#include <signal.h>
#include <sys/resource.h>

/* RLIM_INFINITY: there is room again. */
static inline void full_disk_limit(rlim_t size_bytes)
{
    struct rlimit limit;
    int rc = getrlimit(RLIMIT_FSIZE, &limit);

    assert(rc == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    limit.rlim_cur = size_bytes == RLIM_INFINITY ? limit.rlim_max : size_bytes;
    rc = setrlimit(RLIMIT_FSIZE, &limit);
    assert(rc == 0);
}

#endif

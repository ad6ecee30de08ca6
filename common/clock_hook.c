/* Owns how far the clocks of this process have been moved. Only in builds with TEST_HOOKS=1. Must
 * not know who moves them.
 *
 * The two calls of the C library by which a process reads the time, or waits for a point of it, are
 * answered here. So the timers of libevent move with the clock that we compare, and no other part
 * of the program has to know that there is such a thing. */
#include "common/clock_hook.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000 };

/* Read by all threads, written by the loop's. A process has one clock, hence the file's scope. */
static struct clock_moved {
    _Atomic int64_t monotonic_ns;
    _Atomic int64_t wall_ns;
} clock_moved;

void clock_hook_advance(int64_t ms)
{
    atomic_fetch_add(&clock_moved.monotonic_ns, ms * NS_PER_MS);
}

void clock_hook_move_wall(int64_t ms)
{
    atomic_fetch_add(&clock_moved.wall_ns, ms * NS_PER_MS);
}

static void timespec_add(struct timespec *time, int64_t ns)
{
    int64_t sum_ns = time->tv_nsec + ns % NS_PER_S;

    time->tv_sec += ns / NS_PER_S;
    if (sum_ns < 0) {
        sum_ns += NS_PER_S;
        time->tv_sec--;
    } else if (sum_ns >= NS_PER_S) {
        sum_ns -= NS_PER_S;
        time->tv_sec++;
    }
    time->tv_nsec = sum_ns;
}

/* CPU times and the time since boot stay as they are. */
static int64_t clock_moved_ns(clockid_t id)
{
    switch (id) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE: /* libevent's */
    case CLOCK_MONOTONIC_RAW:
        return atomic_load(&clock_moved.monotonic_ns);
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return atomic_load(&clock_moved.wall_ns);
    default:
        return 0;
    }
}

/* Takes the place of the C library's, for its other libraries too. */
int clock_gettime(clockid_t id, struct timespec *out)
{
    long rc = syscall(SYS_clock_gettime, id, out);

    if (rc == 0)
        timespec_add(out, clock_moved_ns(id));
    return (int)rc;
}

/* Every condition of this program waits on the monotonic clock. The kernel's has not moved. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    struct timespec kernel_until = *until;

    timespec_add(&kernel_until, -atomic_load(&clock_moved.monotonic_ns));
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &kernel_until);
}

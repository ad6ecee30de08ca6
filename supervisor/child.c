/* Owns the killing and reaping of children that a pidfd stands for. Knows none of them. */
#include "supervisor/child.h"

#include "common/process.h"

#include <sys/pidfd.h>
#include <sys/wait.h>

void child_kill(int pidfd)
{
    (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* it may have ended already */
}

bool child_reap(int pidfd, siginfo_t *out_status)
{
    siginfo_t status = {0};

    if (waitid(P_PIDFD, (id_t)pidfd, &status, WEXITED | WNOHANG) != 0 || status.si_pid == 0)
        return false;
    *out_status = status;
    return true;
}

void child_end(int pidfd, uint64_t ends_ms)
{
    siginfo_t ignored;

    child_kill(pidfd);
    if (process_await(pidfd, ends_ms))
        (void)child_reap(pidfd, &ignored); /* it has ended */
}

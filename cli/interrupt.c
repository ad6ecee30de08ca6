/* Owns the signals of the command line. Must not know what is interrupted. */
#include "cli/interrupt.h"

#include "common/attr.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_SIGNAL_BASE = 128 };

static const int WATCHED[] = {SIGINT, SIGTERM, SIGHUP};

static bool is_ignored(int signo)
{
    struct sigaction action;

    return sigaction(signo, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void make_set(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_COUNT(WATCHED); i++) {
        /* nohup, or a job that a script put in the background: blocked, it would reach us. */
        if (!is_ignored(WATCHED[i]))
            sigaddset(set, WATCHED[i]);
    }
}

int interrupt_watch(struct interrupt *interrupt, struct err *err)
{
    sigset_t set;

    make_set(&set);
    interrupt->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (interrupt->fd < 0)
        return err_set(err, ERR_INTERNAL, "signalfd: %m");
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_set(err, ERR_INTERNAL, "sigprocmask: %m");
    return 0;
}

void interrupt_take(struct interrupt *interrupt)
{
    struct signalfd_siginfo info;
    sigset_t all;

    if (read(interrupt->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    interrupt->signal = (int)info.ssi_signo;
    sigemptyset(&all);
    for (size_t i = 0; i < ARRAY_COUNT(WATCHED); i++)
        sigaddset(&all, WATCHED[i]);
    (void)sigprocmask(SIG_UNBLOCK, &all, NULL); /* cannot fail: the arguments are constant */
}

int interrupt_rearm(struct interrupt *interrupt, struct err *err)
{
    sigset_t set;

    make_set(&set);
    interrupt->signal = 0;
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_set(err, ERR_INTERNAL, "sigprocmask: %m");
    return 0;
}

int interrupt_wait_readable(struct interrupt *interrupt, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = interrupt->fd, .events = POLLIN}};

    while (poll(fds, ARRAY_COUNT(fds), -1) < 0) {
        if (errno != EINTR)
            return 0; /* the read that follows says what is wrong */
    }
    if (fds[1].revents == 0)
        return 0;
    interrupt_take(interrupt);
    return interrupt->signal != 0 ? -1 : 0;
}

int interrupt_rest(struct interrupt *interrupt, uint64_t rest_ms, struct err *err)
{
    struct pollfd signals = {.fd = interrupt->fd, .events = POLLIN};

    assert(rest_ms <= INT_MAX);
    if (poll(&signals, 1, (int)rest_ms) <= 0) /* of -1: the rest is shorter */
        return 0;
    interrupt_take(interrupt);
    return err_set(err, ERR_CANCELLED, "interrupted");
}

void interrupt_end_process(int signo)
{
    sigset_t set;

    (void)signal(signo, SIG_DFL); /* these four cannot fail for a valid signal */
    sigemptyset(&set);
    sigaddset(&set, signo);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(signo);
    _exit(EXIT_SIGNAL_BASE + signo); /* only the first process of a container gets here */
}

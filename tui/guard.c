/* Owns the process that outlives the dashboard. Must not know what is drawn. */
#include "tui/guard.h"

#include "common/io.h"
#include "common/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { EXIT_SIGNAL_BASE = 128 };

/* Shared by both: the twin writes, the guard reads once the twin has stopped or ended. */
struct guard {
    atomic_bool is_taken;
    size_t words_len;
    char words[GUARD_WORDS_MAX_BYTES];
    struct termios before; /* as the guard found it */
};

/* ---- in the twin ---- */

void guard_take_terminal(struct guard *guard, const char *words, size_t len)
{
    guard->words_len = len < sizeof(guard->words) ? len : sizeof(guard->words);
    memcpy(guard->words, words, guard->words_len);
    atomic_store(&guard->is_taken, true);
}

void guard_take_terminal_again(struct guard *guard)
{
    atomic_store(&guard->is_taken, true);
}

void guard_give_terminal_back(struct guard *guard)
{
    atomic_store(&guard->is_taken, false);
}

/* ---- in the guard ---- */

static void restore(struct guard *guard)
{
    struct err ignored = ERR_INIT; /* a terminal that is gone needs nothing */

    if (!atomic_exchange(&guard->is_taken, false))
        return;
    /* All signals are blocked here, so neither can stop a guard that is in the background. */
    (void)io_write_all(STDOUT_FILENO, guard->words, guard->words_len, &ignored);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &guard->before);
}

static void __attribute__((noreturn)) end_as(int status)
{
    static const struct rlimit NO_CORE = {.rlim_cur = 0, .rlim_max = 0};
    sigset_t set;
    int signo = 0;

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    signo = WTERMSIG(status);
    (void)setrlimit(RLIMIT_CORE, &NO_CORE); /* the core, if any, is the twin's */
    (void)signal(signo, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signo);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* none of these fails for a signal that can end */
    (void)raise(signo);
    _exit(EXIT_SIGNAL_BASE + signo);
}

/* Stops as the twin has stopped, so that the shell takes over; goes on with it. */
static void stop_with(struct guard *guard, pid_t twin)
{
    restore(guard);
    (void)raise(SIGSTOP);
    (void)kill(twin, SIGCONT); /* whoever let us go on may have meant us alone */
}

/* True: the twin has ended, as *OUT_STATUS says. */
static bool look_at(struct guard *guard, pid_t twin, int *out_status)
{
    while (waitpid(twin, out_status, WNOHANG | WUNTRACED) == twin) {
        if (!WIFSTOPPED(*out_status))
            return true;
        stop_with(guard, twin);
    }
    return false;
}

/* What a terminal sends reaches both of us; what somebody sends to us alone is meant for it. */
static void pass_on(pid_t twin, const siginfo_t *info)
{
    if (info->si_code == SI_KERNEL || info->si_signo == SIGCONT || info->si_signo == SIGWINCH)
        return;
    (void)kill(twin, info->si_signo); /* gone: the next look sees it */
}

static void __attribute__((noreturn)) watch(struct guard *guard, pid_t twin)
{
    sigset_t all;
    siginfo_t info;
    int status = 0;

    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL); /* cannot fail */
    while (!look_at(guard, twin, &status)) {
        if (sigwaitinfo(&all, &info) > 0 && info.si_signo != SIGCHLD)
            pass_on(twin, &info);
    }
    restore(guard);
    end_as(status);
}

int guard_begin(struct guard **out, struct err *err)
{
    struct guard *guard =
        mmap(NULL, sizeof(*guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t twin = 0;

    if (guard == MAP_FAILED)
        return err_set(err, ERR_INTERNAL, "share memory: %m");
    if (tcgetattr(STDIN_FILENO, &guard->before) < 0)
        return err_set(err, ERR_USAGE, "stdin is no terminal: %m");
    (void)signal(SIGCHLD, SIG_DFL); /* a parent that ignores it would leave us without a status */
    if (spawn_twin(SIGTERM, &twin, err) < 0)
        return -1;
    if (twin > 0)
        watch(guard, twin);
    *out = guard;
    return 0;
}

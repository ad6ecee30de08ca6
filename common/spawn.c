/* Owns the making of processes. Must not know what they are for, and does not reap them.
 *
 * After vfork the child runs in our memory until exec: it only makes system calls, by way of
 * functions that keep no state (a sanitizer's or libc's book-keeping in the child would be ours as
 * well), and writes nothing that the parent reads but the error pipe. */
#include "common/spawn.h"

#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    SPAWN_STDIO_COUNT = 3,
    SPAWN_TARGET_MAX = SPAWN_FD_MAX + SPAWN_STDIO_COUNT,
    SPAWN_EXIT_FAILED = 127, /* what a shell gives for a program that cannot be run */
    /* Where there is no close_range: descriptors above are CLOEXEC by the house rule. */
    SPAWN_CLOSE_FALLBACK_MAX = 4096,
};

enum spawn_step {
    SPAWN_STEP_FDS,
    SPAWN_STEP_SESSION,
    SPAWN_STEP_PARENT,
    SPAWN_STEP_LIMITS,
    SPAWN_STEP_EXEC,
};

static const char *const STEP_NAMES[] = {
    [SPAWN_STEP_FDS] = "hand over descriptors",
    [SPAWN_STEP_SESSION] = "set session and group",
    [SPAWN_STEP_PARENT] = "set the parent-death signal",
    [SPAWN_STEP_LIMITS] = "set limits",
    [SPAWN_STEP_EXEC] = "exec",
};

struct spawn_failure {
    enum spawn_step step;
    int error;
};

/* Everything the child needs, worked out before there is one. */
struct spawn_plan {
    const struct spawn *spawn;
    const char *program; /* a path */
    const char *const *envp;
    struct spawn_fd targets[SPAWN_TARGET_MAX]; /* sorted by child_fd, no number twice */
    size_t target_count;
    int first_free_fd; /* above every target */
    int failure_fd;
    pid_t parent;
};

/* ---- in the child ---- */

static _Noreturn void spawn_child_fail(int failure_fd, enum spawn_step step)
{
    struct spawn_failure failure = {.step = step, .error = errno};

    (void)!write(failure_fd, &failure, sizeof(failure)); /* the exit status says it again */
    _exit(SPAWN_EXIT_FAILED);
}

/* Everything is first moved above all targets, so that no target's number is still a source when it
 * is filled. Returns the new place of the failure pipe. */
static int spawn_child_place_fds(const struct spawn_plan *plan)
{
    int moved[SPAWN_TARGET_MAX];
    int failure_fd = fcntl(plan->failure_fd, F_DUPFD_CLOEXEC, plan->first_free_fd);

    if (failure_fd < 0)
        spawn_child_fail(plan->failure_fd, SPAWN_STEP_FDS);
    for (size_t i = 0; i < plan->target_count; i++) {
        moved[i] = fcntl(plan->targets[i].parent_fd, F_DUPFD_CLOEXEC, plan->first_free_fd);
        if (moved[i] < 0)
            spawn_child_fail(failure_fd, SPAWN_STEP_FDS);
    }
    for (size_t i = 0; i < plan->target_count; i++) {
        if (dup2(moved[i], plan->targets[i].child_fd) < 0)
            spawn_child_fail(failure_fd, SPAWN_STEP_FDS);
    }
    return failure_fd;
}

/* CLOEXEC rather than closed: the failure pipe lives until exec. */
static void spawn_child_close_range(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, (unsigned)CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (unsigned fd = first; fd <= last && fd < SPAWN_CLOSE_FALLBACK_MAX; fd++)
        (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC); /* most of these numbers are not open */
}

static void spawn_child_close_others(const struct spawn_plan *plan)
{
    unsigned first = 0;

    for (size_t i = 0; i < plan->target_count; i++) {
        unsigned kept = (unsigned)plan->targets[i].child_fd;

        if (kept > first)
            spawn_child_close_range(first, kept - 1);
        first = kept + 1;
    }
    spawn_child_close_range(first, ~0u);
}

/* By raw system calls: libc's and the sanitizers' versions note the disposition in our memory. */
static void spawn_child_reset_signals(void)
{
    static const unsigned long NO_ACTION[8]; /* struct kernel_sigaction, all zero: SIG_DFL */
    static const unsigned long NO_SIGNALS[_NSIG / 8 / sizeof(unsigned long)];

    for (int signal_number = 1; signal_number < _NSIG; signal_number++)
        (void)syscall(SYS_rt_sigaction, signal_number, NO_ACTION, NULL, _NSIG / 8); /* KILL, STOP */
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, NO_SIGNALS, NULL, _NSIG / 8); /* cannot fail */
}

static void spawn_child_detach(const struct spawn_plan *plan, int failure_fd)
{
    const struct spawn *spawn = plan->spawn;

    if (spawn->new_session && (setsid() < 0 || chdir("/") < 0))
        spawn_child_fail(failure_fd, SPAWN_STEP_SESSION);
    /* A session leader leads its group already. */
    if (spawn->new_group && !spawn->new_session && setpgid(0, 0) < 0)
        spawn_child_fail(failure_fd, SPAWN_STEP_SESSION);
    if (!spawn->dies_with_parent)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        spawn_child_fail(failure_fd, SPAWN_STEP_PARENT);
    /* The parent may have died before the signal was asked for. */
    if (syscall(SYS_getppid) != plan->parent)
        _exit(SPAWN_EXIT_FAILED);
}

static void spawn_child_limit(const struct spawn_plan *plan, int failure_fd)
{
    static const struct rlimit NO_CORE = {.rlim_cur = 0, .rlim_max = 0};

    if (!plan->spawn->no_core)
        return;
    if (setrlimit(RLIMIT_CORE, &NO_CORE) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        spawn_child_fail(failure_fd, SPAWN_STEP_LIMITS);
}

static _Noreturn void spawn_child(const struct spawn_plan *plan)
{
    int failure_fd = spawn_child_place_fds(plan);

    spawn_child_detach(plan, failure_fd);
    spawn_child_limit(plan, failure_fd);
    spawn_child_close_others(plan);
    spawn_child_reset_signals();
    /* execve takes char * for history's sake and changes nothing. */
    (void)syscall(SYS_execve, plan->program, plan->spawn->argv, plan->envp);
    spawn_child_fail(failure_fd, SPAWN_STEP_EXEC);
}

/* ---- in the parent ---- */

/* The path of PROGRAM, which the caller frees; a name without a slash is looked for in PATH. */
static char *spawn_find_program(const char *program, struct err *err)
{
    const char *path = getenv("PATH");

    if (strchr(program, '/') != NULL)
        return xstrdup(program);
    if (path == NULL || path[0] == '\0')
        path = "/usr/local/bin:/usr/bin:/bin";
    while (program[0] != '\0') {
        size_t len = strcspn(path, ":");
        AUTO_FREE char *candidate =
            xasprintf("%.*s%s%s", (int)len, path, len > 0 ? "/" : "./", program);

        if (access(candidate, X_OK) == 0)
            return take_ptr(candidate);
        if (path[len] == '\0')
            break;
        path += len + 1;
    }
    return err_set_null(err, ERR_NO_FILE, "program %s is not in the PATH", program);
}

static void spawn_plan_add(struct spawn_plan *plan, int parent_fd, int child_fd)
{
    size_t at = plan->target_count;

    while (at > 0 && plan->targets[at - 1].child_fd > child_fd) {
        plan->targets[at] = plan->targets[at - 1];
        at--;
    }
    assert(at == 0 || plan->targets[at - 1].child_fd != child_fd);
    plan->targets[at] = (struct spawn_fd){.parent_fd = parent_fd, .child_fd = child_fd};
    plan->target_count++;
    if (child_fd >= plan->first_free_fd)
        plan->first_free_fd = child_fd + 1;
}

static void spawn_plan_fds(struct spawn_plan *plan, int null_fd)
{
    bool is_given[SPAWN_STDIO_COUNT] = {false};

    plan->first_free_fd = SPAWN_STDIO_COUNT;
    for (size_t i = 0; i < plan->spawn->fd_count; i++) {
        struct spawn_fd fd = plan->spawn->fds[i];

        assert(fd.parent_fd >= 0 && fd.child_fd >= 0);
        spawn_plan_add(plan, fd.parent_fd, fd.child_fd);
        if (fd.child_fd < SPAWN_STDIO_COUNT)
            is_given[fd.child_fd] = true;
    }
    for (int fd = 0; fd < SPAWN_STDIO_COUNT; fd++) {
        if (!is_given[fd])
            spawn_plan_add(plan, null_fd, fd);
    }
}

/* The child runs with every signal blocked until its dispositions are the defaults: a handler of
 * ours would run in our memory. */
static pid_t spawn_vfork(const struct spawn_plan *plan)
{
    sigset_t all;
    sigset_t before;
    int vfork_errno = 0;
    pid_t pid = 0;

    (void)sigfillset(&all);                            /* cannot fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* cannot fail with these arguments */
    pid = vfork();
    if (pid == 0)
        spawn_child(plan);
    vfork_errno = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as above */
    errno = vfork_errno;
    return pid;
}

static void spawn_reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Reads what the child said before its exec; nothing when that worked. */
static int spawn_check_started(const struct spawn_plan *plan, int failure_fd, pid_t pid,
                               struct err *err)
{
    struct spawn_failure failure = {.step = SPAWN_STEP_EXEC, .error = 0};
    ssize_t len = 0;

    do
        len = read(failure_fd, &failure, sizeof(failure));
    while (len < 0 && errno == EINTR);
    if (len != (ssize_t)sizeof(failure))
        return 0;
    spawn_reap(pid);
    errno = failure.error;
    if (failure.step == SPAWN_STEP_EXEC && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_NO_FILE, "run %s: %m", plan->program);
    if (failure.step == SPAWN_STEP_EXEC && (errno == EACCES || errno == ENOEXEC))
        return err_set(err, ERR_CONFIG, "run %s: %m", plan->program);
    return err_set(err, ERR_INTERNAL, "run %s: %s: %m", plan->program, STEP_NAMES[failure.step]);
}

static int spawn_open_pidfd(pid_t pid, int *out_pidfd, struct err *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0) {
        (void)err_set(err, ERR_INTERNAL, "pidfd_open: %m");
        (void)kill(pid, SIGKILL); /* our own child, not reaped yet */
        spawn_reap(pid);
        return -1;
    }
    *out_pidfd = fd;
    return 0;
}

static int spawn_run(struct spawn_plan *plan, pid_t *out_pid, int *out_pidfd, struct err *err)
{
    int pipe_fds[2] = {-1, -1};
    AUTO_CLOSE int failure_read_fd = -1;
    AUTO_CLOSE int failure_write_fd = -1;
    pid_t pid = 0;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set(err, ERR_INTERNAL, "pipe: %m");
    failure_read_fd = pipe_fds[0];
    failure_write_fd = pipe_fds[1];
    plan->failure_fd = failure_write_fd;
    plan->parent = getpid();
    pid = spawn_vfork(plan);
    if (pid < 0)
        return err_set(err, ERR_INTERNAL, "run %s: vfork: %m", plan->program);
    attr_close(&failure_write_fd);
    failure_write_fd = -1;
    if (spawn_check_started(plan, failure_read_fd, pid, err) < 0)
        return -1;
    if (out_pidfd != NULL && spawn_open_pidfd(pid, out_pidfd, err) < 0)
        return -1;
    *out_pid = pid;
    return 0;
}

int spawn_process(const struct spawn *spawn, pid_t *out_pid, int *out_pidfd, struct err *err)
{
    AUTO_FREE char *program = NULL;
    AUTO_CLOSE int null_fd = -1;
    struct spawn_plan plan = {.spawn = spawn};

    assert(spawn->fd_count <= SPAWN_FD_MAX);
    /* The signal comes when the thread ends that made the child. */
    assert(!spawn->dies_with_parent || gettid() == getpid());
    program = spawn_find_program(spawn->program, err);
    if (program == NULL)
        return -1;
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return err_set(err, ERR_INTERNAL, "open /dev/null: %m");
    plan.program = program;
    plan.envp = spawn->envp != NULL ? spawn->envp : (const char *const *)environ;
    spawn_plan_fds(&plan, null_fd);
    return spawn_run(&plan, out_pid, out_pidfd, err);
}

int spawn_twin(int signo, pid_t *out_pid, struct err *err)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return err_set(err, ERR_INTERNAL, "make a process: %m");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, signo); /* cannot fail for a signal */
        if (getppid() != parent)
            (void)raise(signo); /* it ended before that */
    }
    *out_pid = pid;
    return 0;
}

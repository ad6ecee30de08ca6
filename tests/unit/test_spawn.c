/* Processes, made for real: this program starts itself and reports what it was born with. */
#include "common/spawn.h"

#include "common/buf.h"
#include "common/io.h"
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char SELF[] = "/proc/self/exe";

/* ---- what the child does ---- */

static void report_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");

    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char target[256];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        if (len > 0 && strtol(entry->d_name, NULL, 10) != dirfd(dir))
            printf("fd%s=%.*s\n", entry->d_name, (int)len, target);
    }
    (void)closedir(dir);
}

static void report_status(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];

    while (fgets(line, sizeof(line), status) != NULL) {
        char value[128];

        if (sscanf(line, "SigBlk: %127s", value) == 1)
            printf("blocked=%s\n", value);
        else if (sscanf(line, "SigIgn: %127s", value) == 1)
            printf("ignored=%s\n", value);
        else if (sscanf(line, "NoNewPrivs: %127s", value) == 1)
            printf("no_new_privs=%s\n", value);
    }
    (void)fclose(status);
}

static int child_report(void)
{
    struct rlimit core;
    char folder[256];

    report_fds();
    report_status();
    (void)getrlimit(RLIMIT_CORE, &core);
    printf("own_session=%d\nown_group=%d\n", getsid(0) == getpid(), getpgrp() == getpid());
    printf("core=%ld\nfolder=%s\n", (long)core.rlim_cur, getcwd(folder, sizeof(folder)));
    printf("variable=%s\n",
           getenv("RBEE_TEST_VARIABLE") != NULL ? getenv("RBEE_TEST_VARIABLE") : "(none)");
    return 0;
}

/* Starts a child that dies with us, says its pid, and waits to be killed. */
static int child_parent(void)
{
    static const char *const ARGV[] = {"test_spawn", "wait", NULL};
    struct spawn spawn = {.program = SELF, .argv = ARGV, .dies_with_parent = true};
    struct err err = ERR_INIT;
    pid_t pid = 0;

    if (spawn_process(&spawn, &pid, NULL, &err) < 0)
        return 1;
    printf("%d\n", (int)pid);
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}

/* ---- what the test does ---- */

static void assert_exits(pid_t pid, int expected)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

/* Runs "report" as SPAWN says, with its stdout in OUT. */
static void run_report(struct spawn *spawn, struct buf *out)
{
    static const char *const ARGV[] = {"test_spawn", "report", NULL};
    int fds[2] = {-1, -1};
    struct err err = ERR_INIT;
    pid_t pid = 0;
    int pidfd = -1;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    spawn->program = SELF;
    spawn->argv = ARGV;
    spawn->fds[spawn->fd_count++] = (struct spawn_fd){.parent_fd = fds[1], .child_fd = 1};
    if (spawn_process(spawn, &pid, &pidfd, &err) < 0)
        fail_msg("%s", err.message);
    (void)close(fds[1]);
    assert_int_equal(io_read_all(fds[0], out, &err), 0);
    (void)close(fds[0]);
    assert_true((fcntl(pidfd, F_GETFD) & FD_CLOEXEC) != 0);
    (void)close(pidfd);
    assert_exits(pid, 0);
}

/* Whether LINE stands in OUT. */
static bool has_line(const struct buf *out, const char *line)
{
    AUTO_FREE char *wanted = xasprintf("\n%s\n", line);
    AUTO_FREE char *all = xasprintf("\n%s", out->data);

    return strstr(all, wanted) != NULL;
}

static void assert_line(const struct buf *out, const char *line)
{
    if (!has_line(out, line))
        fail_msg("no line \"%s\" in:\n%s", line, out->data);
}

static size_t count_fds(const struct buf *out)
{
    size_t count = 0;

    for (const char *at = out->data; (at = strstr(at, "fd")) != NULL; at++)
        count += at == out->data || at[-1] == '\n';
    return count;
}

static void a_child_is_born_with_nothing_of_ours(void **state)
{
    struct spawn spawn = {.new_group = false};
    AUTO_CLOSE int leaked = open("/dev/null", O_RDONLY); /* one that somebody forgot */
    AUTO_CLOSE int leaked_high = fcntl(leaked, F_DUPFD, 700);
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);
    sigset_t blocked;
    sigset_t during;

    assert_true(leaked_high >= 700);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    run_report(&spawn, &out);
    assert_true(signal(SIGPIPE, SIG_DFL) == SIG_IGN); /* ours are as they were */
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &blocked, &during), 0);
    assert_true(sigismember(&during, SIGUSR1));
    assert_line(&out, "fd0=/dev/null");
    assert_line(&out, "fd2=/dev/null");
    assert_int_equal(count_fds(&out), 3);
    assert_line(&out, "blocked=0000000000000000");
    assert_line(&out, "ignored=0000000000000000");
    assert_line(&out, "own_session=0");
    assert_line(&out, "own_group=0");
}

static void groups_sessions_and_limits_are_as_asked(void **state)
{
    struct spawn group = {.new_group = true, .no_core = true, .dies_with_parent = true};
    struct spawn session = {.new_session = true, .new_group = true};
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);

    run_report(&group, &out);
    assert_line(&out, "own_group=1");
    assert_line(&out, "own_session=0");
    assert_line(&out, "core=0");
    assert_line(&out, "no_new_privs=1");
    buf_clear(&out);
    run_report(&session, &out);
    assert_line(&out, "own_group=1");
    assert_line(&out, "own_session=1");
    assert_line(&out, "folder=/");
    assert_line(&out, "no_new_privs=0");
}

static void the_environment_is_ours_or_the_one_given(void **state)
{
    static const char *const ENVIRONMENT[] = {"RBEE_TEST_VARIABLE=theirs", NULL};
    static const char *const EMPTY[] = {NULL};
    const char *const *const given[] = {NULL, ENVIRONMENT, EMPTY};
    static const char *const EXPECTED[] = {"variable=ours", "variable=theirs", "variable=(none)"};

    assert_int_equal(setenv("RBEE_TEST_VARIABLE", "ours", 1), 0);
    for (size_t i = 0; i < ARRAY_COUNT(given); i++) {
        struct spawn spawn = {.envp = given[i]};
        AUTO_BUF struct buf out = BUF_INIT(1 << 16);

        run_report(&spawn, &out);
        assert_line(&out, EXPECTED[i]);
    }
}

/* "fdN=" and what FD of ours is. */
static char *describe_as(int child_fd, int fd)
{
    AUTO_FREE char *link = xasprintf("/proc/self/fd/%d", fd);
    char target[256];
    ssize_t len = readlink(link, target, sizeof(target));

    assert_true(len > 0);
    return xasprintf("fd%d=%.*s", child_fd, (int)len, target);
}

/* Whatever numbers descriptors have here and shall have there: each arrives where it was sent. */
static void descriptors_arrive_also_where_numbers_overlap(void **state)
{
    enum { PIPE_COUNT = 4 };
    /* Number there of the descriptor that is the I-th here; 10 + J: the number that the J-th has
     * here. Kept, shifted, turned round, reversed, on top of stdin and stderr, high. */
    static const int PLANS[][PIPE_COUNT] = {{10, 11, 12, 13}, {11, 12, 13, 10}, {13, 12, 11, 10},
                                            {0, 2, 3, 4},     {4, 3, 2, 0},     {0, 10, 2, 900}};
    int pipes[PIPE_COUNT][2];

    for (size_t i = 0; i < PIPE_COUNT; i++)
        assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
    for (size_t plan = 0; plan < ARRAY_COUNT(PLANS); plan++) {
        struct spawn spawn = {.fd_count = 0};
        int targets[PIPE_COUNT];
        size_t stdio_count = 1; /* stdout */
        AUTO_BUF struct buf out = BUF_INIT(1 << 16);

        for (size_t i = 0; i < PIPE_COUNT; i++) {
            int to = PLANS[plan][i];

            targets[i] = to >= 10 && to < 10 + PIPE_COUNT ? pipes[to - 10][0] : to;
            stdio_count += targets[i] == 0 || targets[i] == 2;
            spawn.fds[spawn.fd_count++] =
                (struct spawn_fd){.parent_fd = pipes[i][0], .child_fd = targets[i]};
        }
        run_report(&spawn, &out);
        for (size_t i = 0; i < PIPE_COUNT; i++) {
            AUTO_FREE char *line = describe_as(targets[i], pipes[i][0]);

            assert_line(&out, line);
        }
        assert_int_equal(count_fds(&out), PIPE_COUNT + 3 - (stdio_count - 1));
    }
    for (size_t i = 0; i < PIPE_COUNT; i++) {
        (void)close(pipes[i][0]);
        (void)close(pipes[i][1]);
    }
}

static void one_descriptor_may_go_to_several_numbers(void **state)
{
    struct spawn spawn = {.fds = {{STDERR_FILENO, 2}, {STDERR_FILENO, 5}}, .fd_count = 2};
    AUTO_FREE char *second = describe_as(2, STDERR_FILENO);
    AUTO_FREE char *fifth = describe_as(5, STDERR_FILENO);
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);

    run_report(&spawn, &out);
    assert_line(&out, second);
    assert_line(&out, fifth);
}

static void a_program_that_cannot_run_is_reported_here(void **state)
{
    static const char *const ARGV[] = {"x", NULL};
    static const struct {
        const char *program;
        enum err_kind kind;
    } CASES[] = {
        {"/no/such/program", ERR_NO_FILE},
        {"no-such-program-anywhere", ERR_NO_FILE},
        {"", ERR_NO_FILE},
        {"/etc/passwd", ERR_CONFIG}, /* no permission */
        {"/", ERR_CONFIG},
        {"/etc/passwd/x", ERR_NO_FILE},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct spawn spawn = {.program = CASES[i].program, .argv = ARGV};
        struct err err = ERR_INIT;
        pid_t pid = -7;
        int pidfd = -7;

        assert_int_equal(spawn_process(&spawn, &pid, &pidfd, &err), -1);
        if (err.kind != CASES[i].kind)
            fail_msg("\"%s\": %s", CASES[i].program, err.message);
        assert_true(pid == -7 && pidfd == -7);
        /* Nothing is left to reap. */
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
}

static void a_bad_descriptor_is_reported_too(void **state)
{
    static const char *const ARGV[] = {"x", NULL};
    struct spawn spawn = {.program = "/bin/true", .argv = ARGV, .fds = {{999, 3}}, .fd_count = 1};
    struct err err = ERR_INIT;
    pid_t pid = 0;

    assert_int_equal(spawn_process(&spawn, &pid, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_INTERNAL);
    assert_non_null(strstr(err.message, "Bad file descriptor"));
}

static void a_name_is_looked_for_in_the_path(void **state)
{
    static const char *const ARGV[] = {"true", NULL};
    struct spawn spawn = {.program = "true", .argv = ARGV};
    struct err err = ERR_INIT;
    AUTO_FREE char *path = xstrdup(getenv("PATH"));
    pid_t pid = 0;

    assert_int_equal(spawn_process(&spawn, &pid, NULL, &err), 0);
    assert_exits(pid, 0);
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
    assert_int_equal(spawn_process(&spawn, &pid, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_NO_FILE);
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static void a_pidfd_tells_of_the_end(void **state)
{
    static const char *const ARGV[] = {"test_spawn", "wait", NULL};
    struct spawn spawn = {.program = SELF, .argv = ARGV};
    struct err err = ERR_INIT;
    AUTO_CLOSE int pidfd = -1;
    pid_t pid = 0;
    struct pollfd end = {.events = POLLIN};
    int status = 0;

    assert_int_equal(spawn_process(&spawn, &pid, &pidfd, &err), 0);
    end.fd = pidfd;
    assert_int_equal(poll(&end, 1, 0), 0);
    assert_int_equal(kill(pid, SIGTERM), 0); /* the default again, whatever we do with it */
    assert_int_equal(poll(&end, 1, 10000), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* No orphans: whoever is killed takes its children with it. */
static void a_child_dies_with_its_parent(void **state)
{
    static const char *const ARGV[] = {"test_spawn", "parent", NULL};
    int fds[2] = {-1, -1};
    struct spawn spawn = {.program = SELF, .argv = ARGV};
    struct err err = ERR_INIT;
    char text[32] = "";
    pid_t parent = 0;
    AUTO_CLOSE int child_pidfd = -1;
    struct pollfd end = {.events = POLLIN};

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    spawn.fds[spawn.fd_count++] = (struct spawn_fd){.parent_fd = fds[1], .child_fd = 1};
    assert_int_equal(spawn_process(&spawn, &parent, NULL, &err), 0);
    (void)close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    (void)close(fds[0]);
    child_pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(text, NULL, 10), 0);
    assert_true(child_pidfd >= 0);
    end.fd = child_pidfd;
    assert_int_equal(poll(&end, 1, 0), 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(poll(&end, 1, 10000), 1);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_born_with_nothing_of_ours),
        cmocka_unit_test(groups_sessions_and_limits_are_as_asked),
        cmocka_unit_test(the_environment_is_ours_or_the_one_given),
        cmocka_unit_test(descriptors_arrive_also_where_numbers_overlap),
        cmocka_unit_test(one_descriptor_may_go_to_several_numbers),
        cmocka_unit_test(a_program_that_cannot_run_is_reported_here),
        cmocka_unit_test(a_bad_descriptor_is_reported_too),
        cmocka_unit_test(a_name_is_looked_for_in_the_path),
        cmocka_unit_test(a_pidfd_tells_of_the_end),
        cmocka_unit_test(a_child_dies_with_its_parent),
    };

    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return child_report();
    if (argc > 1 && strcmp(argv[1], "parent") == 0)
        return child_parent();
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        return pause();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

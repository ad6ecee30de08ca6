/* bench.h */
#include "tests/bench/bench.h"

#include "common/attr.h"
#include "common/clock.h"
#include "hip/measure.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

double bench_median(double *values, size_t count)
{
    return measure_median(values, count);
}

double bench_largest(const double *values, size_t count)
{
    double largest = values[0];

    for (size_t i = 1; i < count; i++)
        if (values[i] > largest)
            largest = values[i];
    return largest;
}

static void die(const char *what, const char *program)
{
    (void)fprintf(stderr, "bench: %s %s\n", what, program);
    exit(1);
}

static pid_t start(const char *const *argv, int stdout_fd)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;

    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO) != 0)
        die("cannot prepare", argv[0]);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
        die("cannot start", argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

uint64_t bench_run(const char *const *argv,
                   void (*on_line)(void *owner, const char *line, uint64_t since_start_us),
                   void *owner)
{
    int fds[2], status = 0;
    AUTO_FREE char *line = NULL;
    size_t capacity = 0;

    if (pipe2(fds, O_CLOEXEC) < 0)
        die("no pipe for", argv[0]);
    uint64_t begin_us = clock_monotonic_us();
    pid_t pid = start(argv, fds[1]);
    (void)close(fds[1]); /* the child has its own */
    AUTO_FCLOSE FILE *out = fdopen(fds[0], "r");
    while (out != NULL && getline(&line, &capacity, out) > 0)
        if (on_line != NULL)
            on_line(owner, line, clock_monotonic_us() - begin_us);
    if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("failed:", argv[0]);
    return clock_monotonic_us() - begin_us;
}

/* Owns a process of rbee-gpu. Knows no round and no GPU. */
#include "supervisor/gpu/reader_process.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/spawn.h"
#include "supervisor/child.h"
#include "supervisor/environment.h"
#include "supervisor/gpu/gpu.h"
#include "supervisor/gpu/root_hook.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 << 10,
    END_MS = 1000, /* after KILL, at our own end; what takes longer is wedged */
};

void reader_process_silence(struct reader_process *process)
{
    if (process->lines_event != NULL)
        event_free(process->lines_event);
    process->lines_event = NULL;
    if (process->lines_fd >= 0)
        (void)close(process->lines_fd); /* what it still says is not wanted */
    if (process->command_fd >= 0)
        (void)close(process->command_fd); /* that ends it */
    process->lines_fd = process->command_fd = -1;
}

void reader_process_free(struct reader_process *process)
{
    reader_process_silence(process);
    if (process->exit_event != NULL)
        event_free(process->exit_event);
    if (process->pidfd >= 0)
        (void)close(process->pidfd); /* nothing to lose */
    buf_release(&process->line);
    free(process);
}

void reader_process_kill(const struct reader_process *process)
{
    child_kill(process->pidfd);
}

static void process_split(struct reader_process *process)
{
    char *end = NULL;

    while (process->lines_fd >= 0 && process->line.len > 0 &&
           (end = memchr(process->line.data, '\n', process->line.len)) != NULL) {
        size_t len = (size_t)(end - process->line.data);
        AUTO_FREE char *line = xstrndup(process->line.data, len);

        buf_consume(&process->line, len + 1);
        reader_on_line(process->reader, line, len);
    }
}

/* What is there of its lines; not positive: nothing, or their end. A line that is too long is none
 * of ours: the process is of no use, and is killed. */
static ssize_t process_read(struct reader_process *process)
{
    char data[READ_BYTES];
    ssize_t len = process->lines_fd < 0 ? 0 : read(process->lines_fd, data, sizeof(data));

    if (len <= 0)
        return len;
    if (buf_add(&process->line, data, (size_t)len) != 0) {
        log_event(LOG_ERROR, "gpu_reader_nonsense", "bytes=%zu", process->line.len);
        reader_process_kill(process);
        return 0;
    }
    process_split(process);
    return len;
}

static void process_on_lines(evutil_socket_t fd, short what, void *arg)
{
    struct reader_process *process = arg;

    if (process_read(process) == 0 && process->lines_event != NULL)
        (void)event_del(process->lines_event); /* its end comes by the pidfd */
}

static int process_spawn(struct reader_process *process, int command_fd, int lines_fd,
                         struct err *err)
{
    AUTO_FREE char *program = paths_sibling_program("rbee-gpu");
    AUTO_FREE const char **envp = environment_for_worker(environ, NULL);
    const char *root = gpu_root();
    const char *const argv[] = {program, root[0] == '\0' ? NULL : "--root", root, NULL};
    pid_t pid = 0;

    if (spawn_process(
            &(struct spawn){.program = program,
                            .argv = argv,
                            .envp = envp,
                            .fds = {{command_fd, STDIN_FILENO}, {lines_fd, STDOUT_FILENO}},
                            .fd_count = 2,
                            .new_group = true,
                            .dies_with_parent = true,
                            .no_core = true},
            &pid, &process->pidfd, err) != 0)
        return -1;
    log_event(LOG_DEBUG, "gpu_reader_started", "pid=%d", (int)pid);
    return 0;
}

static int process_open(struct reader_process *process, struct err *err)
{
    int commands[2] = {-1, -1};
    int lines[2] = {-1, -1};
    AUTO_CLOSE int command_end = -1;
    AUTO_CLOSE int lines_end = -1;

    if (pipe2(commands, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe: %m");
    command_end = commands[0];
    process->command_fd = commands[1];
    if (pipe2(lines, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe: %m");
    process->lines_fd = lines[0];
    lines_end = lines[1];
    /* Only our ends: it has nothing else to do than to wait. */
    if (fcntl(process->command_fd, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(process->lines_fd, F_SETFL, O_NONBLOCK) != 0)
        return err_set(err, ERR_IO, "fcntl of a pipe: %m");
    return process_spawn(process, command_end, lines_end, err);
}

static void process_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct reader_process *process = arg;
    siginfo_t status;

    if (!child_reap(fd, &status))
        return;
    /* Its last lines say what it died of. */
    while (process_read(process) > 0)
        continue;
    reader_on_exit(process->reader, process, &status);
}

struct reader_process *reader_process_new(struct reader *reader, struct event_base *base,
                                          struct err *err)
{
    struct reader_process *process = xcalloc(1, sizeof(*process));

    process->reader = reader;
    process->pidfd = process->command_fd = process->lines_fd = -1;
    buf_init(&process->line, GPU_LINE_MAX_BYTES + READ_BYTES);
    if (process_open(process, err) != 0) {
        reader_process_free(process);
        return NULL;
    }
    process->exit_event =
        event_new(base, process->pidfd, EV_READ | EV_PERSIST, process_on_exit, process);
    process->lines_event =
        event_new(base, process->lines_fd, EV_READ | EV_PERSIST, process_on_lines, process);
    (void)event_add(process->exit_event, NULL); /* fails only without memory */
    (void)event_add(process->lines_event, NULL);
    return process;
}

/* A pipe takes a line, since the one before has been answered. */
int reader_process_ask(struct reader_process *process, const struct buf *command, struct err *err)
{
    if (write(process->command_fd, command->data, command->len) != (ssize_t)command->len)
        return err_set(err, ERR_IO, "ask rbee-gpu: %m");
    return 0;
}

void reader_process_end(struct reader_process *process)
{
    reader_process_silence(process);
    child_end(process->pidfd, clock_monotonic_ms() + END_MS);
    reader_process_free(process);
}

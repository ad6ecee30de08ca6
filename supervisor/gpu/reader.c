/* Owns the processes of rbee-gpu: their start, their rounds, and what follows when one hangs. What
 * a line says is gpu.c's. */
#include "supervisor/gpu/reader.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/process.h"
#include "common/spawn.h"
#include "supervisor/api_gpus.h"
#include "supervisor/environment.h"
#include "supervisor/gpu/root_hook.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 << 10,
    COMMAND_MAX_BYTES = 2000, /* less than gpu/round.h takes */
    END_MS = 1000,            /* after KILL, at our own end; what takes longer is wedged */
};

static_assert(sizeof("walk ") + READER_SKIP_MAX_COUNT * GPU_PCI_BYTES + 1 <= COMMAND_MAX_BYTES,
              "every step may be left out");

struct reader_process {
    TAILQ_ENTRY(reader_process) link; /* of those that were left behind */
    struct reader *reader;
    int pidfd;
    int command_fd;
    int lines_fd;
    struct event *exit_event;
    struct event *lines_event;
    struct buf line;
    bool is_left_behind;
};

static void reader_begin(struct reader *reader);
static void reader_on_line(struct reader *reader, const char *line, size_t len);

/* ---- one process ---- */

/* Nothing of it is heard any more; its end is still seen. */
static void process_silence(struct reader_process *process)
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

static void process_free(struct reader_process *process)
{
    process_silence(process);
    if (process->exit_event != NULL)
        event_free(process->exit_event);
    if (process->pidfd >= 0)
        (void)close(process->pidfd); /* nothing to lose */
    buf_release(&process->line);
    free(process);
}

static void process_kill(const struct reader_process *process)
{
    (void)pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0); /* it may have ended already */
}

/* Gives the lines that are complete to the reader, which may let go of the process: then the rest
 * is not wanted. */
static void process_split(struct reader_process *process)
{
    struct reader *reader = process->reader;
    char *end = NULL;

    while (reader->process == process && process->line.len > 0 &&
           (end = memchr(process->line.data, '\n', process->line.len)) != NULL) {
        size_t len = (size_t)(end - process->line.data);
        AUTO_FREE char *line = xstrndup(process->line.data, len);

        buf_consume(&process->line, len + 1);
        reader_on_line(reader, line, len);
    }
}

/* A line that is too long is none of ours: the process is of no use, and is killed. */
static void process_on_lines(evutil_socket_t fd, short what, void *arg)
{
    struct reader_process *process = arg;
    char data[READ_BYTES];
    ssize_t len = read(fd, data, sizeof(data));

    if (len == 0)
        (void)event_del(process->lines_event); /* its end comes by the pidfd */
    if (len <= 0)
        return;
    if (buf_add(&process->line, data, (size_t)len) != 0) {
        log_event(LOG_ERROR, "gpu_reader_nonsense", "bytes=%zu", process->line.len);
        process_kill(process);
        return;
    }
    process_split(process);
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

/* ---- what is left out ---- */

static struct reader_skip *reader_find_skip(struct reader *reader, const char *step)
{
    for (size_t i = 0; i < reader->skip_count; i++) {
        if (strcmp(reader->skips[i].step, step) == 0)
            return &reader->skips[i];
    }
    return NULL;
}

static bool reader_skips(const struct reader_skip *skip, int64_t now_ms)
{
    return skip->stuck != NULL || now_ms < skip->until_ms;
}

static void reader_forget_skip(struct reader *reader, const char *step)
{
    struct reader_skip *skip = reader_find_skip(reader, step);

    if (skip != NULL)
        *skip = reader->skips[--reader->skip_count];
}

/* What comes when there is no place for one more is left out by nobody, and hangs again: there is
 * a place for each card. */
static void reader_add_skip(struct reader *reader, const char *step, struct reader_process *stuck)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    struct reader_skip *skip = reader_find_skip(reader, step);

    if (skip == NULL && reader->skip_count == READER_SKIP_MAX_COUNT)
        return;
    if (skip == NULL) {
        skip = &reader->skips[reader->skip_count++];
        *skip = (struct reader_skip){.delay_ms = READER_SKIP_FIRST_MS / 2};
        memcpy(skip->step, step, strlen(step) + 1);
    }
    skip->delay_ms *= 2;
    if (skip->delay_ms > READER_SKIP_MAX_MS)
        skip->delay_ms = READER_SKIP_MAX_MS;
    skip->until_ms = now_ms + skip->delay_ms;
    skip->stuck = stuck;
    gpu_table_fail(&reader->table, step, now_ms);
    log_event(LOG_WARN, "gpu_unreadable", "step=%s again_ms=%lld", step, (long long)skip->delay_ms);
}

/* ---- the end of a process ---- */

static void reader_retry_later(struct reader *reader)
{
    int64_t ms = reader->retry_ms == 0 ? READER_RETRY_FIRST_MS : reader->retry_ms * 2;

    reader->retry_ms = ms < READER_RETRY_MAX_MS ? ms : READER_RETRY_MAX_MS;
    reader->state = READER_OFF;
    reader->has_looked = true;
    log_event(LOG_WARN, "gpu_reader_gone", "error=%s again_ms=%lld", reader->failure.message,
              (long long)reader->retry_ms);
    gpu_table_fail(&reader->table, NULL, (int64_t)clock_monotonic_ms());
    timer_arm_after(reader->timer, reader->retry_ms);
    api_gpus_tell(reader);
}

/* The step it was in is what it died of, or hangs in. */
static void reader_blame(struct reader *reader, struct reader_process *stuck)
{
    if (reader->state == READER_READING && reader->step[0] != '\0') {
        reader_add_skip(reader, reader->step, stuck);
        reader_begin(reader);
        return;
    }
    reader_retry_later(reader);
}

static void reader_leave_behind(struct reader *reader, struct reader_process *process)
{
    process_silence(process);
    process->is_left_behind = true;
    TAILQ_INSERT_TAIL(&reader->left_behind, process, link);
    reader->process = NULL;
}

static void reader_forget_stuck(struct reader *reader, const struct reader_process *process)
{
    for (size_t i = 0; i < reader->skip_count; i++) {
        if (reader->skips[i].stuck == process)
            reader->skips[i].stuck = NULL;
    }
}

static void process_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct reader_process *process = arg;
    struct reader *reader = process->reader;
    siginfo_t status = {0};

    if (waitid(P_PIDFD, (id_t)fd, &status, WEXITED | WNOHANG) != 0 || status.si_pid == 0)
        return;
    if (process->is_left_behind) {
        TAILQ_REMOVE(&reader->left_behind, process, link);
        reader_forget_stuck(reader, process);
        process_free(process);
        return;
    }
    err_fill(&reader->failure, ERR_INTERNAL, "rbee-gpu ended with %s %d",
             status.si_code == CLD_EXITED ? "exit" : "signal", status.si_status);
    reader->process = NULL;
    process_free(process);
    reader_blame(reader, NULL);
}

static void reader_on_hang(struct reader *reader)
{
    struct reader_process *process = reader->process;

    err_fill(&reader->failure, ERR_TIMED_OUT, "rbee-gpu has not answered for %d s",
             READER_STEP_MS / 1000);
    process_kill(process);
    reader_leave_behind(reader, process);
    reader_blame(reader, process);
}

/* ---- rounds ---- */

static bool reader_is_to_walk(struct reader *reader, int64_t now_ms)
{
    if (reader->walk_ms != 0 && now_ms - reader->walk_ms < READER_WALK_MS)
        return false;
    reader->walk_ms = now_ms;
    return true;
}

/* "walk STEP STEP\n": a pipe takes it, since the last one has been answered. */
static int reader_ask_round(struct reader *reader, struct err *err)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    AUTO_BUF struct buf command = BUF_INIT(COMMAND_MAX_BYTES);

    if (reader_is_to_walk(reader, now_ms))
        (void)buf_add_string(&command, "walk "); /* fits, as each of them */
    for (size_t i = 0; i < reader->skip_count; i++) {
        if (!reader_skips(&reader->skips[i], now_ms))
            continue;
        (void)buf_printf(&command, "%s ", reader->skips[i].step); /* as above */
        gpu_table_keep(&reader->table, reader->skips[i].step);
    }
    (void)buf_add_byte(&command, '\n'); /* as above */
    if (write(reader->process->command_fd, command.data, command.len) != (ssize_t)command.len)
        return err_set(err, ERR_IO, "ask rbee-gpu: %m");
    reader->state = READER_READING;
    reader->step[0] = '\0';
    reader->round_ms = now_ms;
    timer_arm_after(reader->timer, READER_STEP_MS);
    return 0;
}

static struct reader_process *reader_spawn(struct reader *reader, struct err *err)
{
    struct reader_process *process = xcalloc(1, sizeof(*process));

    process->reader = reader;
    process->pidfd = process->command_fd = process->lines_fd = -1;
    buf_init(&process->line, GPU_LINE_MAX_BYTES + READ_BYTES);
    if (process_open(process, err) != 0) {
        process_free(process);
        return NULL;
    }
    process->exit_event = event_new(reader->supervisor->base, process->pidfd, EV_READ | EV_PERSIST,
                                    process_on_exit, process);
    process->lines_event = event_new(reader->supervisor->base, process->lines_fd,
                                     EV_READ | EV_PERSIST, process_on_lines, process);
    (void)event_add(process->exit_event, NULL); /* fails only without memory */
    (void)event_add(process->lines_event, NULL);
    return process;
}

static void reader_begin(struct reader *reader)
{
    reader->walk_ms = 0;
    reader->process = reader_spawn(reader, &reader->failure);
    if (reader->process == NULL || reader_ask_round(reader, &reader->failure) != 0) {
        if (reader->process != NULL) {
            process_kill(reader->process);
            reader_leave_behind(reader, reader->process);
        }
        reader_retry_later(reader);
    }
}

static bool reader_is_used(const struct reader *reader)
{
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &reader->supervisor->workers, link)
    {
        if (worker->device != NULL && worker->device->is_gpu && life_has_process(worker->state))
            return true;
    }
    return false;
}

static int64_t reader_interval_ms(const struct reader *reader)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();

    if (reader->asked_ms > 0 && now_ms - reader->asked_ms < READER_WATCHED_FOR_MS)
        return READER_WATCHED_MS;
    return reader_is_used(reader) ? READER_USED_MS : READER_QUIET_MS;
}

/* No card: no process, until the next look. */
static void reader_rest_without_cards(struct reader *reader)
{
    reader_leave_behind(reader, reader->process); /* the end of its stdin ends it */
    reader->state = READER_OFF;
    timer_arm_after(reader->timer, READER_LOOK_AGAIN_MS);
}

static void reader_on_done(struct reader *reader)
{
    reader->has_looked = true;
    reader->retry_ms = 0;
    reader->step[0] = '\0';
    err_clear(&reader->failure);
    if (reader->table.count == 0) {
        reader_rest_without_cards(reader);
    } else {
        reader->state = READER_RESTING;
        timer_arm_at(reader->timer, reader->round_ms + reader_interval_ms(reader));
    }
    api_gpus_tell(reader);
}

static void reader_on_line(struct reader *reader, const char *line, size_t len)
{
    if (reader->state != READER_READING)
        return; /* nobody asked */
    timer_arm_after(reader->timer, READER_STEP_MS);
    switch (
        gpu_table_take(&reader->table, line, len, (int64_t)clock_monotonic_ms(), reader->step)) {
    case GPU_NEWS_DONE:
        reader_on_done(reader);
        break;
    case GPU_NEWS_READ:
        if (reader->step[0] != '\0')
            reader_forget_skip(reader, reader->step);
        break;
    case GPU_NEWS_STEP:
    case GPU_NEWS_NONE:
        break;
    }
}

/* ---- looks ---- */

/* Whether a driver that is read is loaded; asks no driver. */
static bool reader_has_driver(void)
{
    static const char *const DRIVERS[] = {"sys/module/amdgpu", "sys/module/nvidia"};

    for (size_t i = 0; i < ARRAY_COUNT(DRIVERS); i++) {
        AUTO_FREE char *path = paths_join(gpu_root(), DRIVERS[i]);

        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static void reader_look(struct reader *reader)
{
    if (reader_has_driver()) {
        reader_begin(reader);
        return;
    }
    reader->has_looked = true;
    timer_arm_after(reader->timer, READER_LOOK_MS);
    api_gpus_tell(reader);
}

static void reader_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct reader *reader = arg;

    switch (reader->state) {
    case READER_OFF:
        reader_look(reader);
        break;
    case READER_RESTING:
        if (reader_ask_round(reader, &reader->failure) != 0) {
            process_kill(reader->process);
            reader_leave_behind(reader, reader->process);
            reader_retry_later(reader);
        }
        break;
    case READER_READING:
        reader_on_hang(reader);
        break;
    }
}

void reader_asked(struct reader *reader)
{
    reader->asked_ms = (int64_t)clock_monotonic_ms();
    if (reader->state == READER_RESTING)
        timer_arm_at(reader->timer, reader->round_ms + READER_WATCHED_MS);
}

char *reader_warning(const struct reader *reader)
{
    if (reader->state != READER_OFF || !err_is_set(&reader->failure))
        return NULL;
    return xasprintf("GPUs are not read: %s", reader->failure.message);
}

/* ---- beginning and end ---- */

void reader_init(struct reader *reader)
{
    *reader = (struct reader){.state = READER_OFF};
    TAILQ_INIT(&reader->left_behind);
    TAILQ_INIT(&reader->waiters);
}

void reader_start(struct reader *reader, struct supervisor *supervisor)
{
    reader->supervisor = supervisor;
    reader->timer = evtimer_new(supervisor->base, reader_on_timer, reader);
    reader_look(reader);
}

/* What does not die is the kernel's to reap, when it can. */
static void process_end(struct reader_process *process)
{
    siginfo_t status;

    process_silence(process);
    process_kill(process);
    if (process_await(process->pidfd, clock_monotonic_ms() + END_MS))
        (void)waitid(P_PIDFD, (id_t)process->pidfd, &status, WEXITED); /* it has ended */
    process_free(process);
}

void reader_release(struct reader *reader)
{
    if (reader->process != NULL)
        process_end(reader->process);
    reader->process = NULL;
    while (!TAILQ_EMPTY(&reader->left_behind)) {
        struct reader_process *process = TAILQ_FIRST(&reader->left_behind);

        TAILQ_REMOVE(&reader->left_behind, process, link);
        process_end(process);
    }
    if (reader->timer != NULL)
        event_free(reader->timer);
    reader->timer = NULL;
    gpu_table_release(&reader->table);
}

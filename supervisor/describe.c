/* Owns the children that describe model files. Knows nothing of what is done with a record. */
#include "supervisor/describe.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/spawn.h"
#include "supervisor/child.h"
#include "supervisor/environment.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_output.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 << 10,
    END_MS = 1000, /* after KILL, all together; a disk holds what takes longer */
};

/* One stream of the child's. */
struct describe_pipe {
    int fd;
    struct event *event;
    struct buf text;
};

/* Who waits for a child's record. */
struct describe {
    TAILQ_ENTRY(describe) link;
    struct describe_child *child;
    describe_callback *on_done;
    void *owner;
};

TAILQ_HEAD(describe_waiters, describe);

struct describe_child {
    TAILQ_ENTRY(describe_child) link;
    struct supervisor *supervisor;
    struct describe_waiters waiters; /* none: all have left, and it has been killed */
    char *path;
    struct model_stamp stamp; /* before it began to read */
    int pidfd;
    struct event *exit_event;
    struct event *timeout;
    bool is_overdue;
    struct describe_pipe out;
    struct describe_pipe errors;
};

static void describe_pipe_release(struct describe_pipe *pipe)
{
    if (pipe->event != NULL)
        event_free(pipe->event);
    if (pipe->fd >= 0)
        (void)close(pipe->fd); /* the read end */
    buf_release(&pipe->text);
}

static void describe_leave(struct describe *describe)
{
    TAILQ_REMOVE(&describe->child->waiters, describe, link);
    free(describe);
}

/* Nobody joins it any more. */
static void describe_child_unlink(struct describe_child *child)
{
    TAILQ_REMOVE(&child->supervisor->describes, child, link);
    child->supervisor->describe_count--;
}

static void describe_child_free(struct describe_child *child)
{
    while (!TAILQ_EMPTY(&child->waiters))
        describe_leave(TAILQ_FIRST(&child->waiters));
    describe_pipe_release(&child->out);
    describe_pipe_release(&child->errors);
    if (child->exit_event != NULL)
        event_free(child->exit_event);
    if (child->timeout != NULL)
        event_free(child->timeout);
    if (child->pidfd >= 0)
        (void)close(child->pidfd); /* nothing to lose */
    free(child->path);
    free(child);
}

/* What passes the limit is dropped: the record is then cut, and no JSON. */
static ssize_t describe_pipe_read(struct describe_pipe *pipe)
{
    char data[READ_BYTES];
    ssize_t len = read(pipe->fd, data, sizeof(data));

    if (len > 0)
        (void)buf_add(&pipe->text, data, (size_t)len);
    return len;
}

static void describe_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct describe_pipe *pipe = arg;

    if (describe_pipe_read(pipe) == 0)
        (void)event_del(pipe->event); /* the exit is noticed by the pidfd */
}

static void describe_pipe_finish(struct describe_pipe *pipe)
{
    while (describe_pipe_read(pipe) > 0)
        continue;
}

/* Its last words without the frame "fatal class=... reason=". */
static const char *describe_last_words(struct buf *text)
{
    char *line = NULL;

    while (text->len > 0 && text->data[text->len - 1] == '\n')
        text->data[--text->len] = '\0';
    if (text->len == 0)
        return "it gave no reason";
    line = strrchr(text->data, '\n');
    line = line == NULL ? text->data : line + 1;
    return worker_output_fatal_reason(line) != NULL ? worker_output_fatal_reason(line) : line;
}

static json_t *describe_judge(struct describe_child *child, const siginfo_t *status,
                              struct err *err)
{
    struct err inner = ERR_INIT;
    AUTO_JSON json_t *record = NULL;

    if (child->is_overdue)
        return err_set_null(err, ERR_TIMED_OUT, "reading the model file took more than %d s",
                            DESCRIBE_TIME_MS / 1000);
    if (status->si_code != CLD_EXITED)
        return err_set_null(err, ERR_INVALID_MODEL, "rbee-worker died of SIG%s reading the file",
                            sigabbrev_np(status->si_status));
    if (status->si_status != 0)
        return err_set_null(err, ERR_INVALID_MODEL, "%s", describe_last_words(&child->errors.text));
    record =
        json_parse(child->out.text.data, child->out.text.len, DESCRIBE_OUTPUT_MAX_BYTES, &inner);
    if (!json_is_object(record))
        return err_set_null(err, ERR_PROTOCOL, "rbee-worker --describe gave no record: %s",
                            record == NULL ? inner.message : "not an object");
    return take_ptr(record);
}

/* One who is told may make others leave: always the first is taken. */
static void describe_tell(struct describe_child *child, const json_t *record,
                          const struct err *failure)
{
    while (!TAILQ_EMPTY(&child->waiters)) {
        struct describe *describe = TAILQ_FIRST(&child->waiters);
        describe_callback *on_done = describe->on_done;
        void *owner = describe->owner;

        describe_leave(describe);
        on_done(owner, record, failure);
    }
}

static void describe_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct describe_child *child = arg;
    siginfo_t status;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *record = NULL;

    if (!child_reap(child->pidfd, &status))
        return;
    describe_pipe_finish(&child->out);
    describe_pipe_finish(&child->errors);
    record = describe_judge(child, &status, &err);
    describe_child_unlink(child);
    describe_tell(child, record, record == NULL ? &err : NULL);
    describe_child_free(child);
}

static void describe_on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct describe_child *child = arg;

    child->is_overdue = true;
    child_kill(child->pidfd);
}

static int describe_pipe_open(struct describe_pipe *pipe, struct event_base *base, int *out_fd,
                              struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe: %m");
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); /* cannot fail on a pipe of ours */
    pipe->fd = ends[0];
    pipe->event = event_new(base, ends[0], EV_READ | EV_PERSIST, describe_on_readable, pipe);
    (void)event_add(pipe->event, NULL); /* without memory the exit still comes */
    *out_fd = ends[1];
    return 0;
}

static int describe_spawn(struct describe_child *child, struct err *err)
{
    const char *program = child->supervisor->worker_program;
    const char *const argv[] = {program, "--describe", child->path, NULL};
    AUTO_FREE const char **envp = environment_for_worker(environ, NULL);
    AUTO_CLOSE int out_fd = -1;
    AUTO_CLOSE int errors_fd = -1;
    pid_t pid = 0;

    if (describe_pipe_open(&child->out, child->supervisor->base, &out_fd, err) != 0 ||
        describe_pipe_open(&child->errors, child->supervisor->base, &errors_fd, err) != 0)
        return -1;
    return spawn_process(&(struct spawn){.program = program,
                                         .argv = argv,
                                         .envp = envp,
                                         .fds = {{out_fd, 1}, {errors_fd, 2}},
                                         .fd_count = 2,
                                         .new_group = true,
                                         .dies_with_parent = true,
                                         .no_core = true},
                         &pid, &child->pidfd, err);
}

static struct describe_child *describe_child_new(struct supervisor *supervisor, const char *path,
                                                 const struct model_stamp *stamp, struct err *err)
{
    const struct timeval limit = {.tv_sec = DESCRIBE_TIME_MS / 1000};
    struct describe_child *child = NULL;

    if (supervisor->describe_count >= DESCRIBE_MAX_COUNT)
        return err_set_null(err, ERR_BUSY, "%d model files are being read", DESCRIBE_MAX_COUNT);
    child = xcalloc(1, sizeof(*child));
    child->supervisor = supervisor;
    child->path = xstrdup(path);
    child->stamp = *stamp;
    child->pidfd = child->out.fd = child->errors.fd = -1;
    TAILQ_INIT(&child->waiters);
    buf_init(&child->out.text, DESCRIBE_OUTPUT_MAX_BYTES);
    buf_init(&child->errors.text, DESCRIBE_OUTPUT_MAX_BYTES);
    if (describe_spawn(child, err) != 0) {
        describe_child_free(child);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&supervisor->describes, child, link);
    supervisor->describe_count++;
    child->exit_event =
        event_new(supervisor->base, child->pidfd, EV_READ | EV_PERSIST, describe_on_exit, child);
    child->timeout = evtimer_new(supervisor->base, describe_on_timeout, child);
    (void)event_add(child->exit_event, NULL); /* fails only without memory */
    (void)evtimer_add(child->timeout, &limit);
    return child;
}

/* The child that reads this very file; what has been killed tells nothing. */
static struct describe_child *describe_child_find(struct supervisor *supervisor, const char *path,
                                                  const struct model_stamp *stamp)
{
    struct describe_child *child = NULL;

    TAILQ_FOREACH(child, &supervisor->describes, link)
    {
        if (strcmp(child->path, path) == 0 && model_stamp_equal(&child->stamp, stamp) &&
            !child->is_overdue && !TAILQ_EMPTY(&child->waiters))
            return child;
    }
    return NULL;
}

struct describe *describe_begin(struct supervisor *supervisor, const char *path,
                                const struct model_stamp *stamp, describe_callback *on_done,
                                void *owner, struct err *err)
{
    struct describe_child *child = describe_child_find(supervisor, path, stamp);
    struct describe *describe = NULL;

    if (child == NULL)
        child = describe_child_new(supervisor, path, stamp, err);
    if (child == NULL)
        return NULL;
    describe = xcalloc(1, sizeof(*describe));
    describe->child = child;
    describe->on_done = on_done;
    describe->owner = owner;
    TAILQ_INSERT_TAIL(&child->waiters, describe, link);
    return describe;
}

void describe_cancel(struct describe *describe)
{
    struct describe_child *child = describe->child;

    describe_leave(describe);
    if (TAILQ_EMPTY(&child->waiters))
        child_kill(child->pidfd); /* its exit frees it */
}

void describe_cancel_all(struct supervisor *supervisor)
{
    uint64_t ends_ms = clock_monotonic_ms() + END_MS;
    struct describe_child *child = NULL;

    while ((child = TAILQ_FIRST(&supervisor->describes)) != NULL) {
        child_end(child->pidfd, ends_ms);
        describe_child_unlink(child);
        describe_child_free(child);
    }
}

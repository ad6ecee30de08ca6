/* Owns the children that describe model files. Knows nothing of what is done with a record. */
#include "supervisor/describe.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/spawn.h"
#include "supervisor/environment.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_output.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_BYTES = 16 << 10 };

/* One stream of the child's. */
struct describe_pipe {
    int fd;
    struct event *event;
    struct buf text;
};

struct describe {
    TAILQ_ENTRY(describe) link;
    struct supervisor *supervisor;
    describe_callback *on_done; /* NULL: cancelled */
    void *owner;
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

static void describe_free(struct describe *describe)
{
    TAILQ_REMOVE(&describe->supervisor->describes, describe, link);
    describe->supervisor->describe_count--;
    describe_pipe_release(&describe->out);
    describe_pipe_release(&describe->errors);
    if (describe->exit_event != NULL)
        event_free(describe->exit_event);
    if (describe->timeout != NULL)
        event_free(describe->timeout);
    if (describe->pidfd >= 0)
        (void)close(describe->pidfd); /* nothing to lose */
    free(describe);
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

static json_t *describe_judge(struct describe *describe, const siginfo_t *status, struct err *err)
{
    struct err inner = ERR_INIT;
    AUTO_JSON json_t *record = NULL;

    if (describe->is_overdue)
        return err_set_null(err, ERR_TIMED_OUT, "reading the model file took more than %d s",
                            DESCRIBE_TIME_MS / 1000);
    if (status->si_code != CLD_EXITED)
        return err_set_null(err, ERR_INVALID_MODEL, "rbee-worker died of SIG%s reading the file",
                            sigabbrev_np(status->si_status));
    if (status->si_status != 0)
        return err_set_null(err, ERR_INVALID_MODEL, "%s",
                            describe_last_words(&describe->errors.text));
    record = json_parse(describe->out.text.data, describe->out.text.len, DESCRIBE_OUTPUT_MAX_BYTES,
                        &inner);
    if (!json_is_object(record))
        return err_set_null(err, ERR_PROTOCOL, "rbee-worker --describe gave no record: %s",
                            record == NULL ? inner.message : "not an object");
    return take_ptr(record);
}

static void describe_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct describe *describe = arg;
    siginfo_t status = {0};
    struct err err = ERR_INIT;
    AUTO_JSON json_t *record = NULL;
    describe_callback *on_done = describe->on_done;
    void *owner = describe->owner;

    if (waitid(P_PIDFD, (id_t)describe->pidfd, &status, WEXITED | WNOHANG) != 0 ||
        status.si_pid == 0)
        return;
    describe_pipe_finish(&describe->out);
    describe_pipe_finish(&describe->errors);
    record = describe_judge(describe, &status, &err);
    describe_free(describe);
    if (on_done != NULL)
        on_done(owner, record, record == NULL ? &err : NULL);
}

static void describe_kill(struct describe *describe)
{
    (void)pidfd_send_signal(describe->pidfd, SIGKILL, NULL, 0); /* it may have ended already */
}

static void describe_on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct describe *describe = arg;

    describe->is_overdue = true;
    describe_kill(describe);
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

static int describe_spawn(struct describe *describe, const char *path, struct err *err)
{
    const char *program = describe->supervisor->worker_program;
    const char *const argv[] = {program, "--describe", path, NULL};
    AUTO_FREE const char **envp = environment_for_worker(environ);
    AUTO_CLOSE int out_fd = -1;
    AUTO_CLOSE int errors_fd = -1;
    pid_t pid = 0;

    if (describe_pipe_open(&describe->out, describe->supervisor->base, &out_fd, err) != 0 ||
        describe_pipe_open(&describe->errors, describe->supervisor->base, &errors_fd, err) != 0)
        return -1;
    return spawn_process(&(struct spawn){.program = program,
                                         .argv = argv,
                                         .envp = envp,
                                         .fds = {{out_fd, 1}, {errors_fd, 2}},
                                         .fd_count = 2,
                                         .new_group = true,
                                         .dies_with_parent = true,
                                         .no_core = true},
                         &pid, &describe->pidfd, err);
}

struct describe *describe_begin(struct supervisor *supervisor, const char *path,
                                describe_callback *on_done, void *owner, struct err *err)
{
    const struct timeval limit = {.tv_sec = DESCRIBE_TIME_MS / 1000};
    struct describe *describe = NULL;

    if (supervisor->describe_count >= DESCRIBE_MAX_COUNT)
        return err_set_null(err, ERR_BUSY, "%d model files are being read", DESCRIBE_MAX_COUNT);
    describe = xcalloc(1, sizeof(*describe));
    describe->supervisor = supervisor;
    describe->on_done = on_done;
    describe->owner = owner;
    describe->pidfd = describe->out.fd = describe->errors.fd = -1;
    buf_init(&describe->out.text, DESCRIBE_OUTPUT_MAX_BYTES);
    buf_init(&describe->errors.text, DESCRIBE_OUTPUT_MAX_BYTES);
    TAILQ_INSERT_TAIL(&supervisor->describes, describe, link);
    supervisor->describe_count++;
    if (describe_spawn(describe, path, err) != 0) {
        describe_free(describe);
        return NULL;
    }
    describe->exit_event = event_new(supervisor->base, describe->pidfd, EV_READ | EV_PERSIST,
                                     describe_on_exit, describe);
    describe->timeout = evtimer_new(supervisor->base, describe_on_timeout, describe);
    (void)event_add(describe->exit_event, NULL); /* fails only without memory */
    (void)evtimer_add(describe->timeout, &limit);
    return describe;
}

void describe_cancel(struct describe *describe)
{
    describe->on_done = NULL;
    describe_kill(describe);
}

void describe_cancel_all(struct supervisor *supervisor)
{
    struct describe *describe = NULL;

    while ((describe = TAILQ_FIRST(&supervisor->describes)) != NULL) {
        siginfo_t status;

        describe_kill(describe);
        (void)waitid(P_PIDFD, (id_t)describe->pidfd, &status, WEXITED); /* it has been killed */
        describe_free(describe);
    }
}

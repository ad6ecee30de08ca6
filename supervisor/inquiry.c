/* Owns the processes of rbee-worker that answer a question and end. Knows nothing of the answers.
 */
#include "supervisor/inquiry.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/spawn.h"
#include "supervisor/child.h"
#include "supervisor/environment.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_output.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 << 10,
    END_MS = 1000, /* after KILL, all together; a disk or a driver holds what takes longer */
};

/* One stream of the child's. */
struct inquiry_pipe {
    int fd;
    struct event *event;
    struct buf text;
};

struct inquiry {
    TAILQ_ENTRY(inquiry) link;
    struct supervisor *supervisor;
    const struct inquiry_kind *kind;
    inquiry_callback *on_done; /* NULL: nobody waits any more, and it has been killed */
    void *owner;
    int pidfd;
    struct event *exit_event;
    struct event *timeout;
    struct inquiry_pipe out;
    struct inquiry_pipe errors;
};

static void inquiry_pipe_release(struct inquiry_pipe *pipe)
{
    if (pipe->event != NULL)
        event_free(pipe->event);
    if (pipe->fd >= 0)
        (void)close(pipe->fd); /* the read end */
    buf_release(&pipe->text);
}

static void inquiry_free(struct inquiry *inquiry)
{
    TAILQ_REMOVE(&inquiry->supervisor->inquiries, inquiry, link);
    inquiry_pipe_release(&inquiry->out);
    inquiry_pipe_release(&inquiry->errors);
    if (inquiry->exit_event != NULL)
        event_free(inquiry->exit_event);
    if (inquiry->timeout != NULL)
        event_free(inquiry->timeout);
    if (inquiry->pidfd >= 0)
        (void)close(inquiry->pidfd); /* nothing to lose */
    free(inquiry);
}

/* ---- what it says ---- */

/* What passes the limit is dropped: the record is then cut, and no JSON. */
static ssize_t inquiry_pipe_read(struct inquiry_pipe *pipe)
{
    char data[READ_BYTES];
    ssize_t len = read(pipe->fd, data, sizeof(data));

    if (len > 0)
        (void)buf_add(&pipe->text, data, (size_t)len);
    return len;
}

static void inquiry_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct inquiry_pipe *pipe = arg;

    if (inquiry_pipe_read(pipe) == 0)
        (void)event_del(pipe->event); /* the exit is noticed by the pidfd */
}

static void inquiry_pipe_finish(struct inquiry_pipe *pipe)
{
    while (inquiry_pipe_read(pipe) > 0)
        continue;
}

/* Its last words without the frame "fatal class=... reason=". */
static const char *inquiry_last_words(struct buf *text)
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

/* A new reference; NULL with err. */
static json_t *inquiry_judge(struct inquiry *inquiry, const siginfo_t *status, struct err *err)
{
    const struct inquiry_kind *kind = inquiry->kind;
    struct buf *text = &inquiry->out.text;
    struct err inner = ERR_INIT;
    AUTO_JSON json_t *record = NULL;

    if (status->si_code != CLD_EXITED)
        return err_set_null(err, kind->refusal, "rbee-worker died of SIG%s %s",
                            sigabbrev_np(status->si_status), kind->what);
    if (status->si_status != 0)
        return err_set_null(err, kind->refusal, "%s", inquiry_last_words(&inquiry->errors.text));
    record = json_parse(text->data, text->len, INQUIRY_OUTPUT_MAX_BYTES, &inner);
    if (!json_is_object(record))
        return err_set_null(err, ERR_PROTOCOL, "rbee-worker %s gave no record: %s", kind->option,
                            record == NULL ? inner.message : "not an object");
    return take_ptr(record);
}

static void inquiry_tell(struct inquiry *inquiry, const json_t *record, const struct err *failure)
{
    inquiry_callback *on_done = inquiry->on_done;

    inquiry->on_done = NULL;
    if (on_done != NULL)
        on_done(inquiry->owner, record, failure);
}

/* Who is told may ask again, and end others: this one is no more by then. */
static void inquiry_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct inquiry *inquiry = arg;
    inquiry_callback *on_done = inquiry->on_done;
    void *owner = inquiry->owner;
    siginfo_t status;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *record = NULL;

    if (!child_reap(inquiry->pidfd, &status))
        return;
    inquiry_pipe_finish(&inquiry->out);
    inquiry_pipe_finish(&inquiry->errors);
    if (on_done != NULL)
        record = inquiry_judge(inquiry, &status, &err);
    inquiry_free(inquiry);
    if (on_done != NULL)
        on_done(owner, record, record == NULL ? &err : NULL);
}

static void inquiry_on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct inquiry *inquiry = arg;
    struct err err = ERR_INIT;

    child_kill(inquiry->pidfd);
    err_fill(&err, ERR_TIMED_OUT, "%s took more than %u s", inquiry->kind->what,
             inquiry->kind->limit_seconds);
    inquiry_tell(inquiry, NULL, &err);
}

/* ---- its process ---- */

static int inquiry_pipe_open(struct inquiry_pipe *pipe, struct event_base *base, int *out_fd,
                             struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe: %m");
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); /* cannot fail on a pipe of ours */
    pipe->fd = ends[0];
    pipe->event = event_new(base, ends[0], EV_READ | EV_PERSIST, inquiry_on_readable, pipe);
    (void)event_add(pipe->event, NULL); /* without memory the exit still comes */
    *out_fd = ends[1];
    return 0;
}

static int inquiry_spawn(struct inquiry *inquiry, const char *operand, struct err *err)
{
    const char *program = inquiry->supervisor->worker_program;
    const char *const argv[] = {program, inquiry->kind->option, operand, NULL};
    AUTO_FREE const char **envp = environment_for_worker(environ, NULL);
    AUTO_CLOSE int out_fd = -1;
    AUTO_CLOSE int errors_fd = -1;
    pid_t pid = 0;

    if (inquiry_pipe_open(&inquiry->out, inquiry->supervisor->base, &out_fd, err) != 0 ||
        inquiry_pipe_open(&inquiry->errors, inquiry->supervisor->base, &errors_fd, err) != 0)
        return -1;
    return spawn_process(&(struct spawn){.program = program,
                                         .argv = argv,
                                         .envp = envp,
                                         .fds = {{out_fd, 1}, {errors_fd, 2}},
                                         .fd_count = 2,
                                         .new_group = true,
                                         .dies_with_parent = true,
                                         .no_core = true},
                         &pid, &inquiry->pidfd, err);
}

struct inquiry *inquiry_begin(struct supervisor *supervisor, const struct inquiry_kind *kind,
                              const char *operand, inquiry_callback *on_done, void *owner,
                              struct err *err)
{
    const struct timeval limit = {.tv_sec = kind->limit_seconds};
    struct inquiry *inquiry = xcalloc(1, sizeof(*inquiry));

    inquiry->supervisor = supervisor;
    inquiry->kind = kind;
    inquiry->pidfd = inquiry->out.fd = inquiry->errors.fd = -1;
    buf_init(&inquiry->out.text, INQUIRY_OUTPUT_MAX_BYTES);
    buf_init(&inquiry->errors.text, INQUIRY_OUTPUT_MAX_BYTES);
    TAILQ_INSERT_TAIL(&supervisor->inquiries, inquiry, link);
    if (inquiry_spawn(inquiry, operand, err) != 0) {
        inquiry_free(inquiry);
        return NULL;
    }
    inquiry->on_done = on_done;
    inquiry->owner = owner;
    inquiry->exit_event =
        event_new(supervisor->base, inquiry->pidfd, EV_READ | EV_PERSIST, inquiry_on_exit, inquiry);
    inquiry->timeout = evtimer_new(supervisor->base, inquiry_on_timeout, inquiry);
    (void)event_add(inquiry->exit_event, NULL); /* fails only without memory */
    (void)evtimer_add(inquiry->timeout, &limit);
    return inquiry;
}

void inquiry_end(struct inquiry *inquiry)
{
    inquiry->on_done = NULL;
    child_kill(inquiry->pidfd); /* its exit frees it */
}

unsigned inquiry_count(const struct supervisor *supervisor, const struct inquiry_kind *kind)
{
    const struct inquiry *inquiry = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(inquiry, &supervisor->inquiries, link)
    {
        count += inquiry->kind == kind;
    }
    return count;
}

void inquiry_end_all(struct supervisor *supervisor)
{
    uint64_t ends_ms = clock_monotonic_ms() + END_MS;
    struct inquiry *inquiry = NULL;

    while ((inquiry = TAILQ_FIRST(&supervisor->inquiries)) != NULL) {
        child_end(inquiry->pidfd, ends_ms);
        inquiry_free(inquiry);
    }
}

/* Owns the processes of rbee-fetch. Must not know what a line is about. */
#include "supervisor/fetch_child.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/spawn.h"
#include "supervisor/child.h"
#include "supervisor/environment.h"
#include "supervisor/supervisor.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FETCH_CHILD_READ_BYTES = 16 << 10,
    FETCH_CHILD_END_MS = 1000, /* after KILL, all together; a disk holds what takes longer */
};

struct fetch_child {
    TAILQ_ENTRY(fetch_child) link;
    struct supervisor *supervisor;
    const struct fetch_child_events *events; /* NULL: nobody wants to hear any more */
    void *owner;
    int pidfd;
    int fd; /* its stdin and stdout */
    struct event *output;
    struct event *exit_event;
    struct buf line; /* the one that has begun */
    bool is_done;
    struct err failure; /* what it said, or what it did */
};

static void child_free(struct fetch_child *child)
{
    TAILQ_REMOVE(&child->supervisor->fetch_children, child, link);
    if (child->output != NULL)
        event_free(child->output);
    if (child->exit_event != NULL)
        event_free(child->exit_event);
    attr_close(&child->pidfd);
    attr_close(&child->fd);
    buf_release(&child->line);
    free(child);
}

/* ---- what it says ---- */

static void child_on_line(struct fetch_child *child)
{
    struct err err = ERR_INIT;
    AUTO_JSON json_t *line =
        json_parse(child->line.data, child->line.len, FETCH_CHILD_LINE_MAX_BYTES, &err);
    const char *type = json_string_value(json_object_get(line, "type"));

    if (type == NULL) {
        err_fill(&child->failure, ERR_PROTOCOL, "rbee-fetch said what is no line of its language");
        child_kill(child->pidfd);
        return;
    }
    if (strcmp(type, "error") == 0) {
        AUTO_JSON json_t *envelope = json_pack("{s:O}", "error", line);

        json_error_from_envelope(envelope, &child->failure);
        return;
    }
    child->is_done = strcmp(type, "done") == 0;
    if (child->events != NULL)
        child->events->on_line(child->owner, line);
}

static void child_take(struct fetch_child *child, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            child_on_line(child);
            buf_clear(&child->line);
        } else if (buf_add_byte(&child->line, data[i]) < 0) {
            err_fill(&child->failure, ERR_PROTOCOL, "rbee-fetch said a line that has no end");
            child_kill(child->pidfd);
            return;
        }
    }
}

static ssize_t child_read(struct fetch_child *child)
{
    char data[FETCH_CHILD_READ_BYTES];
    ssize_t len = read(child->fd, data, sizeof(data));

    if (len > 0)
        child_take(child, data, (size_t)len);
    return len;
}

static void child_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct fetch_child *child = arg;

    if (child_read(child) == 0)
        (void)event_del(child->output); /* the exit is noticed by the pidfd */
}

static void child_judge(struct fetch_child *child, const siginfo_t *status)
{
    if (err_is_set(&child->failure) || (child->is_done && status->si_code == CLD_EXITED))
        return;
    if (status->si_code == CLD_EXITED)
        err_fill(&child->failure, ERR_INTERNAL, "rbee-fetch ended with exit %d", status->si_status);
    else
        err_fill(&child->failure, ERR_DOWNLOAD,
                 "rbee-fetch died of SIG%s; what it had is kept, another try goes on from there",
                 sigabbrev_np(status->si_status));
}

static void child_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct fetch_child *child = arg;
    siginfo_t status;
    const struct fetch_child_events *events = NULL;

    if (!child_reap(child->pidfd, &status))
        return;
    while (child_read(child) > 0)
        continue;
    child_judge(child, &status);
    if (err_is_set(&child->failure))
        log_event(LOG_WARN, "fetch_failed", "error=%s", child->failure.message);
    events = child->events;
    if (events != NULL)
        events->on_end(child->owner, err_is_set(&child->failure) ? &child->failure : NULL);
    child_free(child);
}

/* ---- its process ---- */

/* A socket pair is its stdin and its stdout: what is said to one that has ended is an error here,
 * and no signal. */
static int child_spawn(struct fetch_child *child, struct err *err)
{
    AUTO_FREE char *program = paths_sibling_program("rbee-fetch");
    AUTO_FREE const char **envp = environment_for_fetch(environ);
    AUTO_CLOSE int theirs = -1;
    int ends[2] = {-1, -1};
    pid_t pid = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_set(err, ERR_IO, "socketpair: %m");
    child->fd = ends[0];
    theirs = ends[1];
    (void)fcntl(child->fd, F_SETFL, O_NONBLOCK); /* cannot fail on a socket of ours */
    if (spawn_process(&(struct spawn){.program = program,
                                      .argv = (const char *const[]){program, NULL},
                                      .envp = envp,
                                      .fds = {{theirs, STDIN_FILENO}, {theirs, STDOUT_FILENO}},
                                      .fd_count = 2,
                                      .new_group = true,
                                      .dies_with_parent = true,
                                      .no_core = true},
                      &pid, &child->pidfd, err) == 0)
        return 0;
    err->kind = ERR_INTERNAL; /* no file of the caller's is missing: a program of ours is */
    return err_wrap(err, "install rbee anew, its programs belong together (rbee doctor)");
}

/* It fits into the socket's buffer, which nobody else writes to; what does not is a failure. */
static int child_write(struct fetch_child *child, const char *text, struct err *err)
{
    AUTO_FREE char *line = xasprintf("%s\n", text);
    size_t len = strlen(line);

    if (send(child->fd, line, len, MSG_NOSIGNAL) == (ssize_t)len)
        return 0;
    return err_set(err, ERR_INTERNAL, "tell rbee-fetch: %m");
}

static unsigned child_count(const struct supervisor *supervisor)
{
    const struct fetch_child *child = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(child, &supervisor->fetch_children, link)
    {
        count++;
    }
    return count;
}

static void child_watch(struct fetch_child *child)
{
    struct event_base *base = child->supervisor->base;

    child->output = event_new(base, child->fd, EV_READ | EV_PERSIST, child_on_readable, child);
    child->exit_event = event_new(base, child->pidfd, EV_READ | EV_PERSIST, child_on_exit, child);
    (void)event_add(child->output, NULL); /* both fail only without memory */
    (void)event_add(child->exit_event, NULL);
}

struct fetch_child *fetch_child_start(struct supervisor *supervisor, const json_t *job,
                                      const struct fetch_child_events *events, void *owner,
                                      struct err *err)
{
    AUTO_FREE char *text = json_to_text(job);
    struct fetch_child *child = NULL;

    if (child_count(supervisor) >= FETCH_CHILD_MAX_COUNT)
        return err_set_null(err, ERR_BUSY, "%d models are being fetched or looked at already",
                            FETCH_CHILD_MAX_COUNT);
    child = xcalloc(1, sizeof(*child));
    child->supervisor = supervisor;
    child->pidfd = child->fd = -1;
    buf_init(&child->line, FETCH_CHILD_LINE_MAX_BYTES);
    TAILQ_INSERT_TAIL(&supervisor->fetch_children, child, link);
    if (child_spawn(child, err) != 0) {
        child_free(child);
        return NULL;
    }
    child_watch(child);
    if (child_write(child, text, err) != 0) {
        child_kill(child->pidfd);
        return NULL; /* its exit frees it */
    }
    child->events = events;
    child->owner = owner;
    return child;
}

void fetch_child_say(struct fetch_child *child, const char *word)
{
    struct err ignored = ERR_INIT; /* it has ended, which comes by the pidfd */

    (void)child_write(child, word, &ignored);
}

void fetch_child_end(struct fetch_child *child)
{
    child->events = NULL;
    child_kill(child->pidfd); /* its exit frees it */
}

void fetch_child_end_all(struct supervisor *supervisor)
{
    uint64_t ends_ms = clock_monotonic_ms() + FETCH_CHILD_END_MS;
    struct fetch_child *child = NULL;

    TAILQ_FOREACH(child, &supervisor->fetch_children, link)
    {
        child_kill(child->pidfd);
    }
    while ((child = TAILQ_FIRST(&supervisor->fetch_children)) != NULL) {
        child_end(child->pidfd, ends_ms);
        child_free(child);
    }
}

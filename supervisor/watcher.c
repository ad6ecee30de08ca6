/* Owns the process of rbee-watch: its start, its pipe, its replacement. What it does with the
 * groups is in watch/. */
#include "supervisor/watcher.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/process.h"
#include "common/spawn.h"
#include "supervisor/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WATCHER_BACKOFF_FIRST_MS = 100,
    WATCHER_BACKOFF_MAX_MS = 60000,
    /* One that lived that long was not ended by what ends every one. */
    WATCHER_STABLE_MS = 60000,
    /* Without a group it ends at once; one that was stopped never does, and is killed. */
    WATCHER_END_MS = 2000,
};

uint64_t watcher_backoff_ms(uint64_t last_ms, uint64_t lived_ms)
{
    if (last_ms == 0 || lived_ms >= WATCHER_STABLE_MS)
        return WATCHER_BACKOFF_FIRST_MS;
    return last_ms * 2 < WATCHER_BACKOFF_MAX_MS ? last_ms * 2 : WATCHER_BACKOFF_MAX_MS;
}

/* ---- what it is told ---- */

/* One that does not read any more is of no use: the next is told everything. */
static void watcher_say(struct watcher *watcher, const struct watch_record *record)
{
    if (watcher->pidfd < 0 ||
        write(watcher->pipe_fd, record, sizeof(*record)) == (ssize_t)sizeof(*record))
        return;
    if (errno != EPIPE) { /* else it has died, and that comes by the pidfd */
        log_event(LOG_ERROR, "watcher_unreachable", "error=%m");
        child_kill(watcher->pidfd);
    }
}

void watcher_add(struct watcher *watcher, pid_t pid, uint64_t start_ticks, const char *instance)
{
    struct watch_record record = watch_record_add(pid, start_ticks, instance);

    if (watcher->group_count == WATCH_GROUP_MAX_COUNT) {
        log_event(LOG_ERROR, "watcher_full", "pid=%d instance=%s", (int)pid, instance);
        return;
    }
    watcher->groups = xgrow(watcher->groups, watcher->group_count, sizeof(*watcher->groups));
    watcher->groups[watcher->group_count++] = record;
    watcher_say(watcher, &record);
}

void watcher_remove(struct watcher *watcher, const char *instance)
{
    for (size_t i = 0; i < watcher->group_count; i++) {
        struct watch_record record = watch_record_remove(instance);

        if (strcmp(watcher->groups[i].instance, instance) != 0)
            continue;
        watcher->groups[i] = watcher->groups[--watcher->group_count];
        watcher_say(watcher, &record);
        return;
    }
}

/* ---- its process ---- */

static int watcher_spawn(struct watcher *watcher, struct err *err)
{
    static const char *const NO_ENVIRONMENT[] = {NULL};
    AUTO_FREE char *program = paths_sibling_program("rbee-watch");
    int ends[2] = {-1, -1};
    AUTO_CLOSE int read_end = -1;
    AUTO_CLOSE int write_end = -1;
    pid_t pid = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe: %m");
    read_end = ends[0];
    write_end = ends[1];
    /* Only our end: the watcher has nothing else to do than to wait. */
    if (fcntl(write_end, F_SETFL, O_NONBLOCK) != 0)
        return err_set(err, ERR_IO, "fcntl of a pipe: %m");
    if (spawn_process(&(struct spawn){.program = program,
                                      .argv = (const char *const[]){program, NULL},
                                      .envp = NO_ENVIRONMENT,
                                      .fds = {{read_end, STDIN_FILENO}},
                                      .fd_count = 1,
                                      .new_session = true,
                                      .no_core = true},
                      &pid, &watcher->pidfd, err) != 0)
        return -1;
    watcher->pipe_fd = take_fd(&write_end);
    log_event(LOG_INFO, "watcher_started", "pid=%d groups=%zu", (int)pid, watcher->group_count);
    return 0;
}

static void watcher_forget(struct watcher *watcher)
{
    if (watcher->exit_event != NULL)
        event_free(watcher->exit_event);
    watcher->exit_event = NULL;
    if (watcher->pidfd >= 0)
        (void)close(watcher->pidfd); /* reaped already */
    if (watcher->pipe_fd >= 0)
        (void)close(watcher->pipe_fd); /* nobody reads it */
    watcher->pidfd = watcher->pipe_fd = -1;
}

static void watcher_retry_later(struct watcher *watcher)
{
    uint64_t ms = watcher_backoff_ms(watcher->delay_ms, clock_monotonic_ms() - watcher->started_ms);
    struct timeval after = clock_timeval(ms);

    watcher->delay_ms = ms;
    log_event(LOG_WARN, "watcher_gone", "error=%s again_ms=%llu", watcher->failure.message,
              (unsigned long long)ms);
    (void)evtimer_add(watcher->retry, &after); /* fails only without memory */
}

static void watcher_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct watcher *watcher = arg;
    siginfo_t status;

    if (!child_reap(fd, &status))
        return;
    if (status.si_code == CLD_EXITED)
        err_fill(&watcher->failure, ERR_INTERNAL, "rbee-watch ended with exit %d",
                 status.si_status);
    else
        err_fill(&watcher->failure, ERR_INTERNAL, "rbee-watch was ended by signal %d",
                 status.si_status);
    watcher_forget(watcher);
    watcher_retry_later(watcher);
}

static void watcher_begin(struct watcher *watcher)
{
    watcher->started_ms = clock_monotonic_ms();
    if (watcher_spawn(watcher, &watcher->failure) != 0) {
        watcher_retry_later(watcher);
        return;
    }
    err_clear(&watcher->failure);
    watcher->exit_event =
        event_new(watcher->base, watcher->pidfd, EV_READ | EV_PERSIST, watcher_on_exit, watcher);
    (void)event_add(watcher->exit_event, NULL); /* fails only without memory */
    for (size_t i = 0; i < watcher->group_count; i++)
        watcher_say(watcher, &watcher->groups[i]);
}

static void watcher_on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct watcher *watcher = arg;

    watcher_begin(watcher);
}

void watcher_init(struct watcher *watcher)
{
    *watcher = (struct watcher){.pidfd = -1, .pipe_fd = -1};
}

void watcher_start(struct watcher *watcher, struct event_base *base)
{
    watcher->base = base;
    watcher->retry = evtimer_new(base, watcher_on_retry, watcher);
    watcher_begin(watcher);
}

/* The end of the pipe is what it waits for. */
static void watcher_end(struct watcher *watcher)
{
    siginfo_t status;

    if (watcher->pidfd < 0)
        return;
    (void)close(watcher->pipe_fd); /* all that was written has been taken by the pipe */
    watcher->pipe_fd = -1;
    if (!process_await(watcher->pidfd, clock_monotonic_ms() + WATCHER_END_MS))
        child_kill(watcher->pidfd);
    (void)waitid(P_PIDFD, (id_t)watcher->pidfd, &status, WEXITED); /* it has ended, or will now */
}

void watcher_release(struct watcher *watcher)
{
    watcher_end(watcher);
    watcher_forget(watcher);
    if (watcher->retry != NULL)
        event_free(watcher->retry);
    free(watcher->groups);
    watcher_init(watcher);
}

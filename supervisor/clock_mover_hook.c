/* Owns the talk with a test that moves our clocks. Only in builds with TEST_HOOKS=1. Knows no
 * timer: all of them are libevent's, whose clock is moved with ours (common/clock_hook.c). */
#include "supervisor/clock_mover_hook.h"

#include "common/clock.h"
#include "common/clock_hook.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/units.h"

#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    FD_MAX = 1 << 20,
    LINE_MAX_BYTES = 64,
    ANSWER_MAX_BYTES = ERR_MESSAGE_MAX_BYTES + LINE_MAX_BYTES + 16,
};
/* A year at once is more than any limit of ours. */
static const int64_t STEP_MAX_MS = 366LL * 24 * 3600 * 1000;

struct clock_mover {
    struct event_base *base;
    int command_fd;
    int answer_fd;
    struct event *commands;
    struct event *answer; /* fires after all that was due when the clock had been moved */
};

static void clock_mover_say(const struct clock_mover *mover, const char *text)
{
    struct err err = ERR_INIT;

    if (io_write_all(mover->answer_fd, text, strlen(text), &err) != 0)
        log_event(LOG_ERROR, "test_clock_mute", "error=%s", err.message);
}

static void clock_mover_on_answer(evutil_socket_t fd, short what, void *arg)
{
    char text[ANSWER_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "ok %" PRIu64 "\n", clock_monotonic_ms());
    clock_mover_say(arg, text);
}

static int clock_mover_obey(const char *line, struct err *err)
{
    const char *number = strchr(line, ' ');
    int64_t ms = 0;

    if (number != NULL && strncmp(line, "advance ", strlen("advance ")) == 0) {
        if (units_parse_integer(number + 1, 0, STEP_MAX_MS, &ms, err) != 0)
            return -1;
        clock_hook_advance(ms);
        return 0;
    }
    if (number != NULL && strncmp(line, "wall ", strlen("wall ")) == 0) {
        if (units_parse_integer(number + 1, -STEP_MAX_MS, STEP_MAX_MS, &ms, err) != 0)
            return -1;
        clock_hook_move_wall(ms);
        return 0;
    }
    return err_set(err, ERR_USAGE, "unknown command");
}

/* A line comes whole: it is far shorter than what a pipe takes at once, and the test waits for the
 * answer before it writes another. */
static void clock_mover_on_command(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval NOW = {0, 0};
    struct clock_mover *mover = arg;
    struct err err = ERR_INIT;
    char text[ANSWER_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    ssize_t len = read(fd, line, sizeof(line) - 1);

    if (len <= 0) {
        (void)event_del(mover->commands); /* the test has gone */
        return;
    }
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (clock_mover_obey(line, &err) != 0) {
        (void)snprintf(text, sizeof(text), "error %s: %s\n", line, err.message);
        clock_mover_say(mover, text);
        return;
    }
    /* The loop has kept the time it woke at: a timer set from it would be due too early. */
    (void)event_base_update_cache_time(mover->base); /* fails only outside the loop */
    (void)evtimer_add(mover->answer, &NOW);          /* fails only without memory */
}

static int clock_mover_read_fd(const char *variable, struct err *err)
{
    const char *text = getenv(variable);
    int64_t fd = -1;

    if (text == NULL)
        return err_set(err, ERR_USAGE, "%s is not set", variable);
    if (units_parse_integer(text, 0, FD_MAX, &fd, err) != 0)
        return err_wrap(err, "%s", variable);
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return err_set(err, ERR_USAGE, "%s is %s: %m", variable, text);
    return (int)fd;
}

struct clock_mover *clock_mover_new(struct event_base *base)
{
    struct clock_mover *mover = NULL;
    struct err err = ERR_INIT;
    int command_fd = clock_mover_read_fd("RBEE_TEST_CLOCK_FD", &err);
    int answer_fd = command_fd < 0 ? -1 : clock_mover_read_fd("RBEE_TEST_CLOCK_REPLY_FD", &err);

    if (answer_fd < 0) {
        log_event(LOG_INFO, "test_clock_stays", "reason=%s", err.message);
        return NULL;
    }
    mover = xcalloc(1, sizeof(*mover));
    *mover = (struct clock_mover){.base = base, .command_fd = command_fd, .answer_fd = answer_fd};
    mover->commands =
        event_new(base, command_fd, EV_READ | EV_PERSIST, clock_mover_on_command, mover);
    mover->answer = evtimer_new(base, clock_mover_on_answer, mover);
    (void)event_add(mover->commands, NULL); /* fails only without memory */
    return mover;
}

void clock_mover_free(struct clock_mover *mover)
{
    if (mover == NULL)
        return;
    event_free(mover->commands);
    event_free(mover->answer);
    (void)close(mover->command_fd); /* nothing hangs on either */
    (void)close(mover->answer_fd);
    free(mover);
}

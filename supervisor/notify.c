/* Owns the words of sd_notify(3) and their socket. Must not know why something is told. */
#include "supervisor/notify.h"

#include "common/attr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"
#include "supervisor/environment.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    NOTIFY_MAX_BYTES = 256,
    US_PER_MS = 1000,
    US_PER_S = 1000 * 1000,
    /* sd_watchdog_enabled(3) advises half of the time, so that one late turn is no death. */
    NOTIFY_PINGS_IN_TIME = 2,
};

/* Nothing waits for who listens: a queue that is full loses a word, and the log says so. */
static void notify_send(struct notify *notify, const char *text)
{
    if (notify->fd < 0)
        return;
    if (sendto(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&notify->address, notify->address_len) < 0)
        log_event(LOG_WARN, "notify_failed", "error=%m");
}

/* ---- what the environment says ---- */

/* A path, or with "@" for its first byte an abstract name. */
static bool notify_read_address(struct notify *notify, const char *name)
{
    size_t len = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(notify->address.sun_path)) {
        log_event(LOG_WARN, "notify_unusable", "socket=%s", name);
        return false;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, name, len + 1);
    notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (name[0] == '@')
        notify->address.sun_path[0] = '\0'; /* such a name ends where its length says */
    else
        notify->address_len++;
    return true;
}

/* Without WATCHDOG_PID it is for whoever reads it. */
static void notify_read_watchdog(struct notify *notify)
{
    const char *text = getenv("WATCHDOG_USEC");
    struct err err = ERR_INIT;
    int64_t us = 0;

    if (text == NULL ||
        (getenv("WATCHDOG_PID") != NULL && !environment_has_our_pid("WATCHDOG_PID")))
        return;
    if (units_parse_integer(text, 1, INT64_MAX, &us, &err) == 0)
        notify->watchdog_us = (uint64_t)us;
    else
        log_event(LOG_WARN, "watchdog_unusable", "error=%s", err.message);
}

void notify_init(struct notify *notify)
{
    const char *name = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1};
    if (name != NULL && notify_read_address(notify, name)) {
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (notify->fd < 0)
            log_event(LOG_WARN, "notify_failed", "error=%m");
    }
    if (notify->fd >= 0)
        notify_read_watchdog(notify);
    (void)unsetenv("NOTIFY_SOCKET"); /* fails only for a name that is none */
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

/* ---- the watchdog ---- */

static void notify_on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    notify_send(arg, "WATCHDOG=1");
}

void notify_watch(struct notify *notify, struct event_base *base)
{
    uint64_t us = notify->watchdog_us / NOTIFY_PINGS_IN_TIME;
    const struct timeval every = {.tv_sec = (time_t)(us / US_PER_S),
                                  .tv_usec = (suseconds_t)(us % US_PER_S)};

    if (us == 0)
        return;
    notify->watchdog = event_new(base, -1, EV_PERSIST, notify_on_watchdog, notify);
    (void)event_add(notify->watchdog, &every); /* fails only without memory */
}

void notify_release(struct notify *notify)
{
    if (notify->watchdog != NULL)
        event_free(notify->watchdog);
    notify->watchdog = NULL;
    attr_close(&notify->fd);
    notify->fd = -1;
}

/* ---- what is told ---- */

void notify_ready(struct notify *notify)
{
    notify_send(notify, "READY=1");
}

void notify_reloading(struct notify *notify)
{
    char text[NOTIFY_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   clock_monotonic_us()); /* a number fits */
    notify_send(notify, text);
}

void notify_stopping(struct notify *notify, uint64_t at_most_ms)
{
    char text[NOTIFY_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                   at_most_ms * US_PER_MS); /* a number fits */
    notify_send(notify, text);
}

void notify_status(struct notify *notify, unsigned ready_count, unsigned worker_count,
                   unsigned request_count)
{
    char status[NOTIFY_STATUS_MAX_BYTES];
    char text[NOTIFY_MAX_BYTES];

    (void)snprintf(status, sizeof(status), "%u of %u workers ready, %u requests", ready_count,
                   worker_count, request_count); /* three numbers fit */
    if (strcmp(status, notify->status) == 0)
        return;
    memcpy(notify->status, status, sizeof(status));
    (void)snprintf(text, sizeof(text), "STATUS=%s", status);
    notify_send(notify, text);
}

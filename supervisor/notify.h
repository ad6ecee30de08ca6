/* What a service manager is told, in the words of sd_notify(3): ready, reloading, stopping, a line
 * of status, and that the loop still turns. A datagram each, to the socket that NOTIFY_SOCKET
 * names; where it names none, nobody is told and nothing is done. */
#ifndef RBEE_SUPERVISOR_NOTIFY_H
#define RBEE_SUPERVISOR_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct event;
struct event_base;

enum { NOTIFY_STATUS_MAX_BYTES = 128 };

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_len;
    uint64_t watchdog_us;   /* how long we may be silent; 0: for ever */
    struct event *watchdog; /* NULL until notify_watch() */
    char status[NOTIFY_STATUS_MAX_BYTES];
};

/* Takes the variables of sd_notify out of the environment: no child is to speak for us. A socket
 * that cannot be used is logged, and nobody is told. */
void notify_init(struct notify *notify);
/* From now on the loop says that it turns, twice in the time it may be silent. */
void notify_watch(struct notify *notify, struct event_base *base);
void notify_release(struct notify *notify);

void notify_ready(struct notify *notify);
/* Until the next notify_ready(). */
void notify_reloading(struct notify *notify);
/* The end may take so long from now. */
void notify_stopping(struct notify *notify, uint64_t at_most_ms);
/* One line for people; sent when it has changed. */
void notify_status(struct notify *notify, unsigned ready_count, unsigned worker_count,
                   unsigned request_count);

#endif

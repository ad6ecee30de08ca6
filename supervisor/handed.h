/* Sockets that whoever started us has made and hands over, as systemd does for a service that a
 * socket activates (sd_listen_fds(3)): at most one Unix socket and one of TCP. They take the place
 * of those that we would make. Who may come in by them is decided as ever (auth.c). */
#ifndef RBEE_SUPERVISOR_HANDED_H
#define RBEE_SUPERVISOR_HANDED_H

#include "common/err.h"
#include "common/http/http.h"

struct handed {
    int unix_fd; /* -1: none; CLOEXEC and non-blocking, as tcp_fd */
    int tcp_fd;
    struct http_address unix_address; /* where they listen */
    struct http_address tcp_address;
};

/* Takes what LISTEN_FDS, LISTEN_PID say out of the environment. What is no listening socket, has no
 * path, or stands twice: ERR_CONFIG. Release it after a failure, too. */
int handed_take(struct handed *handed, struct err *err);
void handed_release(struct handed *handed);

#endif

/* The Unix socket of the API: made with the right modes, made again when somebody removes it. */
#ifndef RBEE_SUPERVISOR_LISTENER_H
#define RBEE_SUPERVISOR_LISTENER_H

#include "common/err.h"
#include "common/http/http.h"
#include "supervisor/retired.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct event_base;

struct listener {
    struct event_base *base;
    char *path;
    int handed_fd;  /* one that somebody else has made (handed.h), borrowed; -1: none */
    bool has_group; /* whose members may connect, too */
    gid_t group;
    struct http_limits limits;
    const struct http_service *service;
    void *owner;
    struct http_server *server; /* NULL: not listening */
    dev_t device;               /* of the socket file that is ours */
    ino_t inode;
    struct retired retired; /* their socket was removed; they serve their clients to the end */
    bool has_failed;        /* to make it again; said once */
};

/* Listens on path with service for owner, all set by the caller, who holds the state folder's lock:
 * a stale socket is replaced. A living one, or a file that is no socket: ERR_CONFLICT. With a
 * handed_fd that is the socket, and its file is left alone, now and later. */
int listener_open(struct listener *listener, struct err *err);
/* Makes the socket again when it is gone, and lets go of retired servers without clients. */
void listener_upkeep(struct listener *listener);
/* No new connections, and no socket file. */
void listener_stop(struct listener *listener);
unsigned listener_client_count(const struct listener *listener);
/* Cuts what is still open. */
void listener_close(struct listener *listener);

#endif

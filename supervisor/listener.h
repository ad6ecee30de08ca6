/* The Unix socket of the API: made with the right modes, made again when somebody removes it. */
#ifndef RBEE_SUPERVISOR_LISTENER_H
#define RBEE_SUPERVISOR_LISTENER_H

#include "common/err.h"
#include "common/http/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct event_base;

/* Servers whose socket was removed serve their clients to the end; more than so many at a time
 * means that somebody removes it for sport, and then the oldest is cut. */
enum { LISTENER_RETIRED_MAX_COUNT = 4 };

struct listener {
    struct event_base *base;
    char *path;
    struct http_limits limits;
    const struct http_service *service;
    void *owner;
    struct http_server *server; /* NULL: not listening */
    dev_t device;               /* of the socket file that is ours */
    ino_t inode;
    struct http_server *retired[LISTENER_RETIRED_MAX_COUNT];
    bool has_failed; /* to make it again; said once */
};

/* Listens on path with service for owner, all set by the caller, who holds the state folder's lock:
 * a stale socket is replaced. A living one, or a file that is no socket: ERR_CONFLICT. */
int listener_open(struct listener *listener, struct err *err);
/* Makes the socket again when it is gone, and lets go of retired servers without clients. */
void listener_upkeep(struct listener *listener);
/* No new connections, and no socket file. */
void listener_stop(struct listener *listener);
unsigned listener_client_count(const struct listener *listener);
/* Cuts what is still open. */
void listener_close(struct listener *listener);

#endif

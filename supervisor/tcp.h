/* The TCP socket of the API: open while it is wanted, on the address that the configuration says.
 *
 *   off      not wanted, or no token yet
 *   open     serves
 *   waiting  wanted, but somebody else has the port: tried again at each upkeep, and said in status
 *
 * Who may call is auth.c's. */
#ifndef RBEE_SUPERVISOR_TCP_H
#define RBEE_SUPERVISOR_TCP_H

#include "common/err.h"
#include "common/http/http.h"
#include "supervisor/retired.h"

#include <stdbool.h>

struct event_base;

enum { TCP_NAME_BYTES = 64 }; /* "[IPv6]:PORT" and its NUL */

/* What is wanted. */
struct tcp_wish {
    bool is_on;
    bool is_required; /* somebody chose the address: not to get it is an error, not a warning */
    struct http_address address;
};

struct tcp {
    struct event_base *base;
    struct http_limits limits;
    const struct http_service *service;
    void *owner;
    struct tcp_wish wish;
    int handed_fd; /* a socket that somebody else has made (handed.h), borrowed; -1: none */
    struct http_server *server; /* NULL: off or waiting */
    char name[TCP_NAME_BYTES];  /* where it listens, with the real port; "" when it does not */
    struct err failure;         /* why it waits; said once */
    struct retired retired;
};

/* Makes it as WISH wants, base to owner having been set. On failure (ERR_IO, of a wish that is
 * required) all stays as it was. */
int tcp_apply(struct tcp *tcp, const struct tcp_wish *wish, struct err *err);
void tcp_upkeep(struct tcp *tcp);
/* No new connections. */
void tcp_stop(struct tcp *tcp);
unsigned tcp_client_count(const struct tcp *tcp);
/* Cuts what is still open. */
void tcp_close(struct tcp *tcp);

#endif

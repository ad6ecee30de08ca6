/* Who a peer is, and what it may do: fail closed. */
#ifndef RBEE_SUPERVISOR_AUTH_H
#define RBEE_SUPERVISOR_AUTH_H

#include "common/err.h"
#include "common/http/http.h"

/* The `who` column of routes.def. */
enum auth_who {
    /* Each may do what those above it may. */
    AUTH_OPEN,  /* anyone who can connect */
    AUTH_INFER, /* may ask models */
    AUTH_ADMIN, /* may change things; may infer too */
};

enum { AUTH_ACTOR_BYTES = 24 };

/* Who calls, as logs and records have it. */
struct auth_caller {
    enum auth_who may;            /* the most it may do */
    char actor[AUTH_ACTOR_BYTES]; /* "uid:1000"; "" when nobody is known */
};

/* Finds out who the peer of EXCHANGE is. ERR_FORBIDDEN unless it may do what WHO may do; *out is
 * filled as far as it is known all the same. */
int auth_check(struct http_exchange *exchange, enum auth_who who, struct auth_caller *out,
               struct err *err);

#endif

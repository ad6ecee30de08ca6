/* Who a peer is, and what it may do: fail closed. */
#ifndef RBEE_SUPERVISOR_AUTH_H
#define RBEE_SUPERVISOR_AUTH_H

#include "common/err.h"
#include "common/http/http.h"

/* The `who` column of routes.def. */
enum auth_who {
    AUTH_OPEN,  /* anyone who can connect */
    AUTH_INFER, /* may ask models */
    AUTH_ADMIN, /* may change things; may infer too */
};

/* ERR_FORBIDDEN unless PEER may do what WHO may do. */
int auth_check(const struct http_peer *peer, enum auth_who who, struct err *err);

#endif

/* Scheme, host and port of a URL: whom a token may be shown to, and where a redirect may lead. Pure
 * functions. */
#ifndef RBEE_FETCH_ORIGIN_H
#define RBEE_FETCH_ORIGIN_H

#include "common/err.h"

#include <stdbool.h>

enum { ORIGIN_HOST_MAX_BYTES = 256 }; /* the longest name of DNS has 253 */

struct origin {
    bool is_https;
    char host[ORIGIN_HOST_MAX_BYTES]; /* in lower case; IPv6 in its brackets */
    int port;
};

/* ERR_INVALID: no http(s) URL, or one with a user or a password in it. */
int origin_of(const char *url, struct origin *out, struct err *err);
bool origin_is_loopback(const struct origin *origin);
/* TO may be asked because FROM says so: never from https to http. */
bool origin_may_follow(const struct origin *from, const struct origin *to);
/* The token of ENDPOINT may be shown to TO: the same place, and not in the clear over a network. */
bool origin_takes_token(const struct origin *endpoint, const struct origin *to);

#endif

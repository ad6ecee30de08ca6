/* Servers that take no new clients and serve those they have to the end. */
#ifndef RBEE_SUPERVISOR_RETIRED_H
#define RBEE_SUPERVISOR_RETIRED_H

#include "common/http/http.h"

/* More than so many at a time means that somebody takes their sockets away for sport, and then the
 * oldest is cut. */
enum { RETIRED_MAX_COUNT = 4 };

/* Empty when all is NULL; the oldest is the first. */
struct retired {
    struct http_server *servers[RETIRED_MAX_COUNT];
};

/* Takes SERVER, which stops accepting. */
void retired_add(struct retired *retired, struct http_server *server);
/* Lets go of those without clients. */
void retired_upkeep(struct retired *retired);
unsigned retired_client_count(const struct retired *retired);
/* Cuts what is still open. */
void retired_release(struct retired *retired);

#endif

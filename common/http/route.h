/* Which line of a program's route table a request belongs to. The table itself, with its handlers
 * and who may call them, is the program's (routes.def). */
#ifndef RBEE_COMMON_HTTP_ROUTE_H
#define RBEE_COMMON_HTTP_ROUTE_H

#include "common/err.h"
#include "common/http/http.h"

#include <stddef.h>

enum { HTTP_ROUTE_PARAMETER_BYTES = 80 };

struct http_route {
    enum http_method method;
    const char *path; /* "/v1/workers/{name}/start": {...} is one segment, at most one of them */
};

/* The index of the route for HEAD's method and path, its segment for {...} in PARAMETER ("" when it
 * has none); -1 when there is none. A HEAD is a GET, whose body http.h leaves out. */
int http_route_find(const struct http_route *routes, size_t count, const struct http_head *head,
                    char parameter[HTTP_ROUTE_PARAMETER_BYTES]);
/* What to say then, to somebody who may know: -1 with ERR_NOT_FOUND, or with ERR_METHOD after the
 * reply was given its Allow header. */
int http_route_refuse(const struct http_route *routes, size_t count, struct http_exchange *x,
                      struct err *err);

#endif

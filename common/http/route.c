/* Owns the matching of paths and methods. Knows no handler. */
#include "common/http/route.h"

#include <stdio.h>
#include <string.h>

/* Every method once, with its comma. */
enum { ALLOW_MAX_BYTES = 64 };

static bool route_path_matches(const char *pattern, const char *path,
                               char parameter[HTTP_ROUTE_PARAMETER_BYTES])
{
    parameter[0] = '\0';
    while (*pattern != '\0') {
        size_t len = 0;

        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        len = strcspn(path, "/");
        if (len == 0 || len >= HTTP_ROUTE_PARAMETER_BYTES)
            return false;
        memcpy(parameter, path, len);
        parameter[len] = '\0';
        path += len;
        pattern = strchr(pattern, '}') + 1;
    }
    return *path == '\0';
}

static bool route_method_matches(enum http_method method, enum http_method asked)
{
    return method == asked || (method == HTTP_GET && asked == HTTP_HEAD);
}

static void route_add_allowed(char allowed[ALLOW_MAX_BYTES], enum http_method method)
{
    size_t len = strlen(allowed);

    (void)snprintf(allowed + len, ALLOW_MAX_BYTES - len, "%s%s", len > 0 ? ", " : "",
                   http_method_name(method));
}

int http_route_find(const struct http_route *routes, size_t count, const struct http_head *head,
                    char parameter[HTTP_ROUTE_PARAMETER_BYTES])
{
    for (size_t i = 0; i < count; i++) {
        if (route_method_matches(routes[i].method, head->method) &&
            route_path_matches(routes[i].path, head->path, parameter))
            return (int)i;
    }
    return -1;
}

int http_route_refuse(const struct http_route *routes, size_t count, struct http_exchange *x,
                      struct err *err)
{
    const struct http_head *head = http_exchange_head(x);
    char parameter[HTTP_ROUTE_PARAMETER_BYTES];
    char allowed[ALLOW_MAX_BYTES] = "";

    for (size_t i = 0; i < count; i++) {
        if (route_path_matches(routes[i].path, head->path, parameter))
            route_add_allowed(allowed, routes[i].method);
    }
    if (allowed[0] == '\0')
        return err_set(err, ERR_NOT_FOUND, "there is no such route");
    http_reply_header(x, "Allow", allowed);
    return err_set(err, ERR_METHOD, "this route takes %s only", allowed);
}

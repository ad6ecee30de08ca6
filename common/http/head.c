/* Owns the small questions about heads and methods. */
#include "common/http/http.h"

#include <strings.h>

const char *http_head_find(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (strcasecmp(head->headers[i].name, name) == 0)
            return head->headers[i].value;
    }
    return NULL;
}

const char *http_method_name(enum http_method method)
{
    static const char *const NAMES[] = {
        [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",       [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS",
        [HTTP_OTHER] = "(other)",
    };

    return NAMES[method];
}

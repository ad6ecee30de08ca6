/* Owns the small questions about heads and methods. */
#include "common/http/http.h"

#include <strings.h>

bool http_name_is(const char *name, const char *wanted)
{
    static const char CASE_BIT = 'a' ^ 'A'; /* what is no letter may differ in it, too */

    return ((name[0] ^ wanted[0]) & ~CASE_BIT) == 0 && strcasecmp(name, wanted) == 0;
}

const char *http_head_find(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (http_name_is(head->headers[i].name, name))
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

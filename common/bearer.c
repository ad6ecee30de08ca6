/* Owns the grammar of "Authorization: Bearer TOKEN". Must not know which token is right. */
#include "common/bearer.h"

#include "common/token.h"

#include <string.h>
#include <strings.h>

/* Two of them have two readings, whoever stands before us takes the other one. */
static const char *bearer_find_header(const struct http_head *head, struct err *err)
{
    const char *found = NULL;

    for (size_t i = 0; i < head->header_count; i++) {
        if (strcasecmp(head->headers[i].name, "Authorization") != 0)
            continue;
        if (found != NULL)
            return err_set_null(err, ERR_INVALID, "more than one Authorization header");
        found = head->headers[i].value;
    }
    if (found == NULL)
        return err_set_null(err, ERR_MISSING_API_KEY,
                            "a token is needed here, as \"Authorization: Bearer TOKEN\"");
    return found;
}

static bool bearer_is_token(const char *text)
{
    size_t len = 0;

    while (text[len] >= '!' && text[len] <= '~')
        len++;
    return text[len] == '\0' && len > 0 && len <= TOKEN_MAX_LEN;
}

const char *bearer_find(const struct http_head *head, struct err *err)
{
    static const char SCHEME[] = "Bearer "; /* in any case: RFC 9110, 11.1 */
    const char *value = bearer_find_header(head, err);

    if (value == NULL)
        return NULL;
    if (strlen(value) > BEARER_HEADER_MAX_BYTES)
        return err_set_null(err, ERR_HEAD_TOO_LARGE,
                            "an Authorization header of more than %d bytes",
                            BEARER_HEADER_MAX_BYTES);
    if (strncasecmp(value, SCHEME, strlen(SCHEME)) != 0 || !bearer_is_token(value + strlen(SCHEME)))
        return err_set_null(err, ERR_INVALID_API_KEY,
                            "the Authorization header is not \"Bearer\", one space and a token");
    return value + strlen(SCHEME);
}

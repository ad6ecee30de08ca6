/* An Authorization header of any bytes: refused with a reason that shows none of them, or a token
 * that is a part of it. */
#include "common/bearer.h"
#include "common/mem.h"
#include "common/token.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_FREE char *value = xstrndup((const char *)data, len);
    struct http_head head = {.header_count = 1, .headers = {{"Authorization", value}}};
    struct err err = ERR_INIT;
    const char *token = bearer_find(&head, &err);

    if (token == NULL) {
        assert(err.kind == ERR_INVALID_API_KEY || err.kind == ERR_HEAD_TOO_LARGE);
        return 0;
    }
    assert(token == value + strlen("Bearer "));
    assert(strlen(token) > 0 && strlen(token) <= TOKEN_MAX_LEN);
    for (const char *c = token; *c != '\0'; c++)
        assert(*c > ' ' && *c <= '~');
    return 0;
}

/* The one reading of a request's Authorization header, for every server of ours. */
#ifndef RBEE_COMMON_BEARER_H
#define RBEE_COMMON_BEARER_H

#include "common/err.h"
#include "common/http/http.h"

/* Of a header's value. Twice the longest token (token.h), so that one which is too long is told
 * from one that is wrong only where it is far too long. */
enum { BEARER_HEADER_MAX_BYTES = 8 * 1024 };

/* The token of HEAD's one Authorization header (RFC 6750, 2.1): the scheme in any case, exactly one
 * space, 1 to TOKEN_MAX_LEN printable bytes without blanks. Borrowed from HEAD. NULL with
 * ERR_MISSING_API_KEY (no such header), ERR_INVALID_API_KEY (it holds no such token), ERR_INVALID
 * (more than one), ERR_HEAD_TOO_LARGE. No message shows any of it. */
const char *bearer_find(const struct http_head *head, struct err *err);

#endif

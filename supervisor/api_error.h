/* How a failure leaves the supervisor: the envelope of a reply, or the event that ends a stream. */
#ifndef RBEE_SUPERVISOR_API_ERROR_H
#define RBEE_SUPERVISOR_API_ERROR_H

#include "common/err.h"
#include "common/http/http.h"

#include <jansson.h>

/* Both leave of an absolute path its last part, unless the client has sent it: a message may have
 * come from a worker or from the disk, and folders are nobody's business. Paths of our own routes
 * ("/v1/...") and of one segment stay. DETAILS, which are ours alone, go along; may be NULL. */
void api_reply_error(struct http_exchange *exchange, const struct err *cause,
                     const json_t *details);
json_t *api_error_event(const struct http_exchange *exchange, const struct err *cause,
                        const json_t *details);

#endif

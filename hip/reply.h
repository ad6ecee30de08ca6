/* One inference on its way from the engine to its client: checked, submitted, told event by event.
 *
 * A reply has two ends, the exchange and the engine's request; it lives until both are gone. The
 * client leaves first: the request is cancelled, its remaining events are thrown away. The request
 * ends first: the last bytes still have to leave. */
#ifndef RBEE_HIP_REPLY_H
#define RBEE_HIP_REPLY_H

#include "common/err.h"

struct http_exchange;
struct reply;
struct serve;

/* Reads the exchange's body and submits it. On failure nothing has been replied. */
int reply_start(struct serve *serve, struct http_exchange *x, struct err *err);
/* The one with this id; NULL when there is none. */
struct reply *reply_find(const struct serve *serve, const char *id);
/* The client shall get an end with the reason "cancelled". */
void reply_cancel(struct reply *reply);
/* Takes what the engine has, as long as the client keeps up. REPLY may be gone afterwards. */
void reply_pump(struct reply *reply);
/* The exchange ends. REPLY may be gone afterwards. */
void reply_on_closed(struct reply *reply);

#endif

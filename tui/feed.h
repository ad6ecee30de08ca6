/* The dashboard's talk with the supervisor: asks for the snapshot again and again, follows events
 * and the log that is shown, sends orders. All of it on one event loop; a supervisor that goes away
 * is asked until it is back. */
#ifndef RBEE_TUI_FEED_H
#define RBEE_TUI_FEED_H

#include "common/err.h"
#include "common/http/http.h"
#include "tui/top.h"

struct event_base;
struct feed;

enum {
    FEED_ANSWER_MS = 3000, /* a supervisor that lives has answered by then */
    FEED_RETRY_MS = 1000,  /* how often one that has gone is looked for, at least */
};

/* BASE, ADDRESS, TOKEN (NULL: none is needed) and TOP must outlive it. */
struct feed *feed_new(struct event_base *base, const struct http_address *address,
                      const char *token, struct top *top);
void feed_free(struct feed *feed);
/* Asks for everything that is shown, as far as the last answers are there. */
void feed_poll(struct feed *feed);
/* Brings what is followed in line with what the dashboard wants now, and sends its orders. */
void feed_sync(struct feed *feed);

#endif

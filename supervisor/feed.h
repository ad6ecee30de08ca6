/* Events and rows of the audit trail as they come, to clients that follow them.
 *
 * A feed is a place in one of these logs and nothing else: news only make it ask the store for
 * what comes after that place, which the store answers when all rows posted before are on disk. So
 * nothing is shown that could still be forgotten, nothing is shown twice or left out between the
 * past and the present, and a client that reads slowly costs no memory: it is asked for when it has
 * drained. What was deleted meanwhile, or before a client came back, is told as a gap.
 *
 *   PLACE    where does the present begin? (for one that comes back: is its place still there?)
 *   HISTORY  what was asked for from before that
 *   LIVE     everything after it */
#ifndef RBEE_SUPERVISOR_FEED_H
#define RBEE_SUPERVISOR_FEED_H

#include "common/err.h"
#include "supervisor/feed_log.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct api_call;
struct feed;
struct supervisor;

TAILQ_HEAD(feed_list, feed);

/* Half of what the store takes in queries: others must be able to ask as well. */
enum { FEED_MAX_COUNT = 32 };

struct feed_wish {
    enum feed_log log;
    const char *worker; /* NULL: all */
    const char *actor;  /* likewise */
    bool is_resumed;    /* after after_seq; the rest does not count */
    int64_t after_seq;
    int64_t since_ms; /* 0: not given */
    int64_t limit;    /* the newest so many of before; -1: all since since_ms */
};

/* Answers CALL with a stream that ends only with us or the client. WISH is copied. ERR_BUSY. */
int feed_begin(struct api_call *call, const struct feed_wish *wish, struct err *err);
/* There are rows of LOG, or the store has taken those that waited. */
void feed_wake(struct supervisor *supervisor, enum feed_log log);
/* Now and then: a feed that found too many queries waiting asks again. */
void feed_retry(struct supervisor *supervisor);
/* Tokens have changed: who may not follow any more is told so, and that is the end. */
void feed_end_revoked(struct supervisor *supervisor);
/* No events will come any more: each feed ends when what there is has been sent. */
void feed_end_all(struct supervisor *supervisor);

#endif

/* rbee-fetch as a child beside the loop: it gets a job, says how it goes line by line, and ends
 * with us. What the lines mean is in fetch/tell.h and fetch/job.h. */
#ifndef RBEE_SUPERVISOR_FETCH_CHILD_H
#define RBEE_SUPERVISOR_FETCH_CHILD_H

#include "common/err.h"

#include <jansson.h>
#include <sys/queue.h>

struct fetch_child;
struct supervisor;

TAILQ_HEAD(fetch_child_list, fetch_child);

enum {
    FETCH_CHILD_MAX_COUNT = 8,              /* at a time; one more is ERR_BUSY */
    FETCH_CHILD_LINE_MAX_BYTES = 256 << 10, /* that of a model in very many parts is the longest */
};

struct fetch_child_events {
    /* An object that it said; never one of type "error". Borrowed. It may be ended from in here. */
    void (*on_line)(void *owner, const json_t *line);
    /* Exactly once, unless fetch_child_end() was called: it has ended. FAILURE NULL: its last line
     * was "done". */
    void (*on_end)(void *owner, const struct err *failure);
};

/* JOB is borrowed. */
struct fetch_child *fetch_child_start(struct supervisor *supervisor, const json_t *job,
                                      const struct fetch_child_events *events, void *owner,
                                      struct err *err);
/* Another line for it: "go", "commit", "discard". */
void fetch_child_say(struct fetch_child *child, const char *word);
/* Kills it; no callback. What it has written to the disk is kept. */
void fetch_child_end(struct fetch_child *child);
/* Kills and reaps all, waiting a second at most for them; at the end of the supervisor. */
void fetch_child_end_all(struct supervisor *supervisor);

#endif

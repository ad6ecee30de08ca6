/* Answers to people that wait for the disk: what somebody was told is done stays done, also when
 * rbeed is killed right after. When the disk refuses, what was asked for is done all the same, and
 * the answer is NOT_STORED: a person must be able to stop a worker while the disk is full, and must
 * learn that a restart of rbeed would forget it. */
#ifndef RBEE_SUPERVISOR_DEED_H
#define RBEE_SUPERVISOR_DEED_H

#include "db/store.h"
#include "supervisor/api.h"

#include <jansson.h>

struct deed;
struct worker;

struct deed_end {
    /* What is left to be done once the row is written, or the disk has refused. NULL: nothing. */
    void (*act)(struct supervisor *supervisor, const char *name);
    /* The answer, a new reference; NULL: what it is about has gone meanwhile. */
    json_t *(*record)(struct supervisor *supervisor, const char *name);
};

/* NAME is what END's functions are given. Ends with deed_done() or deed_refused(). */
struct deed *deed_begin(struct api_call *call, const char *name, struct deed_end end);
/* For the row whose writing is waited for. */
struct store_done deed_done(struct deed *deed);
/* The row could not even be queued. */
void deed_refused(struct deed *deed);
/* All of it, for WORKER's own row as it is now. */
void deed_for_worker(struct api_call *call, const struct worker *worker, struct deed_end end);

#endif

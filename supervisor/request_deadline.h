/* A request and its deadline: what its time goes into, and its end when that is over. */
#ifndef RBEE_SUPERVISOR_REQUEST_DEADLINE_H
#define RBEE_SUPERVISOR_REQUEST_DEADLINE_H

#include "supervisor/request.h"

/* What the load of its worker, done or not, has taken of the request's wait. It has a worker. */
uint64_t request_load_us(const struct request *request, uint64_t now_us);
/* What its time has gone into so far, and what it is in now. */
void request_measure(const struct request *request, struct deadline_spent *out);
/* Ends it with ERR_DEADLINE: the time is over, or nearly. */
void request_fail_late(struct request *request);
/* The same, if it is late: a timer may be late where the loop is. Returns whether it is gone. */
bool request_end_if_late(struct request *request);
/* Counts the miss. Returns the details of the error, whoever saw that it was over: the worker may
 * have been the first, but what the time went into is ours to say. A new reference. */
json_t *request_note_missed_deadline(const struct request *request);

#endif

/* Answers that show counts: what a client has seen of restarts and breakers is not taken back by a
 * kill -9. Each leaves when all rows that were posted before it are on disk; that is at once, or a
 * few milliseconds. While the disk refuses rows it leaves without that: status says so then. */
#ifndef RBEE_SUPERVISOR_SHOWN_H
#define RBEE_SUPERVISOR_SHOWN_H

#include "supervisor/api.h"

#include <jansson.h>
#include <sys/queue.h>

struct shown;

TAILQ_HEAD(shown_list, shown);

/* Answers CALL with 200 and BODY as it is now; BODY stays the caller's. */
void shown_reply(struct api_call *call, json_t *body);
/* Rows have been written, or the disk refuses them: answers those whose time has come. */
void shown_check(struct supervisor *supervisor);

#endif

/* What the supervisor writes down: rows of workers and requests, and events. A row that cannot be
 * queued is said once in the log and shown as a degraded status; nothing waits for the disk. */
#ifndef RBEE_SUPERVISOR_JOURNAL_H
#define RBEE_SUPERVISOR_JOURNAL_H

#include <jansson.h>

struct request;
struct supervisor;
struct worker;

void journal_worker(const struct worker *worker);
void journal_worker_removed(struct supervisor *supervisor, const char *name);
/* OUTCOME "" while it runs. */
void journal_request(const struct request *request, const char *outcome);
/* WORKER and REQUEST may be "". Takes over DETAILS (an object; NULL: none). */
void journal_event(struct supervisor *supervisor, const char *kind, const char *worker,
                   const char *request, json_t *details);

#endif

/* What the supervisor writes down: rows of workers and requests, and events. A row that cannot be
 * queued is said once in the log and shown as a degraded status; nothing waits for the disk. */
#ifndef RBEE_SUPERVISOR_JOURNAL_H
#define RBEE_SUPERVISOR_JOURNAL_H

#include "db/store.h"
#include "supervisor/breaker.h"

#include <jansson.h>

struct device;
struct device_set;
struct request;
struct supervisor;
struct worker;

void journal_worker(const struct worker *worker);
/* The same, and DONE is told when the row is on disk, or that the disk refuses. -1: it could not
 * even be queued, and DONE is not told. */
int journal_worker_awaited(const struct worker *worker, struct store_done done);
/* A breaker that was BEFORE: its row, and the event when its state has changed. */
void journal_worker_breaker(const struct worker *worker, const struct breaker *before);
void journal_device_breaker(const struct device *device, const struct breaker *before);
/* DEVICE was called OLD_NAME. */
void journal_device_renamed(const struct device *device, const char *old_name);
/* The row of a GPU's breaker alone, as journal_worker_awaited(). */
int journal_device_awaited(const struct device *device, struct store_done done);
/* The failure that has just been counted, and on which devices. LOAD_MS: what its load took. */
void journal_failure(const struct worker *worker, const struct device_set *devices,
                     enum fault_class fault, int64_t load_ms, int64_t now_ms);
void journal_worker_removed(struct supervisor *supervisor, const char *name);
/* When it comes, with OUTCOME "", and when it has ended. */
void journal_request(struct request *request, const char *outcome);
/* WORKER and REQUEST may be "". Takes over DETAILS (an object; NULL: none). */
void journal_event(struct supervisor *supervisor, const char *kind, const char *worker,
                   const char *request, json_t *details);

#endif

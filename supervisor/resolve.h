/* From the name in a request to the worker that serves it: a worker, then a model, then a path. */
#ifndef RBEE_SUPERVISOR_RESOLVE_H
#define RBEE_SUPERVISOR_RESOLVE_H

#include "common/err.h"

struct request;
struct supervisor;
struct worker;

/* Finds the worker for MODEL (NULL: the default, else the only one there is) and gives it the
 * request, at once or when a file has been described. -1 with err when it is refused at once; what
 * fails later is told to the request. */
int resolve_request(struct request *request, const char *model, struct err *err);
/* The request has no use for the answer any more. */
void resolve_cancel(struct request *request);

/* For a person's start: the worker NAME, made if it is new, with MODEL (a model's name, or an
 * absolute path; NULL: as it is, or the model of that name). */
struct worker *resolve_worker(struct supervisor *supervisor, const char *name, const char *model,
                              struct err *err);
/* The worker NAME; ERR_WORKER_NOT_FOUND with the names that lie near. */
struct worker *resolve_known_worker(struct supervisor *supervisor, const char *name,
                                    struct err *err);

#endif

/* `rbee-worker --describe FILE` (inquiry.h): only a worker parses model files. */
#ifndef RBEE_SUPERVISOR_DESCRIBE_H
#define RBEE_SUPERVISOR_DESCRIBE_H

#include "common/err.h"

#include <jansson.h>
#include <sys/queue.h>

struct supervisor;
struct model_stamp;
struct describe;
struct describe_file;

TAILQ_HEAD(describe_list, describe_file);

enum { DESCRIBE_MAX_COUNT = 8 /* at a time; one more is ERR_BUSY */ };

/* RECORD is borrowed; it is NULL and FAILURE set when the file could not be described:
 * ERR_INVALID_MODEL with the worker's reason, ERR_TIMED_OUT, ERR_PROTOCOL. */
typedef void describe_callback(void *owner, const json_t *record, const struct err *failure);

/* The file PATH as it is at STAMP; who asks for one that is being read waits for the same process.
 * NULL with err when it cannot begin. Else ON_DONE is called exactly once, from the loop, unless it
 * is cancelled. */
struct describe *describe_begin(struct supervisor *supervisor, const char *path,
                                const struct model_stamp *stamp, describe_callback *on_done,
                                void *owner, struct err *err);
/* No callback; the process is killed when nobody else waits for it. */
void describe_cancel(struct describe *describe);
/* All of them, at the end of the supervisor. */
void describe_cancel_all(struct supervisor *supervisor);

#endif

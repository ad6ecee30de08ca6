/* Why a worker is in the state it is in: the WHY record, made of the worker as it is and of what
 * the store remembers of it. */
#ifndef RBEE_SUPERVISOR_WHY_H
#define RBEE_SUPERVISOR_WHY_H

#include "common/err.h"
#include "db/events.h"
#include "db/failures.h"

#include <jansson.h>

struct worker;

enum {
    WHY_TRANSITIONS_MAX_COUNT = 5,
    WHY_EVENTS_MAX_COUNT = 64, /* looked through for them, and for the last lines of stderr */
};

/* What the store remembers. */
struct why_past {
    json_t *transitions;  /* the last ones, the oldest first */
    json_t *stderr_lines; /* of the last end of a process; NULL: none is known */
    json_t *failure;      /* the last one; NULL: none is known */
    struct err problem;   /* why something of this could not be read */
};

void why_past_init(struct why_past *past);
void why_past_release(struct why_past *past);
/* ROWS are of this worker, the newest first. */
void why_past_add_events(struct why_past *past, const struct event_rows *rows);
void why_past_add_failures(struct why_past *past, const struct failure_rows *rows);
/* The WHY record; a new reference. */
json_t *why_record(struct worker *worker, const struct why_past *past);

#endif

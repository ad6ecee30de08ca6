/* An event of /v1/events as a line for people, without its end. What does not fit is cut by the
 * buf; text in it is as it came. */
#ifndef RBEE_COMMON_EVENT_TEXT_H
#define RBEE_COMMON_EVENT_TEXT_H

#include "common/buf.h"

#include <jansson.h>

/* "TIME  WORKER  WHAT" */
void event_text_add(struct buf *out, const json_t *event);
/* WHAT alone. */
void event_text_what(struct buf *out, const json_t *event);
/* What stands in the place of events that are gone. */
void event_text_gap(struct buf *out, const json_t *gap);

#endif

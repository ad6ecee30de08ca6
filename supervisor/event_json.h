/* An event of the store as the API shows it. */
#ifndef RBEE_SUPERVISOR_EVENT_JSON_H
#define RBEE_SUPERVISOR_EVENT_JSON_H

#include "db/events.h"

#include <jansson.h>

/* {"type":"event","seq","at","kind","worker","request","details":{}}; a new reference. */
json_t *event_to_json(const struct event_row *row);
/* Events are missing between the one numbered AFTER and NEXT, the first there is (0: there is none
 * yet): {"type":"gap","after","next"}. A new reference. */
json_t *event_gap_to_json(int64_t after_seq, int64_t next_seq);
/* What is stored as TEXT; an empty object when it is none. A new reference. */
json_t *event_details(const char *text);

#endif

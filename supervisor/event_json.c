/* Owns the shape of events on the wire. Knows nothing of how they are found. */
#include "supervisor/event_json.h"

#include "common/clock.h"
#include "common/json.h"

#include <string.h>

json_t *event_details(const char *text)
{
    struct err ignored =
        ERR_INIT; /* somebody else wrote into the file: the rest is worth showing */
    json_t *details = json_parse(text, strlen(text), STORE_ROW_MAX_BYTES, &ignored);

    if (json_is_object(details))
        return details;
    json_decref(details);
    return json_object();
}

json_t *event_to_json(const struct event_row *row)
{
    char at[CLOCK_RFC3339_BYTES];

    clock_format_rfc3339(row->at_ms, at);
    return json_pack("{s:s, s:I, s:s, s:o, s:o, s:o, s:o}", "type", "event", "seq",
                     (json_int_t)row->seq, "at", at, "kind", json_text_or_null(row->kind), "worker",
                     json_text_or_null(row->worker), "request", json_text_or_null(row->request),
                     "details", event_details(row->details));
}

json_t *event_gap_to_json(int64_t after_seq, int64_t next_seq)
{
    return json_pack("{s:s, s:I, s:I}", "type", "gap", "after", (json_int_t)after_seq, "next",
                     (json_int_t)next_seq);
}

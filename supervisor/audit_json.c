/* Owns the form of the audit trail on the wire. Knows nothing of how rows are found. */
#include "supervisor/audit_json.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "supervisor/event_json.h"

#include <inttypes.h>

json_t *audit_row_to_json(const struct audit_row *row)
{
    char at[CLOCK_RFC3339_BYTES];

    clock_format_rfc3339(row->at_ms, at);
    return json_pack("{s:s, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "type",
                     "audit", "seq", (json_int_t)row->seq, "at", at, "kind",
                     json_text_or_null(row->kind), "service", json_text_or_null(row->service),
                     "actor", json_text_or_null(row->actor), "peer", json_text_or_null(row->peer),
                     "method", json_text_or_null(row->method), "path", json_text_or_null(row->path),
                     "request_id", json_text_or_null(row->request_id), "outcome",
                     json_text_or_null(row->outcome), "details", event_details(row->details),
                     "hash", json_text_or_null(row->hash));
}

char *audit_row_to_line(const struct audit_row *row)
{
    AUTO_JSON json_t *json = audit_row_to_json(row);

    return json_to_text(json);
}

static char *verdict_message(const struct audit_verdict *verdict)
{
    int64_t seq = verdict->bad_seq;

    switch (verdict->fault) {
    case AUDIT_CHANGED:
        return xasprintf("row %" PRId64 " is not what was written there", seq);
    case AUDIT_MISSING:
        return xasprintf("row %" PRId64 " is missing", seq);
    case AUDIT_STRANGE:
        return xasprintf("row %" PRId64 " was never written by us", seq);
    case AUDIT_HEAD:
        return xasprintf(
            "the head is not what was written: from row %" PRId64 " on, rows may be missing", seq);
    default:
        return xasprintf("the chain holds over %" PRId64 " rows", verdict->row_count);
    }
}

json_t *audit_verdict_to_json(const struct audit_verdict *verdict)
{
    const struct audit_head *head = &verdict->head;
    bool is_good = verdict->fault == AUDIT_GOOD;
    AUTO_FREE char *message = verdict_message(verdict);
    AUTO_FREE char *head_text = xasprintf("%" PRId64 ":%s", head->seq, head->hash);

    return json_pack("{s:b, s:o, s:o, s:s, s:I, s:I, s:s}", "good", is_good, "row",
                     is_good ? json_null() : json_integer((json_int_t)verdict->bad_seq), "fault",
                     is_good ? json_null() : json_string(audit_fault_name(verdict->fault)),
                     "message", message, "rows", (json_int_t)verdict->row_count, "first",
                     (json_int_t)head->first_seq, "head", head_text);
}

/* A row of the audit trail as the API and archives show it. */
#ifndef RBEE_SUPERVISOR_AUDIT_JSON_H
#define RBEE_SUPERVISOR_AUDIT_JSON_H

#include "db/audit.h"

#include <jansson.h>

/* {"type":"audit","seq","at","kind","service","actor","peer","method","path","request_id","outcome",
 * "details":{},"hash"}; texts that say nothing are null. A new reference. */
json_t *audit_row_to_json(const struct audit_row *row);
/* The same as one line of text; the caller frees it. On any thread. */
char *audit_row_to_line(const struct audit_row *row);
/* {"good","row","fault","message","rows","first","head"}: message is a sentence for a person. A new
 * reference. */
json_t *audit_verdict_to_json(const struct audit_verdict *verdict);

#endif

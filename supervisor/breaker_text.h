/* What people and programs are told of a breaker: its record, and why it refuses. */
#ifndef RBEE_SUPERVISOR_BREAKER_TEXT_H
#define RBEE_SUPERVISOR_BREAKER_TEXT_H

#include "common/err.h"
#include "supervisor/breaker.h"

#include <jansson.h>

/* ERR_CIRCUIT_OPEN: SUBJECT, why it is open, LAST_WORDS ("" none), when the next try is and what a
 * person can do. */
void breaker_explain(const struct breaker *breaker, const char *subject, const char *last_words,
                     struct err *out);
/* The BREAKER record; a new reference. */
json_t *breaker_to_json(const struct breaker *breaker, const struct breaker_policy *policy,
                        const char *kind, const char *name, const char *last_words);

#endif

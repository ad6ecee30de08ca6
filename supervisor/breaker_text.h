/* What people and programs are told of a breaker: its record, and why it refuses. */
#ifndef RBEE_SUPERVISOR_BREAKER_TEXT_H
#define RBEE_SUPERVISOR_BREAKER_TEXT_H

#include "common/err.h"
#include "supervisor/breaker.h"

#include <jansson.h>

/* Whose breaker it is, and what is known of it beside its state. */
struct breaker_subject {
    const char *kind; /* "worker", "gpu" */
    const char *name;
    const char *last_words; /* "": none */
    const char *reason;     /* of the person who forced it open; "" */
};

/* ERR_CIRCUIT_OPEN: why NAME's is open, DETAIL ("" none: a person's reason, or last words), when
 * the next try is and what a person can do. */
void breaker_explain(const struct breaker *breaker, const char *name, const char *detail,
                     struct err *out);
/* The BREAKER record; a new reference. */
json_t *breaker_to_json(const struct breaker *breaker, const struct breaker_policy *policy,
                        const struct breaker_subject *subject);

#endif

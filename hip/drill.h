/* Faults on request, so that a person can see what follows them: POST /drill. A worker that is to
 * end by one ends as it would by a real one: at once, with the exit code and the last words of that
 * fault. */
#ifndef RBEE_HIP_DRILL_H
#define RBEE_HIP_DRILL_H

#include "common/err.h"

struct http_exchange;
struct serve;

/* Answers X, whose body is {"kind"}, with 202 {"for_ms"}: how long it lasts, 0 when it is the end.
 * On failure nothing has been replied. */
int drill_start(struct serve *serve, struct http_exchange *x, struct err *err);
/* Whatever X was; the process ends here when that was the answer to its last drill. */
void drill_on_closed(struct serve *serve, const struct http_exchange *x);

#endif

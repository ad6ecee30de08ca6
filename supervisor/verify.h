/* Models whose files are being looked at: each look is one rbee-fetch and one client. */
#ifndef RBEE_SUPERVISOR_VERIFY_H
#define RBEE_SUPERVISOR_VERIFY_H

#include "common/err.h"

#include <sys/queue.h>

struct api_call;
struct model;
struct supervisor;
struct verify;

TAILQ_HEAD(verify_list, verify);

/* Answers CALL with a stream of events that ends with {"type":"verified","name","good","known",
 * "message","files"} or an error. Of a model of which nothing is known, what is found is stored,
 * and known is false. ERR_BUSY. */
int verify_begin(struct api_call *call, const struct model *model, struct err *err);
void verify_end_revoked(struct supervisor *supervisor);
/* All of them: the supervisor is stopping. */
void verify_end_all(struct supervisor *supervisor);

#endif

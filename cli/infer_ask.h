/* One POST /v1/inference: sent, and its answer read to its end. */
#ifndef RBEE_CLI_INFER_ASK_H
#define RBEE_CLI_INFER_ASK_H

#include "cli/infer_answer.h"
#include "common/err.h"

#include <jansson.h>
#include <stdint.h>

struct cli;

/* The supervisor answers by the deadline; one that does not is given up so long after it. */
enum { INFER_GRACE_MS = 5000 };

/* What --deadline says, or as long as we wait without it. */
uint64_t infer_deadline_ms(const struct cli *cli);
/* After FAILURE (an envelope, or NULL) with ERR: when nobody asked for a deadline and the
 * supervisor allows less than ours, *DEADLINE_MS becomes that, ERR is cleared, and the same may be
 * asked again. Else -1, with a better word about a --deadline that is too long. */
int infer_deadline_lower(const struct cli *cli, const json_t *failure, uint64_t *deadline_ms,
                         struct err *err);
/* Sends BODY and hands what comes to ANSWER, whose cli is connected. 0: there is an end. */
int infer_ask(struct infer_answer *answer, const json_t *body, struct err *err);

#endif

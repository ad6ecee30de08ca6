/* `rbee-worker --prompt TEXT`: one answer on stdout with no server and no supervisor, through the
 * same engine. */
#ifndef RBEE_HIP_PROMPT_H
#define RBEE_HIP_PROMPT_H

#include "common/err.h"
#include "hip/options.h"

struct engine;

/* Whether the options make a request: before a model is loaded for it. */
int prompt_check(const struct worker_options *options, struct err *err);
/* Returns when the answer is complete, or the engine or the request has failed. INT and TERM end
 * the process as they would without us, once the answer has stopped in order. */
int prompt_run(const struct worker_options *options, struct engine *engine, struct err *err);

#endif

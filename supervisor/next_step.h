/* What a person can do about a worker: a table (next_step.def) from its state, its breaker and its
 * last fault to a command. Pure. */
#ifndef RBEE_SUPERVISOR_NEXT_STEP_H
#define RBEE_SUPERVISOR_NEXT_STEP_H

#include "supervisor/breaker.h"
#include "supervisor/fault.h"
#include "supervisor/life.h"

#include <stdbool.h>
#include <stdint.h>

struct next_step {
    const char *command; /* "": none is needed */
    const char *advice;
};

/* What stands for the words in braces. */
struct next_step_names {
    const char *name;
    const char *model;
    const char *device;
    int64_t pid;
    int64_t context_tokens;
};

/* Never without a row. IS_COMMAND: the worker is a command of the configuration. */
struct next_step next_step_find(enum life_state state, enum breaker_state breaker,
                                enum fault_class fault, bool is_command);
/* TEXT of a step with its words filled in; the caller frees it. */
char *next_step_fill(const char *text, const struct next_step_names *names);
/* What an end like TEXT ("SIGSEGV", "exit 127") means; "" when nothing is known of it. */
const char *next_step_exit_meaning(const char *text);

#endif

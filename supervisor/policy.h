/* The configuration's numbers about restarts, breakers and starts, as the pure modules take them.
 */
#ifndef RBEE_SUPERVISOR_POLICY_H
#define RBEE_SUPERVISOR_POLICY_H

#include "supervisor/guard.h"
#include "supervisor/recovery.h"

struct config;

struct policy {
    struct recovery_policy worker;
    struct breaker_policy device; /* of a GPU */
    struct guard_policy guard;    /* of each device */
};

void policy_read(const struct config *config, struct policy *out);

#endif

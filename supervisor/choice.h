/* Which of the GPUs, or which two of them, a worker is placed on that may run on any: pure, no I/O.
 * One GPU comes before two, and two that have room before one where somebody would have to go. */
#ifndef RBEE_SUPERVISOR_CHOICE_H
#define RBEE_SUPERVISOR_CHOICE_H

#include "supervisor/room.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct choice {
    size_t device_count;       /* 0: none */
    bool takes_starts;         /* no breaker of them is open */
    enum room_verdict verdict; /* of their room */
    int64_t free_bytes;        /* of them together */
};

/* Whether A is to be taken and not B, which came first. */
bool choice_is_better(const struct choice *a, const struct choice *b);
/* Whether two GPUs may be better than ONE, the best single one. */
bool choice_may_be_two(const struct choice *one);

#endif

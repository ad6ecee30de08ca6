/* What guards a device against too many starts: at most so many in a window, whichever workers they
 * are of, and one load at a time. A start that it does not let through waits; that is no failure.
 * Pure: times are monotonic milliseconds. */
#ifndef RBEE_SUPERVISOR_GUARD_H
#define RBEE_SUPERVISOR_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts that are remembered; the policy's limit may not be above it. */
enum { GUARD_STARTS_MAX_COUNT = 64 };

struct guard_policy {
    int64_t starts; /* 0: no limit */
    int64_t window_ms;
};

struct guard {
    int64_t starts_ms[GUARD_STARTS_MAX_COUNT]; /* a ring */
    size_t start_next;
    size_t start_count;
    bool is_loading;
};

enum guard_verdict {
    GUARD_GO,
    GUARD_STORM,   /* too many starts: *out_until_ms says when the next may be made */
    GUARD_LOADING, /* another model loads there: until that is over */
};

enum guard_verdict guard_ask(const struct guard *guard, const struct guard_policy *policy,
                             int64_t now_ms, int64_t *out_until_ms);
/* A start that was let through is made. */
void guard_on_start(struct guard *guard, int64_t now_ms);
/* Its load is over, one way or the other. */
void guard_on_load_end(struct guard *guard);

#endif

/* Lets a test move rbeed's clocks. In any other build there is nothing of it but these two, empty.
 *
 * A test writes one line to the descriptor that RBEE_TEST_CLOCK_FD names, and reads one from that
 * of RBEE_TEST_CLOCK_REPLY_FD before it writes the next:
 *
 *   advance MS    monotonic time is MS later. Every timer that is due by then has done its work
 *                 when the answer comes, each of them seeing the new time.
 *   wall MS       wall time is MS later, or with a minus earlier; nothing hangs on it
 *
 *   ok NOW_MS     the answer: the monotonic time
 *   error TEXT */
#ifndef RBEE_SUPERVISOR_CLOCK_MOVER_HOOK_H
#define RBEE_SUPERVISOR_CLOCK_MOVER_HOOK_H

#include <stddef.h>

struct clock_mover;
struct event_base;

#ifdef RBEE_TEST_HOOKS
/* NULL when the environment names no descriptors. */
struct clock_mover *clock_mover_new(struct event_base *base);
/* Accepts NULL. */
void clock_mover_free(struct clock_mover *mover);
#else
static inline struct clock_mover *clock_mover_new(struct event_base *base)
{
    return NULL;
}

static inline void clock_mover_free(struct clock_mover *mover)
{
}
#endif

#endif

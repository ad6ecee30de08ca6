/* libevent timers in our own clock: due times are absolute monotonic milliseconds, so that a timer
 * can be set anew at any moment without becoming longer. */
#ifndef RBEE_SUPERVISOR_TIMER_H
#define RBEE_SUPERVISOR_TIMER_H

#include <stdint.h>

struct event;

/* At AT_MS, or at once when that has passed. INT64_MAX: never. */
void timer_arm_at(struct event *timer, int64_t at_ms);
void timer_arm_after(struct event *timer, int64_t ms);

#endif

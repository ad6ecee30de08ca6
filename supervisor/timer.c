/* Owns the way from due times to libevent. Knows nothing of what is due. */
#include "supervisor/timer.h"

#include "common/clock.h"

#include <event2/event.h>

void timer_arm_after(struct event *timer, int64_t ms)
{
    struct timeval after = clock_timeval(ms > 0 ? (uint64_t)ms : 0);

    (void)evtimer_add(timer, &after); /* fails only without memory */
}

void timer_arm_at(struct event *timer, int64_t at_ms)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();

    (void)evtimer_del(timer); /* one that is not set is no failure */
    if (at_ms != INT64_MAX)
        timer_arm_after(timer, at_ms > now_ms ? at_ms - now_ms : 0);
}

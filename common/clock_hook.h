/* A clock that tests can move, in builds with TEST_HOOKS=1 alone. */
#ifndef RBEE_COMMON_CLOCK_HOOK_H
#define RBEE_COMMON_CLOCK_HOOK_H

#include <stdint.h>

/* From now on this process's monotonic time, and that of every library in it, is MS later. */
void clock_hook_advance(int64_t ms);
/* The same for wall time, which may also jump back. */
void clock_hook_move_wall(int64_t ms);

#endif

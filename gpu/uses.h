/* Which processes hold how much of the cards' memory, from what the kernel tells of their open
 * files (fdinfo.h): of all processes that we may look into, which for an ordinary user are its own.
 */
#ifndef RBEE_GPU_USES_H
#define RBEE_GPU_USES_H

#include "gpu/card.h"

enum { USES_COMMAND_BYTES = 32 }; /* /proc/PID/comm has 16 */

/* Fills USES[i] for CARDS->cards[i], for those with IS_WANTED[i]. */
void uses_read(const char *root, const struct card_list *cards, const bool *is_wanted,
               struct card_uses *uses);

/* What else is told of a process: its group (-1: unknown) and its program ("": unknown). */
pid_t uses_group_of(const char *root, pid_t pid);
void uses_command_of(const char *root, pid_t pid, char out[USES_COMMAND_BYTES]);

#endif

/* Which processes hold how much of the cards' memory, from what the kernel tells of their open
 * files (fdinfo.h): of all processes that we may look into, which for an ordinary user are its own.
 */
#ifndef RBEE_GPU_USES_H
#define RBEE_GPU_USES_H

#include "gpu/card.h"

enum { USES_COMMAND_BYTES = 32 }; /* /proc/PID/comm has 16 */

/* Processes to look into. All zeros: none, and nothing is known. */
struct uses_pids {
    pid_t *pids; /* sorted */
    size_t count;
    bool is_known;
};

/* All that there are. A look into each costs more than all else that is read. */
void uses_find(const char *root, struct uses_pids *out);
/* Fills USES[i] for CARDS->cards[i], for those with IS_WANTED[i], from PIDS, and leaves in PIDS
 * those that have a card open. */
void uses_read(const char *root, struct uses_pids *pids, const struct card_list *cards,
               const bool *is_wanted, struct card_uses *uses);

/* What else is told of a process: its group (-1: unknown) and its program ("": unknown). */
pid_t uses_group_of(const char *root, pid_t pid);
void uses_command_of(const char *root, pid_t pid, char out[USES_COMMAND_BYTES]);

#endif

/* One round of readings, told line by line, each a JSON object:
 *
 *   {"step":"0000:03:00.0","vendor":"amd"}   what is read next: when nothing follows, it hangs
 * there
 *   {"step":"processes"}                      likewise
 *   {"gpu":PCI,"vendor","state","name","uuid","pcie_link", and the fields of gpu_figures.def}
 *   {"uses":PCI,"processes":[{"pid","group","command","memory_bytes"}]}    known for this card
 *   {"done":true}                             the round is over
 *
 * Unknown is null. state is "active", "asleep" (then nothing else is known), or "unreadable" when
 * the driver has told nothing at all. */
#ifndef RBEE_GPU_ROUND_H
#define RBEE_GPU_ROUND_H

#include "common/err.h"
#include "gpu/card.h"

enum { ROUND_COMMAND_MAX_BYTES = 2048 };

/* COMMAND is words: steps to leave out, and "walk" where processes are to be looked for; without it
 * only those are looked into that had a card open before. -1 when nobody reads FD. */
int round_run(struct card_world *world, const char *command, int fd, struct err *err);

#endif

/* `rbee-worker --devices`: the GPUs that a worker here could run on, for whoever places workers. */
#ifndef RBEE_HIP_DEVICES_H
#define RBEE_HIP_DEVICES_H

#include "common/err.h"

/* Prints one line of JSON on stdout: {"devices":[{"index","vendor","pci","uuid","name",
 * "architecture","memory_bytes","free_bytes","usable","reason"}],"reason"}. What is not known is
 * null; a device that cannot be used says why, and so does the whole when there is none, which is
 * no failure. Each device is asked how much of it is free, which wakes it; one that is full can be
 * used, and has 0 bytes. Ends the process, with 0, unless that fails: ERR_OUTPUT. */
int devices_run(struct err *err);

#endif

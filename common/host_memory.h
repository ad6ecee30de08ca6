/* How much memory this machine has for us, and how much of it is left: the lesser of what the
 * system says and what the limits of our control groups say. */
#ifndef RBEE_COMMON_HOST_MEMORY_H
#define RBEE_COMMON_HOST_MEMORY_H

#include <stdint.h>

/* UINT64_MAX: not known, or without limit. */
struct host_memory {
    uint64_t total_bytes;
    uint64_t available_bytes; /* counts page cache, which the kernel gives up */
};

void host_memory_read(struct host_memory *out);
/* Lowers both to what the limits of GROUP and the groups above it, folders below ROOT, leave. */
void host_memory_limit(const char *root, const char *group, struct host_memory *memory);

#endif

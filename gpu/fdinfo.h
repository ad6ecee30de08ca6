/* What the kernel tells of one open file of a graphics driver: /proc/PID/fdinfo/FD, as of the
 * kernel's document "DRM client usage stats". Pure. */
#ifndef RBEE_GPU_FDINFO_H
#define RBEE_GPU_FDINFO_H

#include <stdbool.h>
#include <stdint.h>

enum { FDINFO_WORD_BYTES = 32 };

struct fdinfo {
    char driver[FDINFO_WORD_BYTES]; /* "amdgpu" */
    char pdev[FDINFO_WORD_BYTES];   /* "0000:03:00.0" */
    uint64_t client_id;             /* the same for all descriptors of one opening */
    bool has_client_id;
    int64_t memory_bytes; /* of the card's own; -1: not told */
};

/* False when TEXT is of no graphics driver. What is told twice counts once, the first time. */
bool fdinfo_parse(const char *text, struct fdinfo *out);

#endif

/* What `rbee-worker --devices` tells: which GPUs models can run on, and why not on the others.
 * Pure.
 *
 *   {"devices": [{"index", "vendor", "pci", "uuid", "name", "architecture", "memory_bytes",
 *                 "free_bytes", "usable", "reason"}], "reason": text or null}
 *
 * The reason of the whole says why there is none. The index is that of a driver's library, which
 * may count differently than we do: it is not used. */
#ifndef RBEE_SUPERVISOR_GPU_ABILITY_H
#define RBEE_SUPERVISOR_GPU_ABILITY_H

#include "common/err.h"
#include "supervisor/gpu/gpu.h"

#include <jansson.h>
#include <stddef.h>

/* A device as it was told. */
struct ability_device {
    char pci[GPU_PCI_BYTES];
    char vendor[GPU_TEXT_BYTES];
    char name[GPU_TEXT_BYTES];
    int64_t free_bytes; /* -1: not known */
    struct gpu_ability ability;
};

struct ability_answer {
    struct ability_device devices[GPU_MAX_COUNT];
    size_t count;
    size_t nameless_count; /* left out: without a PCI address nobody could tell which it is */
    char reason[GPU_REASON_BYTES]; /* "": none */
};

/* RECORD comes from another program: what is not as above is ERR_PROTOCOL, and *OUT of no use. */
int ability_read(const json_t *record, struct ability_answer *out, struct err *err);

#endif

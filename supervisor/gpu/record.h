/* What people and programs are told of a GPU. */
#ifndef RBEE_SUPERVISOR_GPU_RECORD_H
#define RBEE_SUPERVISOR_GPU_RECORD_H

#include "supervisor/gpu/gpu.h"

#include <jansson.h>

struct supervisor;

/* The GPU record of number INDEX of the table; a new reference. */
json_t *gpu_record(struct supervisor *supervisor, size_t index);
/* What of its memory is used, and not by our workers; -1: unknown. */
int64_t gpu_foreign_bytes(const struct supervisor *supervisor, const struct gpu *gpu);

#endif

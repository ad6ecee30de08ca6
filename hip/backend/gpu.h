/* A GPU as a backend: the op table on the kernels of hip/kernels, through gpu_runtime.h. */
#ifndef RBEE_HIP_BACKEND_GPU_H
#define RBEE_HIP_BACKEND_GPU_H

#include "hip/backend/backend.h"

struct gpu_context;

/* NAME is what stands behind "gpu:" (gpu_device_find); "": the first that can be used.
 * LIBRARY_PATH NULL: the drivers of this machine, else that library alone. ERR_CONFIG, with what to
 * do about it, when there is no such device or none that can be used; ERR_DEVICE when one that can
 * be has failed; ERR_NO_MEMORY. */
struct backend *gpu_backend_new(const char *library_path, const char *name, struct err *err);
/* The same on a device that lies beside the one of OTHER, which is such a backend: of the same
 * drivers. Both are used from the same thread. ERR_USAGE when it is the same device. */
struct backend *gpu_backend_new_beside(struct backend *other, const char *name, struct err *err);
bool gpu_is_backend(const struct backend *backend);
/* What a backend made there runs on: how much it has allocated. */
struct gpu_context *gpu_backend_context(struct backend *backend);

#endif

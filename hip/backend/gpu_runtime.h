/* GPUs as a program sees them, without any library at link time: AMD's libamdhip64 or NVIDIA's
 * libcuda, whichever is there, opened by name. Devices, memory, one stream, modules of kernels and
 * their launches; knows nothing of models.
 *
 * Everything of one library is called from one thread at a time. Work is queued in order on one
 * stream; gpu_sync() waits for it. A device that has failed stays failed: every later call says so,
 * and the process is of no use any more (hip/faults.def: GPU).
 *
 * Errors: ERR_DEVICE, or ERR_NO_MEMORY when the device's memory does not suffice. */
#ifndef RBEE_HIP_BACKEND_GPU_RUNTIME_H
#define RBEE_HIP_BACKEND_GPU_RUNTIME_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GPU_NAME_BYTES = 96,
    GPU_PCI_BYTES = 32,
    GPU_UUID_BYTES = 64,
    GPU_ARCHITECTURE_BYTES = 32,
    GPU_REASON_BYTES = 256,
    GPU_DEVICES_MAX_COUNT = 32,
};

struct gpu_info {
    const char *vendor; /* "amd", "nvidia" */
    char name[GPU_NAME_BYTES];
    char pci[GPU_PCI_BYTES];                   /* "0000:03:00.0" */
    char uuid[GPU_UUID_BYTES];                 /* "": not known */
    char architecture[GPU_ARCHITECTURE_BYTES]; /* "gfx1100", "sm_90" */
    uint64_t total_bytes;
    uint64_t free_bytes; /* after gpu_read_free() and gpu_open(); 0: not known */
    uint32_t wave;
    char reason[GPU_REASON_BYTES]; /* why it cannot be used, with what to do; "": it can */
};

struct gpu_library; /* an opened driver */
struct gpu_context; /* a device in use: a stream, a module of kernels */
struct gpu_kernel;

/* Every device of every driver that is there, sorted by PCI address. ERR_DEVICE, with what to do
 * about it, when there is none. HIP_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES hold, by the drivers.
 */
struct gpu_library *gpu_library_open(struct err *err);
/* The devices of the library at PATH alone, which is one of the vendors' or stands in for one. */
struct gpu_library *gpu_library_open_file(const char *path, struct err *err);
/* One more user of it: who computes on two of its devices must, as drivers keep a current device
 * for each thread, and LIBRARY knows which that is. */
struct gpu_library *gpu_library_share(struct gpu_library *library);
/* By each user, after all its contexts. */
void gpu_library_close(struct gpu_library *library);
uint32_t gpu_device_count(const struct gpu_library *library);
const struct gpu_info *gpu_device(const struct gpu_library *library, uint32_t index);
/* Asks the device how much memory is free, into its info: that wakes it, and takes some time. */
int gpu_read_free(struct gpu_library *library, uint32_t index, struct err *err);
/* NAME is what stands behind "gpu:": an index, a PCI address (with or without its domain), or a
 * UUID; "" is the first that can be used. ERR_DEVICE names those that there are. */
int gpu_device_find(const struct gpu_library *library, const char *name, uint32_t *out_index,
                    struct err *err);

/* Takes the device and loads the kernels made for it; ERR_DEVICE names the architecture when there
 * are none. */
struct gpu_context *gpu_open(struct gpu_library *library, uint32_t index, struct err *err);
void gpu_close(struct gpu_context *context);
const struct gpu_info *gpu_context_info(const struct gpu_context *context);
/* Of the device as a whole, now. */
int gpu_memory(struct gpu_context *context, uint64_t *out_free, uint64_t *out_total,
               struct err *err);
/* What this context has allocated now, and at most so far. */
uint64_t gpu_allocated_bytes(const struct gpu_context *context);
uint64_t gpu_allocated_peak_bytes(const struct gpu_context *context);

/* Device memory, aligned to 256 bytes, not zeroed; NULL on failure. BYTES may not be 0. */
void *gpu_alloc(struct gpu_context *context, uint64_t bytes, struct err *err);
/* Of either kind. Accepts NULL. */
void gpu_free(struct gpu_context *context, void *memory);
/* Memory of the host that the device reads and writes without a copy in between. */
void *gpu_pinned_alloc(struct gpu_context *context, uint64_t bytes, struct err *err);

/* All queued on the stream; FROM or TO on the host stays until gpu_sync(), and is pinned if it
 * should not slow down. */
int gpu_upload(struct gpu_context *context, void *to, const void *from, uint64_t bytes,
               struct err *err);
int gpu_download(struct gpu_context *context, void *to, const void *from, uint64_t bytes,
                 struct err *err);
/* So far. */
uint64_t gpu_downloaded_bytes(const struct gpu_context *context);
/* From device memory to device memory. */
int gpu_copy(struct gpu_context *context, void *to, const void *from, uint64_t bytes,
             struct err *err);
int gpu_zero(struct gpu_context *context, void *to, uint64_t bytes, struct err *err);
/* The kernel of that name in the module, kept until gpu_close(). */
const struct gpu_kernel *gpu_find_kernel(struct gpu_context *context, const char *name,
                                         struct err *err);
/* The same of one that not every architecture has; NULL where it is not there. */
const struct gpu_kernel *gpu_find_optional_kernel(struct gpu_context *context, const char *name);
/* Launches that follow are made together, before the next other call about the stream or memory
 * that is freed: as one graph, if the same have been made before and the driver can do that; what
 * fails shows there. */
void gpu_gather_launches(struct gpu_context *context);
/* Graphs that were launched so far. */
uint64_t gpu_graph_count(const struct gpu_context *context);
/* ARGS is copied. No dimension may be 0. */
int gpu_launch(struct gpu_context *context, const struct gpu_kernel *kernel,
               const uint32_t blocks[3], uint32_t threads, const void *args, struct err *err);
/* So far, those of graphs too. */
uint64_t gpu_launch_count(const struct gpu_context *context);
int gpu_sync(struct gpu_context *context, struct err *err);

/* A point in the stream, to wait for (when a pinned buffer may be filled again) or to measure
 * from. */
struct gpu_event;
struct gpu_event *gpu_event_new(struct gpu_context *context, struct err *err);
void gpu_event_free(struct gpu_context *context, struct gpu_event *event);
int gpu_event_record(struct gpu_context *context, struct gpu_event *event, struct err *err);
int gpu_event_wait(struct gpu_context *context, struct gpu_event *event, struct err *err);
int gpu_event_elapsed_us(struct gpu_context *context, struct gpu_event *from, struct gpu_event *to,
                         double *out_us, struct err *err);

#endif

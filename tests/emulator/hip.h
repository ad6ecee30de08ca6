/* The part of AMD's libamdhip64 that the emulator stands in for, as its public reference describes
 * it (https://rocm.docs.amd.com/projects/HIP), and what the files that make it share.
 *
 * Work is queued when it is asked for and done when somebody waits for it, no sooner: who reads a
 * result without waiting, or fills a buffer again that is still to be copied, sees it here. All
 * state is behind one lock. */
#ifndef RBEE_TESTS_EMULATOR_HIP_H
#define RBEE_TESTS_EMULATOR_HIP_H

#include "tests/emulator/emulator.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* hipError_t, those that happen here. */
enum hip_error {
    HIP_SUCCESS = 0,
    HIP_INVALID_VALUE = 1,
    HIP_OUT_OF_MEMORY = 2,
    HIP_NOT_INITIALIZED = 3,
    HIP_INVALID_CONFIGURATION = 9,
    HIP_NO_DEVICE = 100,
    HIP_INVALID_DEVICE = 101,
    HIP_INVALID_IMAGE = 200,
    HIP_INVALID_HANDLE = 400,
    HIP_ILLEGAL_STATE = 401,
    HIP_NOT_FOUND = 500,
    HIP_NOT_READY = 600,
    HIP_ILLEGAL_ADDRESS = 700,
    HIP_LAUNCH_FAILURE = 719,
    HIP_CAPTURE_UNSUPPORTED = 900,
    HIP_CAPTURE_INVALIDATED = 901,
};

enum { HIP_NAME_BYTES = 128, HIP_PCI_BYTES = 32, HIP_UUID_BYTES = 16, HIP_DEVICES_MAX = 16 };

struct hip_device {
    char name[HIP_NAME_BYTES];
    char pci[HIP_PCI_BYTES];
    char uuid[HIP_UUID_BYTES + 1];
    uint64_t total_bytes;
    uint64_t used_bytes;
    enum hip_error fault; /* that it does not come back from */
};

/* ---- devices.c ---- */

/* Every call begins so, and ends with hip_leave(): takes the lock, and says whether the call fails
 * at once: as it was ordered to, or because the device has failed. */
enum hip_error hip_enter(const char *call);
int hip_leave(enum hip_error error);
/* The calling thread's. */
struct hip_device *hip_current_device(void);
/* Whether the launch that now runs on DEVICE is the one that was ordered to fault. */
bool hip_launch_faults(const struct hip_device *device);

/* ---- memory.c ---- */

/* Whether all of it lies in memory of the current device; says so on stderr if not. */
bool memory_is_device(const char *call, const void *at, size_t bytes);
/* Whether none of it does. */
bool memory_is_host(const char *call, const void *at, size_t bytes);
/* Memory of DEVICE can be touched between these two alone: the host has no business there, nor has
 * another device. */
void memory_show(const struct hip_device *device);
void memory_hide(void);

/* ---- stream.c ---- */

struct hip_stream;
struct hip_event;

/* Does all that is queued, on all streams. */
void stream_drain_all(void);

/* ---- graph.c ---- */

struct hip_graph;
struct hip_runnable;

/* For what may not be done while a stream is captured: spoils that, and says WHAT it was. */
enum hip_error graph_forbid(const char *what);

/* ---- the calls ---- */

EMULATOR_EXPORT int hipInit(unsigned flags);
EMULATOR_EXPORT int hipDriverGetVersion(int *out);
EMULATOR_EXPORT int hipGetDeviceCount(int *out);
EMULATOR_EXPORT int hipDeviceGetName(char *out, int bytes, int device);
EMULATOR_EXPORT int hipDeviceGetPCIBusId(char *out, int bytes, int device);
EMULATOR_EXPORT int hipDeviceGetUuid(unsigned char out[HIP_UUID_BYTES], int device);
EMULATOR_EXPORT int hipDeviceTotalMem(size_t *out, int device);
EMULATOR_EXPORT int hipDeviceGetAttribute(int *out, int attribute, int device);
EMULATOR_EXPORT int hipSetDevice(int device);
EMULATOR_EXPORT int hipSetDeviceFlags(unsigned flags);
EMULATOR_EXPORT const char *hipGetErrorName(int error);
EMULATOR_EXPORT const char *hipGetErrorString(int error);

EMULATOR_EXPORT int hipMemGetInfo(size_t *out_free, size_t *out_total);
EMULATOR_EXPORT int hipMalloc(void **out, size_t bytes);
EMULATOR_EXPORT int hipFree(void *memory);
EMULATOR_EXPORT int hipHostMalloc(void **out, size_t bytes, unsigned flags);
EMULATOR_EXPORT int hipHostFree(void *memory);

EMULATOR_EXPORT int hipMemcpyHtoDAsync(void *to, const void *from, size_t bytes,
                                       struct hip_stream *stream);
EMULATOR_EXPORT int hipMemcpyDtoHAsync(void *to, const void *from, size_t bytes,
                                       struct hip_stream *stream);
EMULATOR_EXPORT int hipMemcpyDtoDAsync(void *to, const void *from, size_t bytes,
                                       struct hip_stream *stream);
EMULATOR_EXPORT int hipMemsetD8Async(void *to, unsigned char value, size_t bytes,
                                     struct hip_stream *stream);
EMULATOR_EXPORT int hipStreamCreateWithFlags(struct hip_stream **out, unsigned flags);
EMULATOR_EXPORT int hipStreamDestroy(struct hip_stream *stream);
EMULATOR_EXPORT int hipStreamSynchronize(struct hip_stream *stream);
EMULATOR_EXPORT int hipStreamBeginCapture(struct hip_stream *stream, int mode);
EMULATOR_EXPORT int hipStreamEndCapture(struct hip_stream *stream, struct hip_graph **out);
EMULATOR_EXPORT int hipGraphInstantiateWithFlags(struct hip_runnable **out, struct hip_graph *graph,
                                                 unsigned long long flags);
EMULATOR_EXPORT int hipGraphLaunch(struct hip_runnable *runnable, struct hip_stream *stream);
EMULATOR_EXPORT int hipGraphExecDestroy(struct hip_runnable *runnable);
EMULATOR_EXPORT int hipGraphDestroy(struct hip_graph *graph);
EMULATOR_EXPORT int hipEventCreateWithFlags(struct hip_event **out, unsigned flags);
EMULATOR_EXPORT int hipEventDestroy(struct hip_event *event);
EMULATOR_EXPORT int hipEventRecord(struct hip_event *event, struct hip_stream *stream);
EMULATOR_EXPORT int hipEventSynchronize(struct hip_event *event);
EMULATOR_EXPORT int hipEventElapsedTime(float *out_ms, struct hip_event *from,
                                        struct hip_event *to);

EMULATOR_EXPORT int hipModuleLoadData(void **out, const void *image);
EMULATOR_EXPORT int hipModuleUnload(void *module);
EMULATOR_EXPORT int hipModuleGetFunction(void **out, void *module, const char *name);
EMULATOR_EXPORT int hipModuleLaunchKernel(void *function, unsigned blocks_x, unsigned blocks_y,
                                          unsigned blocks_z, unsigned threads_x, unsigned threads_y,
                                          unsigned threads_z, unsigned shared_bytes,
                                          struct hip_stream *stream, void **params, void **extra);

#endif

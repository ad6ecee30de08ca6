/* What the files of gpu_runtime.h share: an opened driver's library, its table of functions and
 * what differs between the vendors. Included by them and their tests only.
 *
 * A library knows its devices; a device that is in use has a native context, made when the first
 * needs it and given back with the last. */
#ifndef RBEE_HIP_BACKEND_GPU_LIBRARY_H
#define RBEE_HIP_BACKEND_GPU_LIBRARY_H

#include "hip/backend/gpu_runtime.h"

#include <pthread.h>

enum gpu_call {
#define CALL(returns, member, hip, cuda, parameters) GPU_CALL_##member,
#include "hip/backend/gpu_calls.def"
#undef CALL
    GPU_CALL_COUNT,
};

/* Those that a vendor lacks are NULL. */
struct gpu_calls {
#define CALL(returns, member, hip, cuda, parameters) returns(*member) parameters;
#include "hip/backend/gpu_calls.def"
#undef CALL
};

struct gpu_driver;
struct gpu_slot;

enum { GPU_KERNEL_NAME_BYTES = 64 };

struct gpu_kernel {
    char name[GPU_KERNEL_NAME_BYTES];
    void *function;
    size_t args_bytes; /* 0: not known */
};

/* Statuses that both APIs number alike (CUresult, hipError_t). */
enum gpu_status {
    GPU_STATUS_OK = 0,
    GPU_STATUS_NO_MEMORY = 2,
    GPU_STATUS_NO_DEVICE = 100,
    GPU_STATUS_INVALID_DEVICE = 101,
};

struct gpu_vendor {
    const char *name;
    const char *title;             /* in messages */
    const char *const *files;      /* names of the library, the newest first, then NULL */
    const char *visible;           /* the variable that hides devices */
    const char *const *call_names; /* [GPU_CALL_COUNT] */
    int wave_attribute;
    bool is_calm_after_fault; /* it hangs in nothing that is asked of it then */
    uint32_t min_version;     /* of the driver, as it counts them; 0: any */
    void (*explain)(const struct gpu_calls *calls, int status, const char **out_name,
                    const char **out_text);
    /* What to do about it; "": nothing is known. */
    const char *(*advise)(int status);
    void (*describe)(const struct gpu_driver *driver, int handle, struct gpu_info *info);
    /* Each returns a status; on failure *OUT_FAILED is the call. */
    int (*take)(struct gpu_slot *slot, enum gpu_call *out_failed);
    int (*use)(const struct gpu_slot *slot, enum gpu_call *out_failed);
    void (*give_back)(struct gpu_slot *slot);
    /* LOG gets what the driver says about the image. */
    int (*load_module)(const struct gpu_calls *calls, const void *image, void **out_module,
                       char *log, size_t log_bytes, enum gpu_call *out_failed);
};

extern const struct gpu_vendor GPU_AMD;
extern const struct gpu_vendor GPU_NVIDIA;

struct gpu_driver {
    const struct gpu_vendor *vendor;
    void *handle; /* of dlopen */
    struct gpu_calls calls;
    /* What stands in for a driver brings its kernels along, and names its architecture; NULL: a
     * driver. */
    const char *(*own_architecture)(void);
    const char *root; /* what stands before /sys and /dev; "" but in tests */
};

/* A device, and its native context while it is in use. */
struct gpu_slot {
    const struct gpu_driver *driver;
    int handle;
    uint32_t user_count;
    void *native; /* of CUDA */
    struct gpu_info info;
};

enum { GPU_DRIVERS_MAX_COUNT = 2 };

struct gpu_library {
    uint32_t user_count;
    uint32_t driver_count;
    struct gpu_driver drivers[GPU_DRIVERS_MAX_COUNT];
    uint32_t device_count;
    struct gpu_slot devices[GPU_DEVICES_MAX_COUNT];
    /* Who was last made current, and in which thread. */
    const struct gpu_slot *current;
    pthread_t current_thread;
};

/* After STATUS the native context is of no use. */
bool gpu_status_is_fatal(int status);
/* Fills err from the STATUS of CALL. */
int gpu_fail(const struct gpu_driver *driver, int status, enum gpu_call call, struct err *err);
/* The calls that follow, in this thread, are about SLOT. */
int gpu_make_current(struct gpu_library *library, struct gpu_slot *slot, struct err *err);
/* Its native context is there until gpu_slot_release(). */
int gpu_slot_take(struct gpu_library *library, struct gpu_slot *slot, struct err *err);
void gpu_slot_release(struct gpu_library *library, struct gpu_slot *slot);

#endif

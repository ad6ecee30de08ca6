/* Owns what is AMD's alone among drivers: HIP's names, numbers and ways, after its API reference.
 * The structs of device properties are left alone: they change from version to version. */
#include "hip/backend/gpu_library.h"
#include "hip/backend/gpu_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* hipDeviceAttribute_t, the same from ROCm 5 to 7. */
    HIP_ATTRIBUTE_WAVE = 87,
    HIP_SCHEDULE_BLOCKING = 4, /* hipDeviceScheduleBlockingSync */
    /* hipError_t */
    HIP_NOT_INITIALISED = 3,
    HIP_INVALID_IMAGE = 200,
    HIP_NO_BINARY = 209,
    HIP_SYMBOL_INIT_FAILED = 303,
    HIP_ILLEGAL_ADDRESS = 700,
    HIP_LAUNCH_FAILURE = 719,
};

static const char *const FILES[] = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5",
                                    "libamdhip64.so", NULL};

static const char *const NAMES[GPU_CALL_COUNT] = {
#define CALL(returns, member, hip, cuda, parameters) [GPU_CALL_##member] = hip,
#include "hip/backend/gpu_calls.def"
#undef CALL
};

static void hip_explain(const struct gpu_calls *calls, int status, const char **out_name,
                        const char **out_text)
{
    *out_name = calls->hip_error_name(status);
    *out_text = calls->hip_error_text(status);
}

static const char *hip_advise(int status)
{
    switch (status) {
    case GPU_STATUS_NO_DEVICE:
    case HIP_NOT_INITIALISED:
        return "it lists no device: rocminfo, where it is installed, says more";
    case HIP_INVALID_IMAGE:
    case HIP_NO_BINARY:
    case HIP_SYMBOL_INIT_FAILED:
        return "the kernels for its family need ROCm 6.3: build those of the card itself, or set "
               "HSA_OVERRIDE_GFX_VERSION, as 10.3.0, to its nearest relative";
    case HIP_ILLEGAL_ADDRESS:
    case HIP_LAUNCH_FAILURE:
        return "the kernel's log (dmesg) says more";
    default:
        return "";
    }
}

static void hip_read_architecture(const struct gpu_driver *driver, struct gpu_info *info)
{
    const char *override = getenv("HSA_OVERRIDE_GFX_VERSION");

    if (driver->own_architecture != NULL) {
        (void)snprintf(info->architecture, sizeof(info->architecture), "%s",
                       driver->own_architecture());
        return;
    }
    /* The driver then takes the card for that one, and wants its kernels. */
    if (override != NULL && gpu_architecture_of_override(override, info->architecture))
        return;
    if (!gpu_architecture_of_kfd(driver->root, info->pci, info->architecture))
        (void)snprintf(info->reason, sizeof(info->reason),
                       "the kernel does not say which architecture it is (/sys/class/kfd)");
}

static void hip_describe(const struct gpu_driver *driver, int handle, struct gpu_info *info)
{
    unsigned char uuid[16] = {0};

    if (driver->calls.device_uuid(uuid, handle) == GPU_STATUS_OK)
        gpu_uuid_of_hip(uuid, info->uuid);
    hip_read_architecture(driver, info);
}

/* A thread that waits gives its core away. */
static int hip_take(struct gpu_slot *slot, enum gpu_call *out_failed)
{
    int status = slot->driver->calls.device_use(slot->handle);

    *out_failed = GPU_CALL_device_use;
    if (status == GPU_STATUS_OK) {
        status = slot->driver->calls.device_flags(HIP_SCHEDULE_BLOCKING);
        *out_failed = GPU_CALL_device_flags;
    }
    return status;
}

static int hip_use(const struct gpu_slot *slot, enum gpu_call *out_failed)
{
    *out_failed = GPU_CALL_device_use;
    return slot->driver->calls.device_use(slot->handle);
}

static int hip_load_module(const struct gpu_calls *calls, const void *image, void **out_module,
                           char *log, size_t log_bytes, enum gpu_call *out_failed)
{
    *out_failed = GPU_CALL_module_load;
    return calls->module_load(out_module, image);
}

const struct gpu_vendor GPU_AMD = {
    .name = "amd",
    .title = "AMD's",
    .files = FILES,
    .visible = "HIP_VISIBLE_DEVICES",
    .call_names = NAMES,
    .wave_attribute = HIP_ATTRIBUTE_WAVE,
    .explain = hip_explain,
    .advise = hip_advise,
    .describe = hip_describe,
    .take = hip_take,
    .use = hip_use,
    .load_module = hip_load_module,
};

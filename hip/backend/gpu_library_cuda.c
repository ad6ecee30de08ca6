/* Owns what is NVIDIA's alone among drivers: the names, numbers and ways of CUDA's driver API,
 * after its reference. */
#include "hip/backend/gpu_library.h"
#include "hip/backend/gpu_names.h"

#include <stdint.h>
#include <stdio.h>

enum {
    /* CUdevice_attribute */
    CUDA_ATTRIBUTE_WAVE = 10,
    CUDA_ATTRIBUTE_MAJOR = 75,
    CUDA_ATTRIBUTE_MINOR = 76,
    CUDA_SCHEDULE_BLOCKING = 4, /* CU_CTX_SCHED_BLOCKING_SYNC */
    CUDA_MIN_VERSION = 11080,   /* 11.8, driver 520: the first that reads PTX 7.8 */
    /* CUjit_option */
    CUDA_JIT_LOG = 5,
    CUDA_JIT_LOG_BYTES = 6,
    /* CUresult */
    CUDA_ILLEGAL_ADDRESS = 700,
    CUDA_LAUNCH_FAILED = 719,
    CUDA_SYSTEM_NOT_READY = 802,
    CUDA_DRIVER_MISMATCH = 803,
    CUDA_UNKNOWN = 999,
};

static const char *const FILES[] = {"libcuda.so.1", NULL};

static const char *const NAMES[GPU_CALL_COUNT] = {
#define CALL(returns, member, hip, cuda, parameters) [GPU_CALL_##member] = cuda,
#include "hip/backend/gpu_calls.def"
#undef CALL
};

static void cuda_explain(const struct gpu_calls *calls, int status, const char **out_name,
                         const char **out_text)
{
    if (calls->cuda_error_name(status, out_name) != GPU_STATUS_OK)
        *out_name = NULL;
    if (calls->cuda_error_text(status, out_text) != GPU_STATUS_OK)
        *out_text = NULL;
}

static const char *cuda_advise(int status)
{
    switch (status) {
    case CUDA_DRIVER_MISMATCH:
        return "library and kernel module are of two versions, as after an update: reboot";
    case CUDA_SYSTEM_NOT_READY:
        return "nvidia-fabricmanager has to run on this machine";
    case CUDA_UNKNOWN:
        return "the kernel module may not be loaded: nvidia-smi, or nvidia-modprobe -u -c 0, says";
    case CUDA_ILLEGAL_ADDRESS:
    case CUDA_LAUNCH_FAILED:
        return "the kernel's log (dmesg) has an Xid line of it";
    default:
        return "";
    }
}

static void cuda_describe(const struct gpu_driver *driver, int handle, struct gpu_info *info)
{
    const struct gpu_calls *calls = &driver->calls;
    unsigned char uuid[16] = {0};
    int major = 0;
    int minor = 0;

    if (calls->device_uuid(uuid, handle) == GPU_STATUS_OK)
        gpu_uuid_of_bytes(uuid, info->uuid);
    if (calls->device_attribute(&major, CUDA_ATTRIBUTE_MAJOR, handle) != GPU_STATUS_OK ||
        calls->device_attribute(&minor, CUDA_ATTRIBUTE_MINOR, handle) != GPU_STATUS_OK)
        (void)snprintf(info->reason, sizeof(info->reason),
                       "the driver does not say which compute capability it has");
    else
        (void)snprintf(info->architecture, sizeof(info->architecture), "sm_%d%d", major, minor);
}

static int cuda_use(const struct gpu_slot *slot, enum gpu_call *out_failed)
{
    *out_failed = GPU_CALL_context_use;
    return slot->driver->calls.context_use(slot->native);
}

/* A thread that waits gives its core away. */
static int cuda_take(struct gpu_slot *slot, enum gpu_call *out_failed)
{
    const struct gpu_calls *calls = &slot->driver->calls;
    int status = calls->context_flags(slot->handle, CUDA_SCHEDULE_BLOCKING);

    *out_failed = GPU_CALL_context_flags;
    if (status == GPU_STATUS_OK) {
        status = calls->context_retain(&slot->native, slot->handle);
        *out_failed = GPU_CALL_context_retain;
    }
    return status == GPU_STATUS_OK ? cuda_use(slot, out_failed) : status;
}

static void cuda_give_back(struct gpu_slot *slot)
{
    (void)slot->driver->calls.context_release(slot->handle); /* it has failed, or we end */
    slot->native = NULL;
}

/* PTX is compiled here, and the log says what the compiler did not like. */
static int cuda_load_module(const struct gpu_calls *calls, const void *image, void **out_module,
                            char *log, size_t log_bytes, enum gpu_call *out_failed)
{
    int options[] = {CUDA_JIT_LOG, CUDA_JIT_LOG_BYTES};
    /* A number in place of a pointer, as the reference wants it. */
    void *values[] = {log, (void *)(uintptr_t)log_bytes};

    *out_failed = GPU_CALL_module_load_log;
    return calls->module_load_log(out_module, image, 2, options, values);
}

const struct gpu_vendor GPU_NVIDIA = {
    .name = "nvidia",
    .title = "NVIDIA's",
    .files = FILES,
    .visible = "CUDA_VISIBLE_DEVICES",
    .call_names = NAMES,
    .wave_attribute = CUDA_ATTRIBUTE_WAVE,
    .is_calm_after_fault = true,
    .min_version = CUDA_MIN_VERSION,
    .explain = cuda_explain,
    .advise = cuda_advise,
    .describe = cuda_describe,
    .take = cuda_take,
    .use = cuda_use,
    .give_back = cuda_give_back,
    .load_module = cuda_load_module,
};

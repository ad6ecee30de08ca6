/* The emulated devices, as the environment describes them; errors, made to order and lasting. */
#include "tests/emulator/hip.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ATTRIBUTE_WAVE = 87,       /* hipDeviceAttributeWarpSize */
    DRIVER_VERSION = 60300000, /* HIP 6.3 */
    ORDERS_MAX = 16,
    CALL_BYTES = 48,
};

static const char default_devices[] = "Emulated GPU,0000:03:00.0,0123456789abcdef,4294967296";

/* An error that a call is to return: the NTH time it is called. */
struct order {
    char call[CALL_BYTES];
    unsigned nth;
    int error;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hip_device devices[HIP_DEVICES_MAX];
static int device_count;
static struct order orders[ORDERS_MAX];
static size_t order_count;
static uint64_t launch_count;
static uint64_t faulty_launch; /* 0: none */
static const char *fault_pci;  /* whose launches count; NULL: all */
static const char *fault_file; /* once it is there, the next launch faults; NULL: none */
static bool is_fault_abort;    /* as ROCm does when a page is not there */
static bool is_initialized;
static _Thread_local int current_device;

/* ---- the environment ---- */

static void __attribute__((noreturn)) refuse(const char *name, const char *text)
{
    fprintf(stderr, "gpu emulator: %s: cannot read \"%s\"\n", name, text);
    abort();
}

/* NAME,PCI,UUID,BYTES, and a semicolon before the next one. "": no device. */
static void read_devices(const char *text)
{
    enum { FIELDS = 4 };

    for (const char *at = text; *at != '\0';) {
        struct hip_device *device = &devices[device_count];
        int length = 0;
        unsigned long long bytes = 0;

        if (device_count == HIP_DEVICES_MAX ||
            sscanf(at, "%127[^,;],%31[^,;],%16[^,;],%llu%n", device->name, device->pci,
                   device->uuid, &bytes, &length) != FIELDS ||
            (at[length] != ';' && at[length] != '\0'))
            refuse("RBEE_EMULATOR_DEVICES", text);
        device->total_bytes = bytes;
        device_count++;
        at += length + (at[length] == ';');
    }
}

/* CALL:NTH:ERROR, and a comma before the next one. */
static void read_orders(const char *text)
{
    enum { FIELDS = 3 };

    order_count = 0;
    for (const char *at = text; *at != '\0';) {
        struct order *order = &orders[order_count];
        int length = 0;

        if (order_count == ORDERS_MAX ||
            sscanf(at, "%47[^:,]:%u:%d%n", order->call, &order->nth, &order->error, &length) !=
                FIELDS ||
            (at[length] != ',' && at[length] != '\0'))
            refuse("RBEE_EMULATOR_FAIL", text);
        order_count++;
        at += length + (at[length] == ',');
    }
}

static void __attribute__((constructor)) read_environment(void)
{
    const char *list = getenv("RBEE_EMULATOR_DEVICES");
    const char *fail = getenv("RBEE_EMULATOR_FAIL");
    const char *launch = getenv("RBEE_EMULATOR_FAULT_LAUNCH");
    const char *how = getenv("RBEE_EMULATOR_FAULT");

    read_devices(list == NULL ? default_devices : list);
    read_orders(fail == NULL ? "" : fail);
    faulty_launch = launch == NULL ? 0 : strtoull(launch, NULL, 10);
    fault_pci = getenv("RBEE_EMULATOR_FAULT_PCI");
    fault_file = getenv("RBEE_EMULATOR_FAULT_FILE");
    is_fault_abort = how != NULL && strcmp(how, "abort") == 0;
    if (how != NULL && !is_fault_abort && strcmp(how, "error") != 0)
        refuse("RBEE_EMULATOR_FAULT", how);
}

void emulator_set_failures(const char *text)
{
    pthread_mutex_lock(&lock);
    read_orders(text);
    pthread_mutex_unlock(&lock);
}

/* ---- errors ---- */

static enum hip_error ordered_error(const char *call)
{
    enum hip_error error = HIP_SUCCESS;

    for (size_t i = 0; i < order_count; i++)
        if (strcmp(orders[i].call, call) == 0 && orders[i].nth > 0 && --orders[i].nth == 0)
            error = (enum hip_error)orders[i].error;
    return error;
}

enum hip_error hip_enter(const char *call)
{
    enum hip_error error = HIP_SUCCESS;

    pthread_mutex_lock(&lock);
    error = ordered_error(call);
    if (error == HIP_ILLEGAL_ADDRESS || error == HIP_LAUNCH_FAILURE)
        hip_current_device()->fault = error;
    if (error == HIP_SUCCESS && !is_initialized && strcmp(call, "hipInit") != 0)
        error = HIP_NOT_INITIALIZED;
    if (error == HIP_SUCCESS)
        error = hip_current_device()->fault;
    return error;
}

int hip_leave(enum hip_error error)
{
    pthread_mutex_unlock(&lock);
    return (int)error;
}

bool hip_launch_faults(const struct hip_device *device)
{
    bool is_faulty = false;

    if (fault_pci != NULL && strcmp(device->pci, fault_pci) != 0)
        return false;
    is_faulty =
        ++launch_count == faulty_launch || (fault_file != NULL && access(fault_file, F_OK) == 0);
    if (is_faulty && is_fault_abort) {
        fprintf(stderr, "gpu emulator: Memory access fault by GPU, ordered at launch %llu\n",
                (unsigned long long)launch_count);
        abort();
    }
    return is_faulty;
}

struct error_name {
    int error;
    const char *name;
    const char *text;
};

static const struct error_name error_names[] = {
    {HIP_SUCCESS, "hipSuccess", "no error"},
    {HIP_INVALID_VALUE, "hipErrorInvalidValue", "invalid argument"},
    {HIP_OUT_OF_MEMORY, "hipErrorOutOfMemory", "out of memory"},
    {HIP_NOT_INITIALIZED, "hipErrorNotInitialized", "initialization error"},
    {HIP_INVALID_CONFIGURATION, "hipErrorInvalidConfiguration", "invalid configuration argument"},
    {HIP_NO_DEVICE, "hipErrorNoDevice", "no ROCm-capable device is detected"},
    {HIP_INVALID_DEVICE, "hipErrorInvalidDevice", "invalid device ordinal"},
    {HIP_INVALID_IMAGE, "hipErrorInvalidImage", "device kernel image is invalid"},
    {HIP_INVALID_HANDLE, "hipErrorInvalidHandle", "invalid resource handle"},
    {HIP_NOT_FOUND, "hipErrorNotFound", "named symbol not found"},
    {HIP_NOT_READY, "hipErrorNotReady", "device not ready"},
    {HIP_ILLEGAL_ADDRESS, "hipErrorIllegalAddress", "an illegal memory access was encountered"},
    {HIP_LAUNCH_FAILURE, "hipErrorLaunchFailure", "unspecified launch failure"},
    {HIP_ILLEGAL_STATE, "hipErrorIllegalState", "the operation cannot be performed now"},
    {HIP_CAPTURE_UNSUPPORTED, "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {HIP_CAPTURE_INVALIDATED, "hipErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};

static const struct error_name *find_error(int error)
{
    static const struct error_name unknown = {-1, "hipErrorUnknown", "unknown error"};

    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++)
        if (error_names[i].error == error)
            return &error_names[i];
    return &unknown;
}

const char *hipGetErrorName(int error)
{
    return find_error(error)->name;
}

const char *hipGetErrorString(int error)
{
    return find_error(error)->text;
}

/* ---- devices ---- */

struct hip_device *hip_current_device(void)
{
    return &devices[current_device];
}

static bool is_device(int device)
{
    return device >= 0 && device < device_count;
}

int hipInit(unsigned flags)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && flags != 0)
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS && device_count == 0)
        error = HIP_NO_DEVICE;
    if (error == HIP_SUCCESS)
        is_initialized = true;
    return hip_leave(error);
}

int hipDriverGetVersion(int *out)
{
    *out = DRIVER_VERSION;
    return HIP_SUCCESS;
}

int hipGetDeviceCount(int *out)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS)
        *out = device_count;
    return hip_leave(error);
}

/* A text of a device, which must fit. */
static int copy_text(const char *call, char *out, int bytes, int device, const char *text)
{
    enum hip_error error = hip_enter(call);

    if (error == HIP_SUCCESS && !is_device(device))
        error = HIP_INVALID_DEVICE;
    if (error == HIP_SUCCESS && (bytes < 1 || strlen(text) >= (size_t)bytes))
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS)
        memcpy(out, text, strlen(text) + 1);
    return hip_leave(error);
}

int hipDeviceGetName(char *out, int bytes, int device)
{
    return copy_text(__func__, out, bytes, device, is_device(device) ? devices[device].name : "");
}

int hipDeviceGetPCIBusId(char *out, int bytes, int device)
{
    return copy_text(__func__, out, bytes, device, is_device(device) ? devices[device].pci : "");
}

int hipDeviceGetUuid(unsigned char out[HIP_UUID_BYTES], int device)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && !is_device(device))
        error = HIP_INVALID_DEVICE;
    if (error == HIP_SUCCESS)
        memcpy(out, devices[device].uuid,
               HIP_UUID_BYTES); /* digits as text, as AMD's driver has them */
    return hip_leave(error);
}

int hipDeviceTotalMem(size_t *out, int device)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && !is_device(device))
        error = HIP_INVALID_DEVICE;
    if (error == HIP_SUCCESS)
        *out = devices[device].total_bytes;
    return hip_leave(error);
}

int hipDeviceGetAttribute(int *out, int attribute, int device)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && !is_device(device))
        error = HIP_INVALID_DEVICE;
    if (error == HIP_SUCCESS && attribute != ATTRIBUTE_WAVE)
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS)
        *out = GPU_WAVE;
    return hip_leave(error);
}

int hipSetDevice(int device)
{
    int before = current_device;
    enum hip_error error = HIP_SUCCESS;

    if (is_device(device))
        current_device = device; /* a failed one lets go of the thread, too */
    error = hip_enter(__func__);
    if (error == HIP_SUCCESS && !is_device(device))
        error = HIP_INVALID_DEVICE;
    if (error != HIP_SUCCESS)
        current_device = before;
    return hip_leave(error);
}

int hipSetDeviceFlags(unsigned flags)
{
    return hip_leave(hip_enter(__func__));
}

/* That the driver is the emulator, and with it its kernels (hip/backend/gpu_library.c). */
const char *gpu_emulator_architecture(void)
{
    return GPU_WAVE == 64 ? "emulator-64" : "emulator-32";
}

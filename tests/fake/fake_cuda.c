/* NVIDIA's driver library to order. The file that RBEE_FAKE_CUDA names says what there is, a line
 * each, read by cuInit:
 *     device PCI CAPABILITY MEMORY-BYTES NAME...
 *     version NUMBER                   of cuDriverGetVersion [12040]
 *     fail FUNCTION STATUS [NTH]       its NTH call [1] and all later ones
 * Calls that tell something are written to a file of that name and ".log". Device memory is memory;
 * a module is PTX, whose entries are its kernels; a launch is noted and does nothing. The
 * declarations are the public ones of the CUDA driver API reference, written down once more. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OK = 0,
    INVALID_VALUE = 1,
    NO_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_PTX = 218,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    DEVICES_MAX_COUNT = 4,
    FAILS_MAX_COUNT = 8,
    TEXT_BYTES = 128,
    BLOCKING = 4,
    FIRST_HANDLE = 7, /* a device's handle is no index */
    FILL_BYTES = 256, /* what each allocation begins with: its size */
};

struct device {
    char pci[TEXT_BYTES];
    char name[TEXT_BYTES];
    unsigned capability;
    size_t total;
    size_t used;
    unsigned flags;
    int users;
};

struct fail {
    char function[TEXT_BYTES];
    int status;
    int nth;
};

struct function {
    char name[TEXT_BYTES];
};

static struct {
    int device_count;
    struct device devices[DEVICES_MAX_COUNT];
    int fail_count;
    struct fail fails[FAILS_MAX_COUNT];
    int version;
    struct device *current;
    unsigned events;
} fake;

int cuInit(unsigned flags);
int cuDriverGetVersion(int *out);
int cuDeviceGetCount(int *out);
int cuDeviceGet(int *out, int index);
int cuDeviceGetName(char *out, int size, int device);
int cuDeviceGetPCIBusId(char *out, int size, int device);
int cuDeviceGetUuid_v2(unsigned char out[16], int device);
int cuDeviceTotalMem_v2(size_t *out, int device);
int cuDeviceGetAttribute(int *out, int attribute, int device);
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags);
int cuDevicePrimaryCtxRetain(void **out, int device);
int cuDevicePrimaryCtxRelease_v2(int device);
int cuCtxSetCurrent(void *context);
int cuMemGetInfo_v2(size_t *out_free, size_t *out_total);
int cuMemAlloc_v2(unsigned long long *out, size_t bytes);
int cuMemFree_v2(unsigned long long memory);
int cuMemHostAlloc(void **out, size_t bytes, unsigned flags);
int cuMemFreeHost(void *memory);
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream);
int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream);
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes,
                         void *stream);
int cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *stream);
int cuModuleLoadDataEx(void **out, const void *image, unsigned count, int *options, void **values);
int cuModuleUnload(void *module);
int cuModuleGetFunction(void **out, void *module, const char *name);
int cuLaunchKernel(void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                   unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared,
                   void *stream, void **arguments, void **extra);
int cuStreamCreate(void **out, unsigned flags);
int cuStreamDestroy_v2(void *stream);
int cuStreamSynchronize(void *stream);
int cuEventCreate(void **out, unsigned flags);
int cuEventDestroy_v2(void *event);
int cuEventRecord(void *event, void *stream);
int cuEventSynchronize(void *event);
int cuEventElapsedTime(float *out_ms, void *from, void *to);
int cuGetErrorName(int status, const char **out);
int cuGetErrorString(int status, const char **out);

/* ---- orders ---- */

static void note(const char *text)
{
    char path[4096];
    FILE *log = NULL;

    (void)snprintf(path, sizeof(path), "%s.log", getenv("RBEE_FAKE_CUDA"));
    log = fopen(path, "ae");
    if (log != NULL) {
        (void)fprintf(log, "%s\n", text);
        (void)fclose(log);
    }
}

/* 0, or what FUNCTION is to fail with this time. */
static int ordered(const char *function)
{
    for (int i = 0; i < fake.fail_count; i++) {
        struct fail *fail = &fake.fails[i];

        if (strcmp(fail->function, function) == 0 && --fail->nth <= 0)
            return fail->status;
    }
    return OK;
}
#define ORDERED()                                                                                  \
    do {                                                                                           \
        int status_ = ordered(__func__);                                                           \
        if (status_ != OK)                                                                         \
            return status_;                                                                        \
    } while (0)

static void read_line(const char *line)
{
    struct device device = {0};
    struct fail fail = {.nth = 1};

    if (sscanf(line, "device %127s %u %zu %127[^\n]", device.pci, &device.capability, &device.total,
               device.name) == 4 &&
        fake.device_count < DEVICES_MAX_COUNT)
        fake.devices[fake.device_count++] = device;
    else if (sscanf(line, "fail %127s %d %d", fail.function, &fail.status, &fail.nth) >= 2 &&
             fake.fail_count < FAILS_MAX_COUNT)
        fake.fails[fake.fail_count++] = fail;
    else
        (void)sscanf(line, "version %d", &fake.version);
}

int cuInit(unsigned flags)
{
    const char *path = getenv("RBEE_FAKE_CUDA");
    FILE *script = path != NULL ? fopen(path, "re") : NULL;
    char line[512];

    memset(&fake, 0, sizeof(fake));
    fake.version = 12040;
    while (script != NULL && fgets(line, sizeof(line), script) != NULL)
        read_line(line);
    if (script != NULL)
        (void)fclose(script);
    ORDERED();
    return flags != 0 ? INVALID_VALUE : fake.device_count == 0 ? NO_DEVICE : OK;
}

/* ---- devices ---- */

static struct device *device_of(int handle)
{
    return &fake.devices[handle - FIRST_HANDLE];
}

int cuDriverGetVersion(int *out)
{
    *out = fake.version;
    return OK;
}

int cuDeviceGetCount(int *out)
{
    *out = fake.device_count;
    return OK;
}

int cuDeviceGet(int *out, int index)
{
    ORDERED();
    *out = index + FIRST_HANDLE;
    return OK;
}

int cuDeviceGetName(char *out, int size, int device)
{
    (void)snprintf(out, (size_t)size, "%s", device_of(device)->name);
    return OK;
}

int cuDeviceGetPCIBusId(char *out, int size, int device)
{
    (void)snprintf(out, (size_t)size, "%s", device_of(device)->pci);
    return OK;
}

int cuDeviceGetUuid_v2(unsigned char out[16], int device)
{
    for (int i = 0; i < 16; i++)
        out[i] = (unsigned char)(16 * (device - FIRST_HANDLE) + i);
    return OK;
}

int cuDeviceTotalMem_v2(size_t *out, int device)
{
    *out = device_of(device)->total;
    return OK;
}

int cuDeviceGetAttribute(int *out, int attribute, int device)
{
    switch (attribute) {
    case 10: /* warp size */
        *out = 32;
        return OK;
    case 75: /* compute capability */
        *out = (int)device_of(device)->capability / 10;
        return OK;
    case 76:
        *out = (int)device_of(device)->capability % 10;
        return OK;
    default:
        return INVALID_VALUE;
    }
}

int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags)
{
    ORDERED();
    device_of(device)->flags = flags;
    return OK;
}

int cuDevicePrimaryCtxRetain(void **out, int device)
{
    ORDERED();
    if (device_of(device)->flags != BLOCKING)
        return INVALID_VALUE;
    device_of(device)->users++;
    *out = device_of(device);
    return OK;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    char line[TEXT_BYTES];

    device_of(device)->users--;
    (void)snprintf(line, sizeof(line), "release %d users, %zu bytes", device_of(device)->users,
                   device_of(device)->used);
    note(line);
    return OK;
}

int cuCtxSetCurrent(void *context)
{
    fake.current = context;
    return OK;
}

/* ---- memory ---- */

int cuMemGetInfo_v2(size_t *out_free, size_t *out_total)
{
    if (fake.current == NULL)
        return INVALID_CONTEXT;
    ORDERED();
    *out_free = fake.current->total - fake.current->used;
    *out_total = fake.current->total;
    return OK;
}

int cuMemAlloc_v2(unsigned long long *out, size_t bytes)
{
    char *block = NULL;

    ORDERED();
    if (fake.current == NULL)
        return INVALID_CONTEXT;
    if (bytes > fake.current->total - fake.current->used)
        return NO_MEMORY;
    block = malloc(FILL_BYTES + bytes);
    memcpy(block, &bytes, sizeof(bytes));
    fake.current->used += bytes;
    *out = (unsigned long long)(block + FILL_BYTES);
    return OK;
}

int cuMemFree_v2(unsigned long long memory)
{
    char *block = (char *)memory - FILL_BYTES;
    size_t bytes = 0;

    memcpy(&bytes, block, sizeof(bytes));
    fake.current->used -= bytes;
    free(block);
    return OK;
}

int cuMemHostAlloc(void **out, size_t bytes, unsigned flags)
{
    ORDERED();
    *out = malloc(bytes);
    return OK;
}

int cuMemFreeHost(void *memory)
{
    free(memory);
    return OK;
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream)
{
    ORDERED();
    memcpy((void *)to, from, bytes);
    return OK;
}

int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream)
{
    ORDERED();
    memcpy(to, (const void *)from, bytes);
    return OK;
}

int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void *stream)
{
    ORDERED();
    memcpy((void *)to, (const void *)from, bytes);
    return OK;
}

int cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *stream)
{
    ORDERED();
    memset((void *)to, value, bytes);
    return OK;
}

/* ---- modules ---- */

int cuModuleLoadDataEx(void **out, const void *image, unsigned count, int *options, void **values)
{
    static const char COMPLAINT[] = "ptxas fatal: no version";

    ORDERED();
    if (strstr(image, ".version") != NULL) {
        *out = malloc(strlen(image) + 1);
        memcpy(*out, image, strlen(image) + 1);
        return OK;
    }
    /* 5 and 6: where the log goes, and how long it may be. */
    if (count == 2 && options[0] == 5 && options[1] == 6)
        (void)snprintf(values[0], (size_t)values[1], "%s", COMPLAINT);
    return INVALID_PTX;
}

int cuModuleUnload(void *module)
{
    free(module);
    return OK;
}

int cuModuleGetFunction(void **out, void *module, const char *name)
{
    /* One for each name, kept to the end. */
    static struct function functions[64];
    static int count = 0;
    char entry[TEXT_BYTES];

    (void)snprintf(entry, sizeof(entry), ".entry %s(", name);
    if (strstr(module, entry) == NULL || count == 64)
        return NOT_FOUND;
    (void)snprintf(functions[count].name, TEXT_BYTES, "%s", name);
    *out = &functions[count++];
    return OK;
}

int cuLaunchKernel(void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                   unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared,
                   void *stream, void **arguments, void **extra)
{
    const struct function *known = function;
    char line[2 * TEXT_BYTES];
    unsigned first = 0;

    ORDERED();
    memcpy(&first, arguments[0], sizeof(first));
    (void)snprintf(line, sizeof(line), "launch %s %ux%ux%u of %ux%ux%u, shared %u, first %u",
                   known->name, blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z,
                   shared, first);
    note(line);
    return extra != NULL ? INVALID_VALUE : OK;
}

/* ---- streams and events ---- */

int cuStreamCreate(void **out, unsigned flags)
{
    ORDERED();
    *out = malloc(1);
    return flags == 1 ? OK : INVALID_VALUE;
}

int cuStreamDestroy_v2(void *stream)
{
    free(stream);
    return OK;
}

int cuStreamSynchronize(void *stream)
{
    ORDERED();
    return OK;
}

int cuEventCreate(void **out, unsigned flags)
{
    ORDERED();
    *out = calloc(1, sizeof(unsigned));
    return OK;
}

int cuEventDestroy_v2(void *event)
{
    free(event);
    return OK;
}

int cuEventRecord(void *event, void *stream)
{
    ORDERED();
    *(unsigned *)event = ++fake.events;
    return OK;
}

int cuEventSynchronize(void *event)
{
    ORDERED();
    return OK;
}

/* A millisecond and a half from each to the next. */
int cuEventElapsedTime(float *out_ms, void *from, void *to)
{
    *out_ms = 1.5f * (float)(*(unsigned *)to - *(unsigned *)from);
    return OK;
}

int cuGetErrorName(int status, const char **out)
{
    switch (status) {
    case NO_MEMORY:
        *out = "CUDA_ERROR_OUT_OF_MEMORY";
        return OK;
    case 700:
        *out = "CUDA_ERROR_ILLEGAL_ADDRESS";
        return OK;
    case NOT_FOUND:
        *out = "CUDA_ERROR_NOT_FOUND";
        return OK;
    default:
        return INVALID_VALUE;
    }
}

int cuGetErrorString(int status, const char **out)
{
    if (status != 700)
        return INVALID_VALUE;
    *out = "an illegal memory access was encountered";
    return OK;
}

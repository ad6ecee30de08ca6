/* Owns NVIDIA's management library, which is loaded when it is needed: libnvidia-ml.so.1 comes with
 * the driver. The declarations are ours, after its documentation ("NVML API Reference Guide"): a
 * handful of functions whose form has not changed since 2020. */
#include "gpu/card.h"

#include "common/attr.h"
#include "common/mem.h"

#include <assert.h>
#include <dlfcn.h>
#include <string.h>

enum {
    NVML_SUCCESS = 0,
    NVML_TEMPERATURE_GPU = 0,
    NVML_CLOCK_GRAPHICS = 0,
    NVML_CLOCK_MEM = 2,
    MILLI = 1000,
};
static const unsigned long long NVML_NOT_AVAILABLE = ~0ULL;

struct nvml_utilization {
    unsigned gpu;
    unsigned memory;
};

struct nvml_memory {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
};

struct nvml_process {
    unsigned pid;
    unsigned long long used_bytes;
    unsigned gpu_instance;
    unsigned compute_instance;
};
static_assert(sizeof(struct nvml_process) == 24, "nvmlProcessInfo_t of _v2 and _v3");

/* nvmlReturn_t is an enum, nvmlDevice_t a pointer. */
struct nvml {
    void *library;
    bool is_begun;
    int (*begin)(void);
    int (*end)(void);
    int (*find)(const char *pci, void **out_device);
    int (*name)(void *device, char *out, unsigned size);
    int (*uuid)(void *device, char *out, unsigned size);
    int (*utilization)(void *device, struct nvml_utilization *out);
    int (*memory)(void *device, struct nvml_memory *out);
    int (*temperature)(void *device, int sensor, unsigned *out);
    int (*power)(void *device, unsigned *out_mw);
    int (*power_limit)(void *device, unsigned *out_mw);
    int (*clock)(void *device, int clock, unsigned *out_mhz);
    int (*fan)(void *device, unsigned *out_percent);
    int (*processes)(void *device, unsigned *in_out_count, struct nvml_process *out);
};

/* ---- the library ---- */

/* A function's address through POSIX's detour: C knows no cast from an object's. */
static bool nvml_bind(void *library, const char *name, void *out_function)
{
    void *symbol = dlsym(library, name);

    memcpy(out_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

/* One that a driver lacks leaves its figures unknown; without the first three there is nothing. */
static bool nvml_bind_all(struct nvml *nvml)
{
    const struct {
        const char *name;
        void *function;
    } optional[] = {
        {"nvmlDeviceGetName", &nvml->name},
        {"nvmlDeviceGetUUID", &nvml->uuid},
        {"nvmlDeviceGetUtilizationRates", &nvml->utilization},
        {"nvmlDeviceGetMemoryInfo", &nvml->memory},
        {"nvmlDeviceGetTemperature", &nvml->temperature},
        {"nvmlDeviceGetPowerUsage", &nvml->power},
        {"nvmlDeviceGetEnforcedPowerLimit", &nvml->power_limit},
        {"nvmlDeviceGetClockInfo", &nvml->clock},
        {"nvmlDeviceGetFanSpeed", &nvml->fan},
    };

    for (size_t i = 0; i < ARRAY_COUNT(optional); i++)
        (void)nvml_bind(nvml->library, optional[i].name, optional[i].function); /* optional */
    if (!nvml_bind(nvml->library, "nvmlDeviceGetComputeRunningProcesses_v3", &nvml->processes))
        (void)nvml_bind(nvml->library, "nvmlDeviceGetComputeRunningProcesses_v2",
                        &nvml->processes); /* optional as well */
    return nvml_bind(nvml->library, "nvmlInit_v2", &nvml->begin) &&
           nvml_bind(nvml->library, "nvmlShutdown", &nvml->end) &&
           nvml_bind(nvml->library, "nvmlDeviceGetHandleByPciBusId_v2", &nvml->find);
}

/* With a made-up root never the machine's own library. */
static void *nvml_open_library(const char *root)
{
    static const char NAME[] = "libnvidia-ml.so.1";
    char path[SYSFS_PATH_BYTES];

    if (root[0] == '\0')
        return dlopen(NAME, RTLD_NOW | RTLD_LOCAL);
    return sysfs_path(path, root, NAME) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* NULL when there is none of use. It stays loaded: it is not made to be unloaded. */
static struct nvml *nvml_load(struct card_world *world)
{
    struct nvml loaded = {.library = NULL};

    if (world->nvml != NULL)
        return world->nvml;
    loaded.library = nvml_open_library(world->root);
    if (loaded.library == NULL || !nvml_bind_all(&loaded))
        return NULL;
    world->nvml = xcalloc(1, sizeof(*world->nvml));
    *world->nvml = loaded;
    return world->nvml;
}

/* nvmlInit_v2 touches no card: that is done by the first question about it. */
static struct nvml *nvml_session(struct card_world *world)
{
    struct nvml *nvml = nvml_load(world);

    if (nvml != NULL && !nvml->is_begun)
        nvml->is_begun = nvml->begin() == NVML_SUCCESS;
    return nvml != NULL && nvml->is_begun ? nvml : NULL;
}

/* ---- a card ---- */

static void read_unsigned(int (*function)(void *, unsigned *), void *device, double unit,
                          enum gpu_figure figure, struct gpu_figures *out)
{
    unsigned value = 0;

    if (function != NULL && function(device, &value) == NVML_SUCCESS)
        gpu_figures_set(out, figure, value / unit);
}

static void read_clock(const struct nvml *nvml, void *device, int clock, enum gpu_figure figure,
                       struct gpu_figures *out)
{
    unsigned mhz = 0;

    if (nvml->clock != NULL && nvml->clock(device, clock, &mhz) == NVML_SUCCESS)
        gpu_figures_set(out, figure, mhz);
}

static void read_text(int (*function)(void *, char *, unsigned), void *device,
                      char out[CARD_TEXT_BYTES])
{
    if (function == NULL || function(device, out, CARD_TEXT_BYTES) != NVML_SUCCESS)
        out[0] = '\0';
    out[CARD_TEXT_BYTES - 1] = '\0'; /* a library of somebody's */
}

static void read_figures(const struct nvml *nvml, void *device, struct gpu_figures *out)
{
    struct nvml_utilization utilization = {0};
    struct nvml_memory memory = {0};
    unsigned celsius = 0;

    if (nvml->utilization != NULL && nvml->utilization(device, &utilization) == NVML_SUCCESS)
        gpu_figures_set(out, GPU_FIGURE_BUSY, utilization.gpu);
    if (nvml->memory != NULL && nvml->memory(device, &memory) == NVML_SUCCESS) {
        gpu_figures_set(out, GPU_FIGURE_MEMORY_USED, (double)memory.used);
        gpu_figures_set(out, GPU_FIGURE_MEMORY_TOTAL, (double)memory.total);
    }
    if (nvml->temperature != NULL &&
        nvml->temperature(device, NVML_TEMPERATURE_GPU, &celsius) == NVML_SUCCESS)
        gpu_figures_set(out, GPU_FIGURE_TEMPERATURE, celsius);
    read_unsigned(nvml->power, device, MILLI, GPU_FIGURE_POWER, out);
    read_unsigned(nvml->power_limit, device, MILLI, GPU_FIGURE_POWER_LIMIT, out);
    read_unsigned(nvml->fan, device, 1, GPU_FIGURE_FAN_SHARE, out);
    read_clock(nvml, device, NVML_CLOCK_GRAPHICS, GPU_FIGURE_CORE_CLOCK, out);
    read_clock(nvml, device, NVML_CLOCK_MEM, GPU_FIGURE_MEMORY_CLOCK, out);
}

static void read_uses(const struct nvml *nvml, void *device, struct card_uses *out)
{
    struct nvml_process processes[CARD_USE_MAX_COUNT];
    unsigned count = CARD_USE_MAX_COUNT;

    if (nvml->processes == NULL || nvml->processes(device, &count, processes) != NVML_SUCCESS ||
        count > CARD_USE_MAX_COUNT)
        return;
    out->is_known = true;
    for (unsigned i = 0; i < count; i++) {
        unsigned long long bytes = processes[i].used_bytes;
        bool is_known = bytes != NVML_NOT_AVAILABLE && bytes <= (unsigned long long)INT64_MAX;

        out->list[out->count++] = (struct card_use){.pid = (pid_t)processes[i].pid,
                                                    .memory_bytes = is_known ? (int64_t)bytes : -1};
    }
}

static void nvml_read(struct card_world *world, const struct card *card, struct card_reading *out)
{
    const struct nvml *nvml = nvml_session(world);
    void *device = NULL;

    if (nvml == NULL || nvml->find(card->pci, &device) != NVML_SUCCESS)
        return;
    read_text(nvml->name, device, out->name);
    read_text(nvml->uuid, device, out->uuid);
    read_figures(nvml, device, &out->figures);
    read_uses(nvml, device, &out->uses);
}

/* A session holds the cards it has asked, and none of them would fall asleep. */
static void nvml_rest(struct card_world *world)
{
    struct nvml *nvml = world->nvml;

    if (nvml != NULL && nvml->is_begun) {
        (void)nvml->end(); /* what it did not give back goes with us */
        nvml->is_begun = false;
    }
}

const struct card_vendor CARD_NVIDIA = {
    .name = "nvidia",
    .driver = "nvidia",
    .list_folder = "sys/bus/pci/drivers/nvidia",
    .list_prefix = "",
    .pci_link = "",
    .read = nvml_read,
    .rest = nvml_rest,
};

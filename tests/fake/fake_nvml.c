/* NVIDIA's management library to order, for rbee-gpu. Beside the library lies nvml.script, a line
 * for each answer, read anew by each question: "PCI-ADDRESS KEY VALUE". KEY is name, uuid, busy,
 * used, total, celsius, milliwatts, limit, core, memory, fan, or process (its value "PID BYTES",
 * one line for each); what is not there is not supported. "PCI-ADDRESS find crash" is what happens
 * to who looks for that card. Calls are written to nvml.log. The declarations are the public ones
 * of NVML's reference guide, written down once more. */
#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, CARD_COUNT = 4, ADDRESS_BYTES = 32 };

struct utilization {
    unsigned gpu, memory;
};
struct memory {
    unsigned long long total, free, used;
};
struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **out);
int nvmlDeviceGetName(void *device, char *out, unsigned size);
int nvmlDeviceGetUUID(void *device, char *out, unsigned size);
int nvmlDeviceGetUtilizationRates(void *device, struct utilization *out);
int nvmlDeviceGetMemoryInfo(void *device, struct memory *out);
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *out);
int nvmlDeviceGetPowerUsage(void *device, unsigned *out);
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *out);
int nvmlDeviceGetClockInfo(void *device, int clock, unsigned *out);
int nvmlDeviceGetFanSpeed(void *device, unsigned *out);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *out);

static char addresses[CARD_COUNT][ADDRESS_BYTES];

static FILE *open_beside(const char *name, const char *mode)
{
    char path[PATH_MAX];
    Dl_info info;
    char *slash = NULL;

    if (dladdr((void *)&addresses, &info) == 0)
        return NULL;
    (void)snprintf(path, sizeof(path), "%s", info.dli_fname);
    slash = strrchr(path, '/');
    (void)snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s", name);
    return fopen(path, mode);
}

static void note(const char *call, const char *pci)
{
    FILE *log = open_beside("nvml.log", "ae");

    if (log != NULL) {
        (void)fprintf(log, "%s %s\n", call, pci);
        (void)fclose(log);
    }
}

/* The value of the NTH line for KEY; false when there are fewer. */
static int answer(const char *pci, const char *key, int nth, char out[128])
{
    FILE *script = open_beside("nvml.script", "re");
    char line[256];
    int found = 0;

    while (script != NULL && !found && fgets(line, sizeof(line), script) != NULL) {
        char own_pci[ADDRESS_BYTES];
        char own_key[32];

        if (sscanf(line, "%31s %31s %127[^\n]", own_pci, own_key, out) == 3 &&
            strcmp(own_pci, pci) == 0 && strcmp(own_key, key) == 0)
            found = nth-- == 0;
    }
    if (script != NULL)
        (void)fclose(script);
    return found;
}

static int answer_unsigned(const char *pci, const char *key, unsigned *out)
{
    char value[128];

    if (!answer(pci, key, 0, value))
        return NOT_SUPPORTED;
    *out = (unsigned)strtoul(value, NULL, 10);
    return SUCCESS;
}

static int answer_text(const char *pci, const char *key, char *out, unsigned size)
{
    char value[128];

    if (!answer(pci, key, 0, value))
        return NOT_SUPPORTED;
    (void)snprintf(out, size, "%s", value);
    return SUCCESS;
}

int nvmlInit_v2(void)
{
    note("init", "");
    return SUCCESS;
}

int nvmlShutdown(void)
{
    note("shutdown", "");
    return SUCCESS;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **out)
{
    char value[128] = "";
    int is_known = answer(pci, "find", 0, value) || answer(pci, "name", 0, value);

    note("find", pci);
    if (strcmp(value, "crash") == 0)
        abort();
    for (int i = 0; is_known && i < CARD_COUNT; i++) {
        if (addresses[i][0] != '\0' && strcmp(addresses[i], pci) != 0)
            continue;
        (void)snprintf(addresses[i], ADDRESS_BYTES, "%s", pci);
        *out = addresses[i];
        return SUCCESS;
    }
    return NOT_FOUND;
}

int nvmlDeviceGetName(void *device, char *out, unsigned size)
{
    return answer_text(device, "name", out, size);
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned size)
{
    return answer_text(device, "uuid", out, size);
}

int nvmlDeviceGetUtilizationRates(void *device, struct utilization *out)
{
    return answer_unsigned(device, "busy", &out->gpu);
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *out)
{
    char used[128];
    char total[128];

    if (!answer(device, "used", 0, used) || !answer(device, "total", 0, total))
        return NOT_SUPPORTED;
    out->used = strtoull(used, NULL, 10);
    out->total = strtoull(total, NULL, 10);
    out->free = out->total - out->used;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *out)
{
    return sensor == 0 ? answer_unsigned(device, "celsius", out) : NOT_SUPPORTED;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *out)
{
    return answer_unsigned(device, "milliwatts", out);
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *out)
{
    return answer_unsigned(device, "limit", out);
}

int nvmlDeviceGetClockInfo(void *device, int clock, unsigned *out)
{
    return answer_unsigned(device, clock == 0 ? "core" : clock == 2 ? "memory" : "", out);
}

int nvmlDeviceGetFanSpeed(void *device, unsigned *out)
{
    return answer_unsigned(device, "fan", out);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *out)
{
    char value[128];
    unsigned found = 0;

    while (found < *count && answer(device, "process", (int)found, value)) {
        out[found] = (struct process){0};
        if (sscanf(value, "%u %llu", &out[found].pid, &out[found].used) != 2)
            out[found].used = ~0ULL;
        found++;
    }
    *count = found;
    return SUCCESS;
}

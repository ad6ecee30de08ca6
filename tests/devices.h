/* Backends by name for tests: those of backends.def, and emulated GPUs (tests/emulator), whose
 * libraries lie beside the test. */
#ifndef RBEE_TESTS_DEVICES_H
#define RBEE_TESTS_DEVICES_H

#include "hip/backend/backend.h"
#include "hip/backend/gpu.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Those with waves of 32 and of 64. */
#define EMULATOR_32 "emulator-32"
#define EMULATOR_64 "emulator-64"

static inline bool device_is_emulated(const char *name)
{
    return strncmp(name, "emulator-", strlen("emulator-")) == 0;
}

static inline struct backend *device_open(const char *name, uint32_t threads, struct err *err)
{
    char self[PATH_MAX] = "";
    char path[PATH_MAX + 64];
    char *slash = NULL;

    if (!device_is_emulated(name))
        return backend_new(name, threads, err);
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return NULL;
    slash = strrchr(self, '/');
    *slash = '\0';
    (void)snprintf(path, sizeof(path), "%s/libgpu-%s.so", self, name);
    /* Loaded once: a real driver stays, too, and a test makes many backends. */
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == NULL)
        return err_set_null(err, ERR_DEVICE, "%s", dlerror());
    return gpu_backend_new(path, "0", err);
}

#endif

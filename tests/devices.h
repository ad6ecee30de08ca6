/* Backends by name for tests: those of backends.def, and emulated GPUs (tests/emulator), whose
 * libraries lie beside the test. */
#ifndef RBEE_TESTS_DEVICES_H
#define RBEE_TESTS_DEVICES_H

#include "common/attr.h"
#include "common/mem.h"
#include "common/paths.h"
#include "hip/backend/backend.h"
#include "hip/backend/gpu.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

/* Those with waves of 32 and of 64. */
#define EMULATOR_32 "emulator-32"
#define EMULATOR_64 "emulator-64"

static inline bool device_is_emulated(const char *name)
{
    return strncmp(name, "emulator-", strlen("emulator-")) == 0;
}

static inline struct backend *device_open(const char *name, uint32_t threads, struct err *err)
{
    AUTO_FREE char *file = xasprintf("libgpu-%s.so", name);
    AUTO_FREE char *path = paths_sibling_program(file);

    if (!device_is_emulated(name))
        return backend_new(name, threads, err);
    /* Loaded once: a real driver stays, too, and a test makes many backends. */
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == NULL)
        return err_set_null(err, ERR_DEVICE, "%s", dlerror());
    return gpu_backend_new(path, "0", err);
}

#endif

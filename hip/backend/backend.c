/* Owns the choice of a device by its name. */
#include "hip/backend/backend.h"

#include "common/attr.h"
#include "common/device_name.h"
#include "hip/backend/gpu.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    struct backend *(*make)(uint32_t threads, struct err *err);
} BACKENDS[] = {
#define BACKEND(device, maker, summary) {.name = device, .make = maker},
#include "hip/backend/backends.def"
#undef BACKEND
};

bool backend_is_gpu(const char *device)
{
    struct device_names names;

    device_names_split(device, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (device_name_is_gpu(names.names[i]) || strcmp(names.names[i], BACKEND_EMULATOR) == 0)
            return true;
    }
    return false;
}

/* The emulator stands in for a driver in builds with TEST_HOOKS=1 (gpu_library_open). */
static bool has_emulator(void)
{
#ifdef RBEE_TEST_HOOKS
    return getenv("RBEE_GPU_LIBRARY") != NULL;
#else
    return false;
#endif
}

static struct backend *new_gpu_named(const char *name, struct backend *other, struct err *err)
{
    return other != NULL && gpu_is_backend(other) ? gpu_backend_new_beside(other, name, err)
                                                  : gpu_backend_new(NULL, name, err);
}

static struct backend *new_gpu(const char *device, struct backend *other, struct err *err)
{
    if (strcmp(device, DEVICE_NAME_ANY_GPU) == 0)
        return new_gpu_named("", other, err); /* the first that can be used */
    if (strcmp(device, BACKEND_EMULATOR) != 0)
        return new_gpu_named(device + strlen(DEVICE_NAME_ANY_GPU ":"), other, err);
    if (!has_emulator())
        return err_set_null(err, ERR_CONFIG,
                            "it is for tests: it takes a build with TEST_HOOKS=1, and its library "
                            "in RBEE_GPU_LIBRARY");
    return new_gpu_named("0", other, err);
}

struct backend *backend_new_beside(const char *device, uint32_t threads, struct backend *other,
                                   struct err *err)
{
    if (backend_is_gpu(device))
        return new_gpu(device, other, err);
    for (size_t i = 0; i < ARRAY_COUNT(BACKENDS); i++) {
        if (strcmp(BACKENDS[i].name, device) == 0)
            return BACKENDS[i].make(threads, err);
    }
    return err_set_null(err, ERR_DEVICE,
                        "this version has no device \"%s\", only \"cpu\", "
                        "\"gpu\" and \"gpu:ID\"",
                        device);
}

struct backend *backend_new(const char *device, uint32_t threads, struct err *err)
{
    return backend_new_beside(device, threads, NULL, err);
}

void backend_free(struct backend *backend)
{
    if (backend != NULL)
        backend->ops->free(backend);
}

int backend_check_kv_type(const struct backend *backend, const char *device, enum kv_type type,
                          struct err *err)
{
    if (type == KV_TYPE_F16 || backend->ops->has_kv_q8_0)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "device %s keeps keys and values as %s only: %s takes a GPU, or leave the KV "
                   "type out",
                   device, kv_type_name(KV_TYPE_F16), kv_type_name(type));
}

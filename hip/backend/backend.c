/* Owns the choice of a device by its name. */
#include "hip/backend/backend.h"

#include "common/attr.h"

#include <string.h>

static const struct {
    const char *name;
    struct backend *(*make)(uint32_t threads, struct err *err);
} BACKENDS[] = {
#define BACKEND(device, maker, summary) {.name = device, .make = maker},
#include "hip/backend/backends.def"
#undef BACKEND
};

struct backend *backend_new(const char *device, uint32_t threads, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(BACKENDS); i++) {
        if (strcmp(BACKENDS[i].name, device) == 0)
            return BACKENDS[i].make(threads, err);
    }
    return err_set_null(err, ERR_DEVICE, "this version has no device \"%s\", only \"cpu\"", device);
}

void backend_free(struct backend *backend)
{
    if (backend != NULL)
        backend->ops->free(backend);
}

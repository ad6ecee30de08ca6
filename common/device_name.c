/* Owns what a device may be called. Must not know which there are. */
#include "common/device_name.h"

#include <string.h>

static const char GPU[] = DEVICE_NAME_ANY_GPU ":";

/* As in "0000:03:00.0" and "GPU-2c5f9b7e10a4d3c8": it goes into labels, logs and command lines. */
static bool device_is_gpu_id(const char *text)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-";

    return text[0] != '\0' && strspn(text, ALLOWED) == strlen(text);
}

int device_name_check(const char *name, enum err_kind kind, struct err *err)
{
    if (strcmp(name, DEVICE_NAME_CPU) == 0 || strcmp(name, DEVICE_NAME_ANY_GPU) == 0)
        return 0;
    if (strlen(name) <= DEVICE_NAME_MAX_BYTES && strncmp(name, GPU, strlen(GPU)) == 0 &&
        device_is_gpu_id(name + strlen(GPU)))
        return 0;
    return err_set(
        err, kind,
        "device must be \"cpu\", \"gpu\" or \"gpu:ID\", the whole at most %d bytes and ID "
        "of A-Z a-z 0-9 : . _ -, not \"%.80s\"",
        DEVICE_NAME_MAX_BYTES, name);
}

bool device_name_is_gpu(const char *name)
{
    return strcmp(name, DEVICE_NAME_ANY_GPU) == 0 || strncmp(name, GPU, strlen(GPU)) == 0;
}

const char *device_name_or_cpu(const char *name)
{
    return name[0] == '\0' ? DEVICE_NAME_CPU : name;
}

/* Owns what a device may be called. Must not know which there are. */
#include "common/device_name.h"

#include <stdio.h>
#include <string.h>

static const char GPU[] = DEVICE_NAME_ANY_GPU ":";

/* As in "0000:03:00.0" and "GPU-2c5f9b7e10a4d3c8": it goes into labels, logs and command lines. */
static bool device_is_gpu_id(const char *text)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-";

    return text[0] != '\0' && strspn(text, ALLOWED) == strlen(text);
}

static bool device_is_gpu(const char *name, size_t len)
{
    char text[DEVICE_NAME_MAX_BYTES + 1];

    if (len > DEVICE_NAME_MAX_BYTES)
        return false;
    memcpy(text, name, len);
    text[len] = '\0';
    return strncmp(text, GPU, strlen(GPU)) == 0 && device_is_gpu_id(text + strlen(GPU));
}

int device_name_check(const char *text, enum err_kind kind, struct err *err)
{
    size_t len = strcspn(text, ",");
    const char *second = text[len] == '\0' ? NULL : text + len + 1;

    if (strcmp(text, DEVICE_NAME_CPU) == 0 || strcmp(text, DEVICE_NAME_ANY_GPU) == 0)
        return 0;
    if (device_is_gpu(text, len) && (second == NULL || device_is_gpu(second, strlen(second)))) {
        if (second == NULL || strlen(second) != len || strncmp(text, second, len) != 0)
            return 0;
        return err_set(err, kind, "device names %s twice: the two must differ", second);
    }
    return err_set(
        err, kind,
        "device must be \"cpu\", \"gpu\" or \"gpu:ID\", or two such GPUs with a comma "
        "between them, each at most %d bytes and ID of A-Z a-z 0-9 : . _ -, not \"%.80s\"",
        DEVICE_NAME_MAX_BYTES, text);
}

void device_names_split(const char *text, struct device_names *out)
{
    *out = (struct device_names){0};
    while (out->count < DEVICE_NAMES_MAX_COUNT && text[0] != '\0') {
        size_t len = strcspn(text, ",");

        (void)snprintf(out->names[out->count++], sizeof(out->names[0]), "%.*s", (int)len, text);
        text += len;
        text += text[0] == ',';
    }
}

bool device_name_is_gpu(const char *name)
{
    return strcmp(name, DEVICE_NAME_ANY_GPU) == 0 || strncmp(name, GPU, strlen(GPU)) == 0;
}

const char *device_name_or_cpu(const char *name)
{
    return name[0] == '\0' ? DEVICE_NAME_CPU : name;
}

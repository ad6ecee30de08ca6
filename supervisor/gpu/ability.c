/* Owns the reading of what a worker program tells of the GPUs. Knows no process. */
#include "supervisor/gpu/ability.h"

#include "common/attr.h"
#include "common/json.h"

#include <ctype.h>
#include <string.h>

/* As the kernel writes it: small letters. */
static int read_pci(const json_t *object, char out[GPU_PCI_BYTES], struct err *err)
{
    const char *text = "";

    if (json_read_text(object, "pci", &text, err) != 0)
        return -1;
    if (strlen(text) >= GPU_PCI_BYTES)
        return err_set(err, ERR_PROTOCOL, "a PCI address of %zu bytes", strlen(text));
    for (size_t i = 0; i <= strlen(text); i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    if (!gpu_is_pci(out))
        return err_set(err, ERR_PROTOCOL, "a device without a PCI address");
    return 0;
}

/* All are optional but this one: without it nobody could tell whether models run there. */
static int read_usable(const json_t *object, bool *out, struct err *err)
{
    if (!json_is_boolean(json_object_get(object, "usable")))
        return err_set(err, ERR_PROTOCOL, "usable must be true or false");
    *out = json_is_true(json_object_get(object, "usable"));
    return 0;
}

static int check_texts(const json_t *object, struct err *err)
{
    static const char *const TEXTS[] = {"vendor", "uuid", "name", "architecture", "reason"};
    const char *ignored = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        if (json_read_text(object, TEXTS[i], &ignored, err) != 0)
            return -1;
    }
    return 0;
}

static int read_device(const json_t *object, struct ability_device *out, struct err *err)
{
    struct gpu_ability *ability = &out->ability;

    *out = (struct ability_device){
        .free_bytes = -1, .ability = {.is_listed = true, .memory_bytes = -1, .foreign_bytes = -1}};
    if (!json_is_object(object))
        return err_set(err, ERR_PROTOCOL, "a device that is no object");
    if (read_pci(object, out->pci, err) != 0 ||
        read_usable(object, &ability->is_usable, err) != 0 || check_texts(object, err) != 0 ||
        json_read_integer(object, "memory_bytes", 0, INT64_MAX / 2, &ability->memory_bytes, err) !=
            0 ||
        json_read_integer(object, "free_bytes", 0, INT64_MAX / 2, &out->free_bytes, err) != 0)
        return -1;
    gpu_take_text(object, "vendor", out->vendor, sizeof(out->vendor));
    gpu_take_text(object, "name", out->name, sizeof(out->name));
    gpu_take_text(object, "uuid", ability->uuid, sizeof(ability->uuid));
    gpu_take_text(object, "architecture", ability->architecture, sizeof(ability->architecture));
    gpu_take_text(object, "reason", ability->reason, sizeof(ability->reason));
    return 0;
}

/* One card may be told of by two libraries: the first that can use it counts, else the first. */
static void add_device(struct ability_answer *answer, const struct ability_device *device)
{
    size_t at = 0;

    while (at < answer->count && strcmp(answer->devices[at].pci, device->pci) != 0)
        at++;
    if (at == answer->count ||
        (device->ability.is_usable && !answer->devices[at].ability.is_usable))
        answer->devices[at] = *device;
    answer->count += at == answer->count;
}

int ability_read(const json_t *record, struct ability_answer *out, struct err *err)
{
    const json_t *devices = json_object_get(record, "devices");
    const char *ignored = NULL;

    out->count = out->nameless_count = 0;
    if (!json_is_array(devices))
        return err_set(err, ERR_PROTOCOL, "it has no list of devices");
    if (json_read_text(record, "reason", &ignored, err) != 0) {
        err->kind = ERR_PROTOCOL;
        return -1;
    }
    gpu_take_text(record, "reason", out->reason, sizeof(out->reason));
    if (json_array_size(devices) > GPU_MAX_COUNT)
        return err_set(err, ERR_PROTOCOL, "it has %zu devices, and %d are the most",
                       json_array_size(devices), GPU_MAX_COUNT);
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *object = json_array_get(devices, i);
        struct ability_device device;

        if (json_is_null(json_object_get(object, "pci"))) {
            out->nameless_count++;
            continue;
        }
        if (read_device(object, &device, err) != 0) {
            err->kind = ERR_PROTOCOL; /* no field of a caller's: of a program of ours */
            return -1;
        }
        add_device(out, &device);
    }
    return 0;
}

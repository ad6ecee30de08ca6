/* Owns how devices and architectures are written, and the kernel's list of compute devices. */
#include "hip/backend/gpu_names.h"

#include "common/attr.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    PATH_BYTES = 512,
    LINE_BYTES = 256,
    HIP_UUID_DIGITS = 16,
    /* gfx_target_version counts in these. */
    VERSION_MAJOR = 10000,
    VERSION_MINOR = 100,
};

/* ---- PCI ---- */

bool gpu_pci_normalise(const char *text, char out[GPU_PCI_BYTES])
{
    unsigned domain = 0;
    unsigned bus = 0;
    unsigned device = 0;
    unsigned function = 0;
    int len = 0;
    size_t size = strlen(text);

    if (sscanf(text, "%x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &len) != 4 ||
        (size_t)len != size) {
        domain = 0;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &len) != 3 ||
            (size_t)len != size)
            return false;
    }
    (void)snprintf(out, GPU_PCI_BYTES, "%04x:%02x:%02x.%x", domain, bus, device, function);
    return true;
}

/* ---- UUID ---- */

void gpu_uuid_of_bytes(const unsigned char bytes[16], char out[GPU_UUID_BYTES])
{
    (void)snprintf(out, GPU_UUID_BYTES,
                   "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                   bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
                   bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14],
                   bytes[15]);
}

void gpu_uuid_of_hip(const unsigned char bytes[16], char out[GPU_UUID_BYTES])
{
    out[0] = '\0';
    for (int i = 0; i < HIP_UUID_DIGITS; i++) {
        if (!isxdigit(bytes[i]))
            return;
    }
    (void)snprintf(out, GPU_UUID_BYTES, "GPU-%.16s", (const char *)bytes);
}

/* ---- architecture ---- */

static void architecture_write(uint32_t major, uint32_t minor, uint32_t stepping,
                               char out[GPU_ARCHITECTURE_BYTES])
{
    (void)snprintf(out, GPU_ARCHITECTURE_BYTES, "gfx%u%x%x", major, minor, stepping);
}

void gpu_architecture_of_version(uint32_t version, char out[GPU_ARCHITECTURE_BYTES])
{
    out[0] = '\0';
    if (version != 0)
        architecture_write(version / VERSION_MAJOR, version / VERSION_MINOR % VERSION_MINOR,
                           version % VERSION_MINOR, out);
}

bool gpu_architecture_of_override(const char *text, char out[GPU_ARCHITECTURE_BYTES])
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned stepping = 0;
    int len = 0;

    if (sscanf(text, "%2u.%2u.%2u%n", &major, &minor, &stepping, &len) != 3 ||
        (size_t)len != strlen(text))
        return false;
    architecture_write(major, minor, stepping, out);
    return true;
}

/* What one node says, "KEY VALUE" a line. */
struct kfd_node {
    unsigned long domain;
    unsigned long location; /* bus << 8 | device << 3 | function */
    unsigned long version;
};

static bool kfd_read(const char *root, const char *name, struct kfd_node *out)
{
    char path[PATH_BYTES];
    char line[LINE_BYTES];
    AUTO_FCLOSE FILE *file = NULL;

    if (snprintf(path, sizeof(path), "%s/sys/class/kfd/kfd/topology/nodes/%s/properties", root,
                 name) >= (int)sizeof(path))
        return false;
    file = fopen(path, "re");
    *out = (struct kfd_node){0};
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "domain %lu", &out->domain); /* another line: it stays as it is */
        (void)sscanf(line, "location_id %lu", &out->location);
        (void)sscanf(line, "gfx_target_version %lu", &out->version);
    }
    return out->version != 0; /* a processor's node has 0 */
}

static bool kfd_is_at(const struct kfd_node *node, const char *pci)
{
    char text[GPU_PCI_BYTES];

    (void)snprintf(text, sizeof(text), "%04lx:%02lx:%02lx.%lx", node->domain,
                   node->location >> 8 & 0xff, node->location >> 3 & 0x1f, node->location & 0x7);
    return strcmp(text, pci) == 0;
}

bool gpu_architecture_of_kfd(const char *root, const char *pci, char out[GPU_ARCHITECTURE_BYTES])
{
    char path[PATH_BYTES];
    const struct dirent *entry = NULL;
    struct kfd_node node;
    bool is_found = false;
    DIR *dir = NULL;

    if (snprintf(path, sizeof(path), "%s/sys/class/kfd/kfd/topology/nodes", root) <
        (int)sizeof(path))
        dir = opendir(path);
    while (dir != NULL && !is_found && (entry = readdir(dir)) != NULL) {
        is_found = entry->d_name[0] != '.' && kfd_read(root, entry->d_name, &node) &&
                   kfd_is_at(&node, pci);
        if (is_found)
            gpu_architecture_of_version((uint32_t)node.version, out);
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
    return is_found;
}

/* ---- the name of a device ---- */

bool gpu_name_matches(const char *name, uint32_t index, const struct gpu_info *info)
{
    char text[GPU_PCI_BYTES];

    (void)snprintf(text, sizeof(text), "%u", index);
    if (strcmp(name, text) == 0)
        return true;
    if (gpu_pci_normalise(name, text))
        return strcmp(text, info->pci) == 0;
    return info->uuid[0] != '\0' && strcasecmp(name, info->uuid) == 0;
}

/* Owns the look at cards and device files when no driver's library shows a GPU. */
#include "hip/backend/gpu_hardware.h"

#include "common/attr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 512,
    SENTENCE_BYTES = 320,
    /* PCI's numbers: vendors, and base classes of devices (bits 16 to 23). */
    VENDOR_AMD = 0x1002,
    VENDOR_NVIDIA = 0x10de,
    CLASS_DISPLAY = 0x03,
    CLASS_ACCELERATOR = 0x12,
    CLASS_SHIFT = 16,
};

/* ---- cards ---- */

static unsigned long read_hex(const char *root, const char *device, const char *name)
{
    char path[PATH_BYTES];
    char line[32] = "";
    AUTO_FCLOSE FILE *file = NULL;

    if (snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", root, device, name) <
        (int)sizeof(path))
        file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL)
        return 0;
    return strtoul(line, NULL, 16);
}

static bool is_gpu_of(const char *root, const char *device, unsigned long vendor)
{
    unsigned long class = read_hex(root, device, "class") >> CLASS_SHIFT;

    return (class == CLASS_DISPLAY || class == CLASS_ACCELERATOR) &&
           read_hex(root, device, "vendor") == vendor;
}

/* The address of a card of VENDOR; false when there is none. */
static bool find_card(const char *root, unsigned long vendor, char out[32])
{
    char path[PATH_BYTES];
    const struct dirent *entry = NULL;
    bool is_found = false;
    DIR *dir = NULL;

    if (snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", root) < (int)sizeof(path))
        dir = opendir(path);
    while (dir != NULL && !is_found && (entry = readdir(dir)) != NULL) {
        is_found = entry->d_name[0] != '.' && is_gpu_of(root, entry->d_name, vendor);
        if (is_found)
            (void)snprintf(out, 32, "%.31s", entry->d_name);
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
    return is_found;
}

/* ---- device files ---- */

/* 0, or the errno of opening ROOT/dev/NAME for reading and writing. */
static int try_device(const char *root, const char *name)
{
    char path[PATH_BYTES];
    AUTO_CLOSE int fd = -1;

    if (snprintf(path, sizeof(path), "%s/dev/%s", root, name) >= (int)sizeof(path))
        return ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? errno : 0;
}

/* Which of AMD's device files may not be opened by this user; "" when all may. */
static void find_forbidden(const char *root, char *out, size_t size)
{
    char path[PATH_BYTES];
    const struct dirent *entry = NULL;
    DIR *dir = NULL;

    out[0] = '\0';
    if (try_device(root, "kfd") == EACCES)
        (void)snprintf(out, size, "/dev/kfd");
    if (out[0] == '\0' && snprintf(path, sizeof(path), "%s/dev/dri", root) < (int)sizeof(path))
        dir = opendir(path);
    while (dir != NULL && out[0] == '\0' && (entry = readdir(dir)) != NULL) {
        char name[64];

        if (strncmp(entry->d_name, "renderD", strlen("renderD")) != 0)
            continue;
        (void)snprintf(name, sizeof(name), "dri/%.56s", entry->d_name);
        if (try_device(root, name) == EACCES)
            (void)snprintf(out, size, "/dev/%s", name);
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
}

/* ---- sentences ---- */

static void explain_amd(const char *root, const char *card, const char *library_says, char *out)
{
    char forbidden[80];

    find_forbidden(root, forbidden, sizeof(forbidden));
    if (forbidden[0] != '\0')
        (void)snprintf(out, SENTENCE_BYTES,
                       "there is a card of AMD's at %s, but this user may not open %s: sudo "
                       "usermod -aG render,video $USER, then log in again",
                       card, forbidden);
    else if (try_device(root, "kfd") != 0)
        (void)snprintf(out, SENTENCE_BYTES,
                       "there is a card of AMD's at %s, but no /dev/kfd: the kernel's driver "
                       "amdgpu is not loaded (sudo modprobe amdgpu), or a container was not "
                       "given it (--device /dev/kfd --device /dev/dri)",
                       card);
    else if (library_says[0] == '\0')
        (void)snprintf(out, SENTENCE_BYTES,
                       "there is a card of AMD's at %s, but libamdhip64.so is not installed: apt "
                       "install libamdhip64-5, or hip-runtime-amd of AMD's own packages",
                       card);
    else
        (void)snprintf(out, SENTENCE_BYTES, "there is a card of AMD's at %s, but %.180s", card,
                       library_says);
}

static void explain_nvidia(const char *card, const char *library_says, char *out)
{
    if (library_says[0] == '\0')
        (void)snprintf(out, SENTENCE_BYTES,
                       "there is a card of NVIDIA's at %s, but libcuda.so.1 is not installed: it "
                       "comes with NVIDIA's driver (apt install nvidia-driver)",
                       card);
    else
        (void)snprintf(out, SENTENCE_BYTES, "there is a card of NVIDIA's at %s, but %.180s", card,
                       library_says);
}

void gpu_hardware_explain(const char *root, const char *library_says, char *out, size_t size)
{
    char amd[32];
    char nvidia[32];
    char first[SENTENCE_BYTES] = "";
    char second[SENTENCE_BYTES] = "";

    if (find_card(root, VENDOR_AMD, amd))
        explain_amd(root, amd, library_says, first);
    if (find_card(root, VENDOR_NVIDIA, nvidia))
        explain_nvidia(nvidia, library_says, second);
    if (first[0] != '\0' || second[0] != '\0')
        (void)snprintf(out, size, "%s%s%s", first,
                       first[0] != '\0' && second[0] != '\0' ? "; " : "", second);
    else if (library_says[0] != '\0')
        (void)snprintf(out, size, "no card of AMD's or NVIDIA's is seen on this machine: %s",
                       library_says);
    else
        (void)snprintf(out, size,
                       "this machine has no GPU of AMD's or NVIDIA's that can be seen, and neither "
                       "libamdhip64.so nor libcuda.so.1");
}

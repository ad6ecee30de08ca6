/* Owns the checks of GPUs: is there one, does its driver run, may we use it. Looks at files alone:
 * neither a driver nor a library is called, because one that hangs would hang us. */
#include "cli/doctor.h"
#include "common/mem.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

enum {
    SYS_FILE_MAX_BYTES = 4096,
    MODULES_MAX_BYTES = 1 << 20,
    LD_CACHE_MAX_BYTES = 16 << 20,
};

/* A maker of GPUs, as this machine would show them. */
struct gpu_maker {
    const char *name;
    const char *pci_vendor;
    const char *module;
    const char *nodes[2]; /* what programs open; patterns of which at least one must be there */
    const char *nodes_fix;
    const char *library; /* that tells the figures of a card; NULL: the kernel does */
    const char *library_fix;
};

#define GROUPS_FIX "sudo usermod -aG render,video $USER"

static const struct gpu_maker AMD = {
    .name = "AMD",
    .pci_vendor = "0x1002",
    .module = "amdgpu",
    .nodes = {"/dev/kfd", "/dev/dri/renderD*"},
    .nodes_fix = "sudo modprobe -r amdgpu; sudo modprobe amdgpu",
};
static const struct gpu_maker NVIDIA = {
    .name = "NVIDIA",
    .pci_vendor = "0x10de",
    .module = "nvidia",
    .nodes = {"/dev/nvidiactl", "/dev/nvidia[0-9]*"},
    .nodes_fix = "sudo nvidia-modprobe -c 0 -u",
    .library = "libnvidia-ml.so.1",
    .library_fix = "sudo apt-get install libnvidia-ml1",
};

/* All files that PATTERN means below the root. */
static void find_files(const struct doctor *doctor, const char *pattern, glob_t *out)
{
    AUTO_FREE char *full = doctor_path(doctor, pattern);

    *out = (glob_t){0};
    (void)glob(full, 0, NULL, out); /* none is an answer */
}

/* Whether the file at PATH, whole as it is, begins with TEXT. */
static bool begins_with(const char *path, const char *text)
{
    char begin[SYS_FILE_MAX_BYTES];
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t len = fd < 0 ? -1 : read(fd, begin, sizeof(begin));

    return len >= (ssize_t)strlen(text) && memcmp(begin, text, strlen(text)) == 0;
}

/* Display controllers of that maker on the PCI bus. */
static size_t count_cards(const struct doctor *doctor, const struct gpu_maker *maker)
{
    static const char DISPLAY_CLASS[] = "0x03";
    glob_t found;
    size_t count = 0;

    find_files(doctor, "/sys/bus/pci/devices/*/vendor", &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        size_t folder_len = strlen(found.gl_pathv[i]) - strlen("vendor");
        AUTO_FREE char *class_path = xasprintf("%.*sclass", (int)folder_len, found.gl_pathv[i]);

        count += begins_with(found.gl_pathv[i], maker->pci_vendor) &&
                 begins_with(class_path, DISPLAY_CLASS);
    }
    globfree(&found);
    return count;
}

static bool has_module(const struct doctor *doctor, const char *module)
{
    AUTO_FREE char *folder = xasprintf("/sys/module/%s", module);
    AUTO_FREE char *line = xasprintf("\n%s ", module);
    AUTO_BUF struct buf text = BUF_INIT(MODULES_MAX_BYTES);

    if (doctor_exists(doctor, folder))
        return true;
    (void)buf_add_byte(&text, '\n'); /* so that the first line begins like the others */
    return doctor_read(doctor, "/proc/modules", &text) && strstr(text.data, line) != NULL;
}

/* Whether all is well with the nodes that PATTERN means. */
static bool check_nodes(struct doctor *doctor, const struct gpu_maker *maker, const char *pattern)
{
    glob_t found;
    bool is_well = true;

    find_files(doctor, pattern, &found);
    if (found.gl_pathc == 0) {
        doctor_say(doctor, DOCTOR_PROBLEM, maker->nodes_fix, "there is no %s", pattern);
        is_well = false;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (faccessat(AT_FDCWD, found.gl_pathv[i], R_OK | W_OK, AT_EACCESS) == 0)
            continue;
        doctor_say(doctor, DOCTOR_PROBLEM, GROUPS_FIX " # then log in again",
                   "%s may not be used by this user", found.gl_pathv[i] + strlen(doctor->root));
        is_well = false;
    }
    globfree(&found);
    return is_well;
}

/* Whether the dynamic linker would find it: its cache has the names of all files as plain text. */
static bool has_library(const struct doctor *doctor, const char *library)
{
    static const char *const PLACES[] = {"/usr/lib", "/usr/lib64", "/usr/lib/*-linux-gnu",
                                         "/usr/local/lib"};
    AUTO_BUF struct buf cache = BUF_INIT(LD_CACHE_MAX_BYTES);
    bool is_found = doctor_read(doctor, "/etc/ld.so.cache", &cache) &&
                    memmem(cache.data, cache.len, library, strlen(library)) != NULL;

    for (size_t i = 0; i < ARRAY_COUNT(PLACES) && !is_found; i++) {
        AUTO_FREE char *pattern = xasprintf("%s/%s*", PLACES[i], library);
        glob_t found;

        find_files(doctor, pattern, &found);
        is_found = found.gl_pathc > 0;
        globfree(&found);
    }
    return is_found;
}

static void check_maker(struct doctor *doctor, const struct gpu_maker *maker)
{
    size_t card_count = count_cards(doctor, maker);
    AUTO_FREE char *load = xasprintf("sudo modprobe %s", maker->module);
    bool is_well = true;

    if (card_count == 0 && !doctor_exists(doctor, maker->nodes[0])) {
        doctor_say(doctor, DOCTOR_OK, NULL, "there is no GPU of %s", maker->name);
        return;
    }
    /* In a container the node may be there and the module not to be seen. */
    if (!has_module(doctor, maker->module) && !doctor_exists(doctor, maker->nodes[0])) {
        doctor_say(doctor, DOCTOR_PROBLEM, load, "the driver of the GPU of %s, %s, is not loaded",
                   maker->name, maker->module);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(maker->nodes); i++)
        is_well &= check_nodes(doctor, maker, maker->nodes[i]);
    if (maker->library != NULL && !has_library(doctor, maker->library)) {
        doctor_say(doctor, DOCTOR_WARNING, maker->library_fix,
                   "there is no %s: no figures of this GPU", maker->library);
        is_well = false;
    }
    if (is_well)
        doctor_say(doctor, DOCTOR_OK, NULL, "%zu GPU%s of %s, and this user may use %s", card_count,
                   card_count == 1 ? "" : "s", maker->name, card_count == 1 ? "it" : "them");
}

size_t doctor_card_count(const struct doctor *doctor)
{
    return count_cards(doctor, &AMD) + count_cards(doctor, &NVIDIA);
}

bool doctor_has_gpu(const struct doctor *doctor)
{
    return doctor_card_count(doctor) > 0 || doctor_exists(doctor, AMD.nodes[0]) ||
           doctor_exists(doctor, NVIDIA.nodes[0]);
}

void doctor_gpu_amd(struct doctor *doctor)
{
    check_maker(doctor, &AMD);
}

void doctor_gpu_nvidia(struct doctor *doctor)
{
    check_maker(doctor, &NVIDIA);
}

/* Owns the choice of the file of kernels for an architecture. */
#include "hip/backend/gpu_code.h"

#include "common/attr.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/paths.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MINORS = 10,  /* of a major number in "sm_86" */
    PTX_MAX = 90, /* the highest that make kernels makes */
};

/* Who can run the code of a family: https://llvm.org/docs/AMDGPUUsage.html, "Generic processors".
 */
static const struct {
    const char *generic;
    const char *members;
} FAMILIES[] = {
    {"gfx9-generic", " gfx900 gfx902 gfx904 gfx906 gfx909 gfx90c "},
    {"gfx9-4-generic", " gfx940 gfx941 gfx942 gfx950 "},
    {"gfx10-1-generic", " gfx1010 gfx1011 gfx1012 gfx1013 "},
    {"gfx10-3-generic", " gfx1030 gfx1031 gfx1032 gfx1033 gfx1034 gfx1035 gfx1036 "},
    {"gfx11-generic", " gfx1100 gfx1101 gfx1102 gfx1103 gfx1150 gfx1151 gfx1152 gfx1153 "},
    {"gfx12-generic", " gfx1200 gfx1201 "},
};

/* ---- in one folder ---- */

static bool code_is_there(const char *folder, const char *name, const char *suffix,
                          char out[GPU_CODE_NAME_BYTES])
{
    AUTO_FREE char *path = NULL;
    char file[GPU_CODE_NAME_BYTES];

    if (snprintf(file, sizeof(file), "%s%s", name, suffix) >= (int)sizeof(file))
        return false;
    path = paths_join(folder, file);
    if (access(path, R_OK) != 0)
        return false;
    memcpy(out, file, sizeof(file));
    return true;
}

static bool code_choose_amd(const char *folder, const char *architecture,
                            char out[GPU_CODE_NAME_BYTES])
{
    AUTO_FREE char *word = xasprintf(" %s ", architecture);

    if (code_is_there(folder, architecture, ".co", out))
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(FAMILIES); i++) {
        if (strstr(FAMILIES[i].members, word) != NULL)
            return code_is_there(folder, FAMILIES[i].generic, ".co", out);
    }
    return false;
}

/* The number in "sm_90"; 0 for anything else. */
static unsigned long capability_of(const char *text, const char *suffix)
{
    char *end = NULL;
    unsigned long value = 0;

    if (strncmp(text, "sm_", strlen("sm_")) != 0)
        return 0;
    value = strtoul(text + strlen("sm_"), &end, 10);
    return strcmp(end, suffix) == 0 ? value : 0;
}

/* The highest that is not above CAPABILITY, nor below MIN; 0: there is none. */
static unsigned long highest_in(const char *folder, const char *suffix, unsigned long min,
                                unsigned long capability)
{
    unsigned long best = 0;
    const struct dirent *entry = NULL;
    DIR *dir = opendir(folder);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        unsigned long found = capability_of(entry->d_name, suffix);

        if (found > best && found >= min && found <= capability)
            best = found;
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
    return best;
}

/* Machine code runs on later cards of the same major number, PTX on all later ones. */
static bool code_choose_nvidia(const char *folder, const char *architecture,
                               char out[GPU_CODE_NAME_BYTES])
{
    unsigned long capability = capability_of(architecture, "");
    const char *suffix = ".cubin";
    unsigned long best = 0;

    if (capability == 0)
        return false;
    best = highest_in(folder, suffix, capability / MINORS * MINORS, capability);
    if (best == 0) {
        suffix = ".ptx";
        best = highest_in(folder, suffix, 0, capability);
    }
    if (best != 0)
        (void)snprintf(out, GPU_CODE_NAME_BYTES, "sm_%lu%s", best, suffix);
    return best != 0;
}

bool gpu_code_choose(const char *folder, const char *architecture, char out[GPU_CODE_NAME_BYTES])
{
    return code_choose_amd(folder, architecture, out) ||
           code_choose_nvidia(folder, architecture, out);
}

/* ---- in all of them ---- */

/* The path in FOLDER; NULL when there is none. A folder that paths_sibling_program() did not find
 * is no absolute path. */
static char *code_find_in(const char *folder, const char *architecture)
{
    char name[GPU_CODE_NAME_BYTES];

    return folder[0] == '/' && gpu_code_choose(folder, architecture, name)
               ? paths_join(folder, name)
               : NULL;
}

char *gpu_code_find(const char *architecture, struct err *err)
{
    const char *given = getenv("RBEE_KERNELS");
    /* PTX of it runs on all later cards, too. */
    const char *wanted = capability_of(architecture, "") > PTX_MAX ? "sm_90" : architecture;
    AUTO_FREE char *installed = paths_sibling_program("kernels");
    AUTO_FREE char *built = paths_sibling_program("../kernels");
    char *path = NULL;

    if (given != NULL) {
        path = code_find_in(given, architecture);
    } else {
        path = code_find_in(installed, architecture);
        if (path == NULL)
            path = code_find_in(built, architecture);
    }
    if (path == NULL)
        err_fill(
            err, ERR_DEVICE,
            "no kernels for %s are installed: in rbee's source, make kernels ARCHS=%s and make "
            "install",
            architecture, wanted);
    return path;
}

int gpu_code_read(const char *path, struct buf *buf, struct err *err)
{
    if (io_read_file(path, buf, err) < 0)
        return err_wrap(err, "kernels");
    if (buf_add_byte(buf, '\0') < 0)
        return err_set(err, ERR_DEVICE, "kernels: %s is too large", path);
    buf->len--;
    return 0;
}

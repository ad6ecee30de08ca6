/* Owns the reading of /proc/meminfo and of control groups' limits. */
#include "common/host_memory.h"

#include "common/attr.h"
#include "common/paths.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    KIB = 1024,
    LINE_BYTES = 128,        /* of meminfo and memory.stat: a name and a number */
    GROUP_LINE_BYTES = 4096, /* of /proc/self/cgroup: a path */
};

static void lower(uint64_t *value, uint64_t limit)
{
    if (limit < *value)
        *value = limit;
}

static bool read_number(const char *folder, const char *name, uint64_t *out)
{
    AUTO_FREE char *path = paths_join(folder, name);
    AUTO_FCLOSE FILE *file = fopen(path, "re");

    return file != NULL && fscanf(file, "%" SCNu64, out) == 1; /* not when it is "max" */
}

/* Pages of files that the kernel gives up before it refuses memory. */
static uint64_t cached_file_bytes(const char *folder)
{
    AUTO_FREE char *path = paths_join(folder, "memory.stat");
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    char line[LINE_BYTES];
    uint64_t bytes = 0;
    uint64_t value = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "active_file %" SCNu64, &value) == 1 ||
            sscanf(line, "inactive_file %" SCNu64, &value) == 1)
            bytes += value;
    }
    return bytes;
}

static void limit_by_folder(const char *folder, struct host_memory *memory)
{
    uint64_t max = 0;
    uint64_t used = 0;
    uint64_t cached = 0;
    uint64_t held = 0;

    if (!read_number(folder, "memory.max", &max) || !read_number(folder, "memory.current", &used))
        return;
    cached = cached_file_bytes(folder);
    held = used > cached ? used - cached : 0;
    lower(&memory->total_bytes, max);
    lower(&memory->available_bytes, max > held ? max - held : 0);
}

void host_memory_limit(const char *root, const char *group, struct host_memory *memory)
{
    AUTO_FREE char *folder = paths_join(root, group);

    /* A limit of any group above holds as well. */
    while (strlen(folder) >= strlen(root)) {
        char *slash = strrchr(folder, '/');

        limit_by_folder(folder, memory);
        if (slash == NULL)
            break;
        *slash = '\0';
    }
}

/* cgroups(7) */
static void limit_by_own_groups(struct host_memory *memory)
{
    AUTO_FCLOSE FILE *file = fopen("/proc/self/cgroup", "re");
    char line[GROUP_LINE_BYTES];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        host_memory_limit("/sys/fs/cgroup", line + 4, memory);
        return;
    }
}

static void read_system(struct host_memory *memory)
{
    AUTO_FCLOSE FILE *file = fopen("/proc/meminfo", "re");
    char line[LINE_BYTES];
    uint64_t kib = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) == 1)
            memory->total_bytes = kib * KIB;
        else if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
            memory->available_bytes = kib * KIB;
    }
}

void host_memory_read(struct host_memory *out)
{
    *out = (struct host_memory){.total_bytes = UINT64_MAX, .available_bytes = UINT64_MAX};
    read_system(out);
    limit_by_own_groups(out);
}

/* Faults of emulated devices to order: the file that the emulator looks for before each launch, for
 * a group of tests. */
#ifndef RBEE_TESTS_FAULT_FILE_H
#define RBEE_TESTS_FAULT_FILE_H

#include "common/mem.h"
#include "tests/temp_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fault_file {
    char *folder;
    char *path;
};

/* Before the emulator is loaded: what its devices are, it reads then. */
static inline int fault_file_begin(void **state, const char *devices)
{
    struct fault_file *file = xcalloc(1, sizeof(*file));

    file->folder = temp_folder_make();
    file->path = xasprintf("%s/fault", file->folder);
    *state = file;
    return setenv("RBEE_EMULATOR_FAULT_FILE", file->path, 1) +
           setenv("RBEE_EMULATOR_DEVICES", devices, 1);
}

static inline int fault_file_end(void **state)
{
    struct fault_file *file = *state;

    temp_folder_remove(file->folder);
    free(file->folder);
    free(file->path);
    free(file);
    return 0;
}

static inline void fault_file_plant(const struct fault_file *file)
{
    int fd = open(file->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

static inline void fault_file_remove(const struct fault_file *file)
{
    assert_int_equal(unlink(file->path), 0);
}

#endif

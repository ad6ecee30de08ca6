/* The kernels of one library, by name: table.c makes it of a .def file. */
#ifndef RBEE_TESTS_EMULATOR_KERNEL_TABLE_H
#define RBEE_TESTS_EMULATOR_KERNEL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct emulated_kernel {
    const char *name;
    void (*run)(const void *args);
    bool (*is_written)(void); /* or only named */
    size_t args_bytes;
};

/* NULL: no such kernel, or nobody wrote it. */
const struct emulated_kernel *kernel_find(const char *name);

/* Ends with one whose name is NULL. */
extern const struct emulated_kernel emulated_kernels[];

#endif

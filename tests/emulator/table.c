/* The table of a library's kernels: EMULATOR_KERNELS is its .def file, and EMULATOR_ARGS the header
 * of their arguments; the kernels themselves are in a translation unit of their own. */
#include "tests/emulator/kernel_table.h"

#include <stdbool.h>
#include <string.h>

#include EMULATOR_ARGS

/* Weak: a kernel that the .def names and nobody wrote is missing when it is asked for, as in a code
 * object. */
#define KERNEL(name, args_struct)                                                                  \
    void name(const struct args_struct *a) __attribute__((weak));                                  \
    static void run_##name(const void *args)                                                       \
    {                                                                                              \
        name(args);                                                                                \
    }                                                                                              \
    static bool has_##name(void)                                                                   \
    {                                                                                              \
        return name != NULL;                                                                       \
    }
#include EMULATOR_KERNELS
#undef KERNEL

#define KERNEL(name, args_struct) {#name, run_##name, has_##name, sizeof(struct args_struct)},
const struct emulated_kernel emulated_kernels[] = {
#include EMULATOR_KERNELS
    {NULL, NULL, NULL, 0}};
#undef KERNEL

const struct emulated_kernel *kernel_find(const char *name)
{
    for (const struct emulated_kernel *kernel = emulated_kernels; kernel->name != NULL; kernel++)
        if (strcmp(kernel->name, name) == 0)
            return kernel->is_written() ? kernel : NULL;
    return NULL;
}

/* The calls of a library that tests of kernels make, past HIP. */
#include "tests/emulator/emulator.h"
#include "tests/emulator/engine.h"

#include <stdlib.h>
#include <string.h>

const char *emulator_run(const char *name, const uint32_t blocks[3], uint32_t threads,
                         const void *args, size_t args_bytes)
{
    const struct emulated_kernel *kernel = kernel_find(name);
    const char *refusal = engine_refuses(blocks, threads);

    if (kernel == NULL)
        return "there is no such kernel";
    if (kernel->args_bytes != args_bytes)
        return "the kernel's arguments have another size";
    if (refusal == NULL)
        engine_run(kernel, blocks, threads, args);
    return refusal;
}

void emulator_set_order(enum emulator_order order, uint64_t seed)
{
    engine_set_order(order, seed);
}

int emulator_has_kernel(const char *name)
{
    return kernel_find(name) != NULL;
}

/* An order that nobody knows ends the process: a test would believe that it ran in it. */
static void __attribute__((constructor)) read_environment(void)
{
    static const char *const names[] = {"forward", "reverse", "random"};
    const char *order = getenv("RBEE_EMULATOR_ORDER");
    const char *seed = getenv("RBEE_EMULATOR_SEED");
    int index = EMULATOR_FORWARD;

    while (order != NULL && strcmp(order, names[index]) != 0)
        if (++index > EMULATOR_RANDOM)
            abort();
    engine_set_order((enum emulator_order)index, seed == NULL ? 0 : strtoull(seed, NULL, 10));
}

/* For unit tests of kernels: opens an emulator's library and runs kernels of it on the test's own
 * memory, without any runtime. What goes wrong fails the test.
 *
 *     struct emulator emulator = emulator_open("gpu-emulator", 64);
 *     emulate(&emulator, "norm", (const uint32_t[]){rows, 1, 1}, 256, &args, sizeof(args)); */
#ifndef RBEE_TESTS_EMULATOR_EMULATE_H
#define RBEE_TESTS_EMULATOR_EMULATE_H

#include "common/attr.h"
#include "common/mem.h"
#include "common/paths.h"
#include "tests/emulator/order.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct emulator {
    uint32_t wave;
    const char *(*run)(const char *kernel, const uint32_t blocks[3], uint32_t threads,
                       const void *args, size_t args_bytes);
    void (*set_order)(enum emulator_order order, uint64_t seed);
    int (*has_kernel)(const char *name);
    void (*set_failures)(const char *text);
};

static inline void *emulator_symbol(void *library, const char *name)
{
    void *symbol = dlsym(library, name);

    if (symbol == NULL) {
        fprintf(stderr, "emulator: %s\n", dlerror());
        abort();
    }
    return symbol;
}

/* The library lib NAME - WAVE .so beside the test program; it stays open. */
static inline void *emulator_open_library(const char *name, uint32_t wave)
{
    AUTO_FREE char *file = xasprintf("lib%s-%u.so", name, wave);
    AUTO_FREE char *path = paths_sibling_program(file);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        fprintf(stderr, "emulator: %s\n", dlerror());
        abort();
    }
    return library;
}

static inline struct emulator emulator_open(const char *name, uint32_t wave)
{
    void *library = emulator_open_library(name, wave);

    return (struct emulator){
        .wave = wave,
        .run = emulator_symbol(library, "emulator_run"),
        .set_order = emulator_symbol(library, "emulator_set_order"),
        .has_kernel = emulator_symbol(library, "emulator_has_kernel"),
        .set_failures = emulator_symbol(library, "emulator_set_failures"),
    };
}

static inline void emulate(const struct emulator *emulator, const char *kernel,
                           const uint32_t blocks[3], uint32_t threads, const void *args,
                           size_t args_bytes)
{
    const char *refusal = emulator->run(kernel, blocks, threads, args, args_bytes);

    if (refusal != NULL) {
        fprintf(stderr, "emulator: %s: %s\n", kernel, refusal);
        abort();
    }
}

#endif

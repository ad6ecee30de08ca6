/* For unit tests of kernels: opens an emulator's library and runs kernels of it on the test's own
 * memory, without any runtime. What goes wrong fails the test.
 *
 *     struct emulator emulator = emulator_open("gpu-emulator", 64);
 *     emulate(&emulator, "norm", (const uint32_t[]){rows, 1, 1}, 256, &args, sizeof(args)); */
#ifndef RBEE_TESTS_EMULATOR_EMULATE_H
#define RBEE_TESTS_EMULATOR_EMULATE_H

#include "tests/emulator/order.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct emulator {
    uint32_t wave;
    const char *(*run)(const char *kernel, const uint32_t blocks[3], uint32_t threads,
                       const void *args, size_t args_bytes);
    void (*set_order)(enum emulator_order order, uint64_t seed);
    const char *(*kernel_name)(size_t index);
    int (*has_kernel)(const char *name);
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
    char path[PATH_MAX + 64];
    char folder[PATH_MAX] = ""; /* readlink() ends nothing with a 0 */
    void *library = NULL;

    if (readlink("/proc/self/exe", folder, sizeof(folder) - 1) <= 0)
        abort();
    *strrchr(folder, '/') = '\0';
    (void)snprintf(path, sizeof(path), "%s/lib%s-%u.so", folder, name, wave);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
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
        .kernel_name = emulator_symbol(library, "emulator_kernel_name"),
        .has_kernel = emulator_symbol(library, "emulator_has_kernel"),
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

/* Runs it once in each order of turns, each time on OUT as it was; whether all gave the same OUT.
 * It is left as the last order made it, and the order is forward again. */
static inline bool emulate_orders(const struct emulator *emulator, const char *kernel,
                                  const uint32_t blocks[3], uint32_t threads, const void *args,
                                  size_t args_bytes, void *out, size_t out_bytes)
{
    uint8_t *before = malloc(out_bytes), *forward = malloc(out_bytes);
    bool is_same = true;

    if (before == NULL || forward == NULL)
        abort();
    memcpy(before, out, out_bytes);
    for (int order = EMULATOR_FORWARD; order <= EMULATOR_RANDOM; order++) {
        memcpy(out, before, out_bytes);
        emulator->set_order((enum emulator_order)order, 1);
        emulate(emulator, kernel, blocks, threads, args, args_bytes);
        if (order == EMULATOR_FORWARD)
            memcpy(forward, out, out_bytes);
        is_same = is_same && memcmp(forward, out, out_bytes) == 0;
    }
    emulator->set_order(EMULATOR_FORWARD, 0);
    free(before);
    free(forward);
    return is_same;
}

#endif

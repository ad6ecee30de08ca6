/* What the emulator's libraries export beside HIP's functions; who opens one with dlopen() finds
 * these by name. Everything here is by value and in plain types: a library may have been built with
 * another compiler than who opens it. */
#ifndef RBEE_TESTS_EMULATOR_EMULATOR_H
#define RBEE_TESTS_EMULATOR_EMULATOR_H

#include "tests/emulator/order.h"

#include <stddef.h>
#include <stdint.h>

#define EMULATOR_EXPORT __attribute__((visibility("default")))

/* Runs a kernel at once, on plain memory of this process. NULL, or what is wrong with the call. */
EMULATOR_EXPORT const char *emulator_run(const char *kernel, const uint32_t blocks[3],
                                         uint32_t threads, const void *args, size_t args_bytes);
/* From now on; RBEE_EMULATOR_ORDER and RBEE_EMULATOR_SEED say it for the start. */
EMULATOR_EXPORT void emulator_set_order(enum emulator_order order, uint64_t seed);
/* Instead of the orders before, as RBEE_EMULATOR_FAIL has them for the start; calls are counted
 * anew. */
EMULATOR_EXPORT void emulator_set_failures(const char *text);
/* Whether it is in the table, and written. */
EMULATOR_EXPORT int emulator_has_kernel(const char *name);
/* "emulator-32" or "emulator-64": gpu_library.c knows by it that the driver is no driver. */
EMULATOR_EXPORT const char *gpu_emulator_architecture(void);

#endif

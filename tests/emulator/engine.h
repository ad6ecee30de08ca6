/* Runs one kernel, block by block, each block's threads on fibers. One launch at a time in the
 * process (the caller sees to that). */
#ifndef RBEE_TESTS_EMULATOR_ENGINE_H
#define RBEE_TESTS_EMULATOR_ENGINE_H

#include "tests/emulator/kernel_table.h"
#include "tests/emulator/order.h"

#include <stdint.h>

/* NULL, or what is wrong with the shape of such a launch. */
const char *engine_refuses(const uint32_t blocks[3], uint32_t threads);
void engine_run(const struct emulated_kernel *kernel, const uint32_t blocks[3], uint32_t threads,
                const void *args);
void engine_set_order(enum emulator_order order, uint64_t seed);

#endif

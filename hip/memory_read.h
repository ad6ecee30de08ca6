/* How fast the cores of this machine read memory: what a token of a model cannot be faster than,
 * because it reads every weight. */
#ifndef RBEE_HIP_MEMORY_READ_H
#define RBEE_HIP_MEMORY_READ_H

#include "common/err.h"

#include <stdint.h>

struct memory_read;

/* Takes a quarter of a GiB until it is freed, and THREAD_COUNT threads or as many as there are
 * (pool.h). ERR_NO_MEMORY. */
struct memory_read *memory_read_new(uint32_t thread_count, struct err *err);
void memory_read_free(struct memory_read *memory);
uint32_t memory_read_thread_count(const struct memory_read *memory);
/* One reading, of some tens of milliseconds. */
double memory_read_bytes_per_second(struct memory_read *memory);

#endif

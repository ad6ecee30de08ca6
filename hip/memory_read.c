/* Owns the reading of memory for its speed alone. Knows nothing of models. */
#include "hip/memory_read.h"

#include "common/clock.h"
#include "common/mem.h"
#include "hip/backend/pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 256 * 1024 * 1024, /* far more than a core's caches */
    READ_PASSES = 4,
    CHUNK_BYTES = 1024 * 1024,
    /* Without it two cores read at two thirds of the speed; twice as far ahead is no faster. */
    AHEAD_BYTES = 1024,
    LINE_WORDS = 8, /* of 8 bytes: a cache line */
    US_A_SECOND = 1000000,
};

struct memory_read {
    struct pool *pool;
    char *bytes;          /* [READ_BYTES] */
    _Atomic uint64_t sum; /* keeps the compiler from leaving the reads out */
};

static void read_chunk(void *context, uint32_t task, uint32_t thread)
{
    struct memory_read *memory = context;
    const char *from = memory->bytes + (size_t)task * CHUNK_BYTES % READ_BYTES;
    uint64_t sums[LINE_WORDS] = {0};
    uint64_t sum = 0;

    for (size_t at = 0; at < CHUNK_BYTES; at += sizeof(sums)) {
        uint64_t line[LINE_WORDS];

        __builtin_prefetch(from + at + AHEAD_BYTES);
        memcpy(line, from + at, sizeof(line));
        for (int i = 0; i < LINE_WORDS; i++)
            sums[i] += line[i];
    }
    for (int i = 0; i < LINE_WORDS; i++)
        sum += sums[i];
    atomic_fetch_add_explicit(&memory->sum, sum, memory_order_relaxed);
}

struct memory_read *memory_read_new(uint32_t thread_count, struct err *err)
{
    char *bytes = malloc(READ_BYTES);
    struct memory_read *memory = NULL;

    if (bytes == NULL)
        return err_set_null(err, ERR_NO_MEMORY, "no memory for %d MiB to read", READ_BYTES >> 20);
    memset(bytes, 1, READ_BYTES); /* pages that were never written are all the same one */
    memory = xcalloc(1, sizeof(*memory));
    memory->bytes = bytes;
    memory->pool = pool_new(thread_count, NULL);
    return memory;
}

void memory_read_free(struct memory_read *memory)
{
    if (memory == NULL)
        return;
    pool_free(memory->pool);
    free(memory->bytes);
    free(memory);
}

uint32_t memory_read_thread_count(const struct memory_read *memory)
{
    return pool_thread_count(memory->pool);
}

double memory_read_bytes_per_second(struct memory_read *memory)
{
    const uint64_t total_bytes = (uint64_t)READ_PASSES * READ_BYTES;
    struct pool_job job = {.task = read_chunk,
                           .context = memory,
                           .task_count = READ_PASSES * (READ_BYTES / CHUNK_BYTES)};
    uint64_t start_us = clock_monotonic_us();
    uint64_t took_us = 0;

    pool_run(memory->pool, &job);
    took_us = clock_monotonic_us() - start_us;
    return (double)total_bytes * US_A_SECOND / (double)(took_us > 0 ? took_us : 1);
}

/* How often a download is tried again, and when. Pure, but for the
 * waiting itself. */
#ifndef RBEE_FETCH_RETRY_H
#define RBEE_FETCH_RETRY_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    RETRY_WAIT_MAX_MS = 60000, /* between two tries, unless the server asks for more */
    /* A server that asks for more than this is not waited for: the caller is told when. */
    RETRY_AFTER_MAX_MS = 120000,
    RETRY_TOTAL_MAX =
        1000, /* tries of one file, each with some progress: then something is wrong */
};

struct retry {
    int64_t base_ms;
    int64_t count_max; /* in a row, without a new byte */
    int64_t count;
    int64_t total;
};

/* Another failure. HAS_PROGRESS: new bytes came before it. Returns the milliseconds to wait, or -1:
 * no more. AFTER_MS is what the server has asked for, 0: nothing; RANDOM are 32 random bits. */
int64_t retry_next_ms(struct retry *retry, bool has_progress, int64_t after_ms, uint32_t random);

/* After FAILURE, which is ERR_DOWNLOAD: says so, waits, and clears it. False: no more. */
bool retry_wait(struct retry *retry, bool has_progress, struct err *failure);

#endif

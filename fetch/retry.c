/* Owns the back-off of downloads. Must not know why one failed. */
#include "fetch/retry.h"

#include "common/token.h"
#include "fetch/tell.h"

#include <poll.h>

/* Half of the wait is left to chance, so that many who were cut off together do not come back
 * together. */
static int64_t retry_jitter_ms(int64_t wait_ms, uint32_t random)
{
    return wait_ms / 2 + (int64_t)((uint64_t)(wait_ms - wait_ms / 2) * random >> 32);
}

int64_t retry_next_ms(struct retry *retry, bool has_progress, int64_t after_ms, uint32_t random)
{
    int64_t wait_ms = retry->base_ms;

    if (has_progress)
        retry->count = 0;
    if (retry->count >= retry->count_max || ++retry->total > RETRY_TOTAL_MAX ||
        after_ms > RETRY_AFTER_MAX_MS)
        return -1;
    for (int64_t i = 0; i < retry->count && wait_ms < RETRY_WAIT_MAX_MS; i++)
        wait_ms *= 2;
    retry->count++;
    wait_ms = retry_jitter_ms(wait_ms < RETRY_WAIT_MAX_MS ? wait_ms : RETRY_WAIT_MAX_MS, random);
    return after_ms > wait_ms ? after_ms : wait_ms;
}

bool retry_wait(struct retry *retry, bool has_progress, struct err *failure)
{
    int64_t wait_ms = 0;

    if (failure->kind != ERR_DOWNLOAD)
        return false;
    wait_ms = retry_next_ms(retry, has_progress, (int64_t)failure->retry_after_ms, token_random());
    if (wait_ms < 0)
        return false;
    tell_note("%s; trying again in %lld ms", failure->message, (long long)wait_ms);
    err_clear(failure);
    (void)poll(NULL, 0, (int)wait_ms); /* a signal makes it shorter */
    return true;
}

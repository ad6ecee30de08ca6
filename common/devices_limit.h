/* How long `rbee-worker --devices` may take before it counts as hung: for whoever asks it. */
#ifndef RBEE_COMMON_DEVICES_LIMIT_H
#define RBEE_COMMON_DEVICES_LIMIT_H

#include <stddef.h>

enum {
    DEVICES_LIMIT_SECONDS = 30,
    DEVICES_LIMIT_CARD_SECONDS = 10, /* a server's drivers take several for each card */
};

/* Where that many cards are known. */
static inline unsigned devices_limit_seconds(size_t card_count)
{
    return DEVICES_LIMIT_SECONDS + DEVICES_LIMIT_CARD_SECONDS * (unsigned)card_count;
}

#endif

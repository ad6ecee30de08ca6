/* Owns the decision whether a model has room. Knows no worker, no device and no clock. */
#include "supervisor/room.h"

/* What a worker says that it holds is its own word: a sum of such numbers may not overflow. */
static int64_t room_add(int64_t a, int64_t b)
{
    int64_t sum = 0;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t room_held_as(const struct room *room, enum room_hold hold)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < room->holder_count; i++) {
        if (room->holders[i].hold == hold)
            bytes = room_add(bytes, room->holders[i].bytes);
    }
    return bytes;
}

static int64_t room_held(const struct room *room)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < room->holder_count; i++)
        bytes = room_add(bytes, room->holders[i].bytes);
    return bytes;
}

static int64_t room_left(const struct room *room, int64_t back_bytes, enum room_limits limits)
{
    int64_t by_budget = ROOM_UNLIMITED;
    int64_t by_measure = ROOM_UNLIMITED;

    if (limits != ROOM_BY_MEASURE && room->budget_bytes != ROOM_UNLIMITED)
        by_budget = room_add(room->budget_bytes - room_held(room), back_bytes);
    if (limits != ROOM_BY_BUDGET)
        by_measure = room_add(room->available_bytes, back_bytes);
    if (by_measure < by_budget)
        by_budget = by_measure;
    return by_budget > 0 ? by_budget : 0;
}

int64_t room_bytes_without(const struct room *room, unsigned holds, enum room_limits limits)
{
    int64_t back_bytes = 0;

    for (size_t i = 0; i < room->holder_count; i++) {
        const struct room_holder *holder = &room->holders[i];

        if (holder->is_evicted || (holds >> holder->hold & 1) != 0)
            back_bytes = room_add(back_bytes, holder->bytes);
    }
    return room_left(room, back_bytes, limits);
}

int64_t room_free_bytes(const struct room *room)
{
    return room_left(room, 0, ROOM_BY_BOTH);
}

/* How much is missing; not positive: it fits. */
static int64_t room_lack(const struct room *room)
{
    int64_t by_budget = room_add(room->need_bytes, room_held(room)) - room->budget_bytes;
    int64_t by_measure = room->need_bytes - room->available_bytes;

    if (room->budget_bytes == ROOM_UNLIMITED || by_measure > by_budget)
        return by_measure;
    return by_budget;
}

static struct room_holder *room_longest_idle(const struct room *room)
{
    struct room_holder *longest = NULL;

    for (size_t i = 0; i < room->holder_count; i++) {
        struct room_holder *holder = &room->holders[i];

        if (holder->hold == ROOM_IDLE && !holder->is_evicted &&
            (longest == NULL || holder->idle_since_ms < longest->idle_since_ms))
            longest = holder;
    }
    return longest;
}

static struct room_holder *room_superfluous(const struct room *room, int64_t surplus_bytes)
{
    struct room_holder *shortest = NULL;

    for (size_t i = 0; i < room->holder_count; i++) {
        struct room_holder *holder = &room->holders[i];

        if (holder->is_evicted && holder->bytes <= surplus_bytes &&
            (shortest == NULL || holder->idle_since_ms > shortest->idle_since_ms))
            shortest = holder;
    }
    return shortest;
}

/* The longest idle first until there is enough; then who is not needed after all stays, the one
 * that was used last before the others. All idle ones together are enough. */
static void room_choose(struct room *room, int64_t lack_bytes)
{
    int64_t freed_bytes = 0;
    struct room_holder *holder = NULL;

    while (freed_bytes < lack_bytes && (holder = room_longest_idle(room)) != NULL) {
        holder->is_evicted = true;
        freed_bytes = room_add(freed_bytes, holder->bytes);
    }
    while ((holder = room_superfluous(room, freed_bytes - lack_bytes)) != NULL) {
        holder->is_evicted = false;
        freed_bytes -= holder->bytes;
    }
}

enum room_verdict room_judge(struct room *room)
{
    int64_t lack_bytes = room_lack(room);

    for (size_t i = 0; i < room->holder_count; i++)
        room->holders[i].is_evicted = false;
    if (lack_bytes <= 0)
        return ROOM_GO;
    lack_bytes -= room_held_as(room, ROOM_LEAVING);
    if (lack_bytes <= 0)
        return ROOM_WAIT_LEAVING;
    /* Before more are evicted for it, or it is given up: the memory of those that were. */
    if (room->returning != ROOM_NOTHING_EVICTED && room->need_bytes > room->available_bytes)
        return room->returning == ROOM_RETURNING ? ROOM_WAIT_RETURN : ROOM_NONE;
    if (lack_bytes <= room_held_as(room, ROOM_IDLE)) {
        room_choose(room, lack_bytes);
        return ROOM_EVICT;
    }
    lack_bytes -= room_held_as(room, ROOM_IDLE);
    return lack_bytes <= room_held_as(room, ROOM_BUSY) ? ROOM_WAIT_BUSY : ROOM_NONE;
}

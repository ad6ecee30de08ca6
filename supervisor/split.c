/* Owns the division of a model over two devices. Knows no worker, no device and no clock. */
#include "supervisor/split.h"

#include <string.h>

/* ---- the parts ---- */

/* What a worker says of a model is its own word: a sum of such numbers may not overflow. */
static int64_t split_add(int64_t a, int64_t b)
{
    int64_t sum = 0;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void split_at(const struct split_need *need, int64_t first_layer_count,
                     int64_t out_bytes[SPLIT_PARTS])
{
    int64_t count = need->layer_count;
    int64_t first_bytes = need->layers_bytes / count * first_layer_count +
                          need->layers_bytes % count * first_layer_count / count;

    out_bytes[0] = split_add(need->part_bytes[0], first_bytes);
    out_bytes[1] = split_add(need->part_bytes[1], need->layers_bytes - first_bytes);
}

/* Of what is free, where it is the larger one; more than 1: it does not fit. */
static double split_share(const int64_t bytes[SPLIT_PARTS], const int64_t free_bytes[SPLIT_PARTS])
{
    static const double NO_ROOM = 1e300; /* more than any share there can be */
    double largest = 0;

    for (int i = 0; i < SPLIT_PARTS; i++) {
        double share = free_bytes[i] <= 0 ? NO_ROOM : (double)bytes[i] / (double)free_bytes[i];

        largest = share > largest ? share : largest;
    }
    return largest;
}

bool split_plan(const struct split_need *need, const int64_t free_bytes[SPLIT_PARTS],
                int64_t out_bytes[SPLIT_PARTS])
{
    double smallest = 0;
    int64_t best = 0;

    for (int64_t count = 1; count < need->layer_count; count++) {
        int64_t bytes[SPLIT_PARTS];
        double share = 0;

        split_at(need, count, bytes);
        share = split_share(bytes, free_bytes);
        if (best == 0 || share <= smallest) {
            best = count;
            smallest = share;
        }
    }
    if (best != 0) {
        split_at(need, best, out_bytes);
        return out_bytes[0] <= free_bytes[0] && out_bytes[1] <= free_bytes[1];
    }
    for (int i = 0; i < SPLIT_PARTS; i++)
        out_bytes[i] = split_add(need->part_bytes[i], need->layers_bytes / SPLIT_PARTS);
    return false;
}

/* ---- the rooms ---- */

enum {
    NOBODY = 0,
    LEAVING = 1u << ROOM_LEAVING,
    IDLE = LEAVING | 1u << ROOM_IDLE,
    BUSY = IDLE | 1u << ROOM_BUSY,
};

/* With those out of the way that HOLDS says, and those that are marked: then the rooms need that.
 */
static bool split_fits(const struct split_need *need, struct room rooms[SPLIT_PARTS],
                       unsigned holds, enum room_limits limits)
{
    int64_t free_bytes[SPLIT_PARTS];
    int64_t bytes[SPLIT_PARTS];
    bool fits = false;

    for (int i = 0; i < SPLIT_PARTS; i++)
        free_bytes[i] = room_bytes_without(&rooms[i], holds, limits);
    fits = split_plan(need, free_bytes, bytes);
    for (int i = 0; i < SPLIT_PARTS; i++)
        rooms[i].need_bytes = bytes[i];
    return fits;
}

/* ---- who goes ---- */

static void split_mark(struct room rooms[SPLIT_PARTS], const char *name, bool is_evicted)
{
    for (int part = 0; part < SPLIT_PARTS; part++) {
        for (size_t i = 0; i < rooms[part].holder_count; i++) {
            struct room_holder *holder = &rooms[part].holders[i];

            if (strcmp(holder->name, name) == 0)
                holder->is_evicted = is_evicted;
        }
    }
}

/* Of the idle ones that are not marked the one that has been so for longest. */
static const struct room_holder *split_longest_idle(const struct room rooms[SPLIT_PARTS])
{
    const struct room_holder *longest = NULL;

    for (int part = 0; part < SPLIT_PARTS; part++) {
        for (size_t i = 0; i < rooms[part].holder_count; i++) {
            const struct room_holder *holder = &rooms[part].holders[i];

            if (holder->hold == ROOM_IDLE && !holder->is_evicted &&
                (longest == NULL || holder->idle_since_ms < longest->idle_since_ms))
                longest = holder;
        }
    }
    return longest;
}

/* Of those of the same time one is the later, too: each has its turn. */
static bool split_is_later(const struct room_holder *a, const struct room_holder *b)
{
    if (a->idle_since_ms != b->idle_since_ms)
        return a->idle_since_ms > b->idle_since_ms;
    return strcmp(a->name, b->name) > 0;
}

/* Of the marked ones the one that was used last, but before LIMIT; NULL: of all. */
static const struct room_holder *split_last_used(const struct room rooms[SPLIT_PARTS],
                                                 const struct room_holder *limit)
{
    const struct room_holder *last = NULL;

    for (int part = 0; part < SPLIT_PARTS; part++) {
        for (size_t i = 0; i < rooms[part].holder_count; i++) {
            const struct room_holder *holder = &rooms[part].holders[i];

            if (holder->is_evicted && (limit == NULL || split_is_later(limit, holder)) &&
                (last == NULL || split_is_later(holder, last)))
                last = holder;
        }
    }
    return last;
}

/* As room_choose(): the longest idle first until there is enough, then who is not needed after all
 * stays. All idle ones together are enough. */
static void split_choose(const struct split_need *need, struct room rooms[SPLIT_PARTS])
{
    const struct room_holder *holder = NULL;

    while (!split_fits(need, rooms, LEAVING, ROOM_BY_BOTH) &&
           (holder = split_longest_idle(rooms)) != NULL)
        split_mark(rooms, holder->name, true);
    for (holder = NULL; (holder = split_last_used(rooms, holder)) != NULL;) {
        split_mark(rooms, holder->name, false);
        if (!split_fits(need, rooms, LEAVING, ROOM_BY_BOTH))
            split_mark(rooms, holder->name, true);
    }
    (void)split_fits(need, rooms, LEAVING, ROOM_BY_BOTH); /* for what each needs then */
}

static void split_unmark(struct room rooms[SPLIT_PARTS])
{
    for (int part = 0; part < SPLIT_PARTS; part++) {
        for (size_t i = 0; i < rooms[part].holder_count; i++)
            rooms[part].holders[i].is_evicted = false;
    }
}

/* Memory of those that were evicted, or have ended, may still come back; overdue on one of them: it
 * does not. */
static enum room_return split_return(const struct room rooms[SPLIT_PARTS])
{
    return rooms[0].returning > rooms[1].returning ? rooms[0].returning : rooms[1].returning;
}

enum room_verdict split_judge(const struct split_need *need, struct room rooms[SPLIT_PARTS])
{
    enum room_return returning = split_return(rooms);

    split_unmark(rooms);
    if (split_fits(need, rooms, NOBODY, ROOM_BY_BOTH))
        return ROOM_GO;
    if (split_fits(need, rooms, LEAVING, ROOM_BY_BOTH))
        return ROOM_WAIT_LEAVING;
    if (returning != ROOM_NOTHING_EVICTED && !split_fits(need, rooms, NOBODY, ROOM_BY_MEASURE))
        return returning == ROOM_RETURNING ? ROOM_WAIT_RETURN : ROOM_NONE;
    if (split_fits(need, rooms, IDLE, ROOM_BY_BOTH)) {
        split_choose(need, rooms);
        return ROOM_EVICT;
    }
    return split_fits(need, rooms, BUSY, ROOM_BY_BOTH) ? ROOM_WAIT_BUSY : ROOM_NONE;
}

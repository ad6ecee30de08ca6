/* Owns the order among places. Knows no worker and no device. */
#include "supervisor/choice.h"

/* The better ones have smaller numbers; of each pair the first is of one device. */
enum choice_rank {
    CHOICE_FITS = 0,
    CHOICE_EVICTS = 2,
    CHOICE_WAITS = 4,
    CHOICE_HAS_NO_ROOM = 6,
    CHOICE_TAKES_NONE = 8,
    CHOICE_IS_NONE = 10,
};

static enum choice_rank choice_rank_of_room(enum room_verdict verdict)
{
    switch (verdict) {
    case ROOM_GO:
        return CHOICE_FITS;
    case ROOM_EVICT:
        return CHOICE_EVICTS;
    case ROOM_WAIT_LEAVING:
    case ROOM_WAIT_RETURN:
    case ROOM_WAIT_BUSY:
        return CHOICE_WAITS;
    case ROOM_NONE:
        break;
    }
    return CHOICE_HAS_NO_ROOM;
}

static int choice_rank(const struct choice *choice)
{
    if (choice->device_count == 0)
        return CHOICE_IS_NONE;
    if (!choice->takes_starts)
        return CHOICE_TAKES_NONE;
    return (int)choice_rank_of_room(choice->verdict) + (choice->device_count > 1);
}

bool choice_is_better(const struct choice *a, const struct choice *b)
{
    int rank_a = choice_rank(a);
    int rank_b = choice_rank(b);

    return rank_a < rank_b || (rank_a == rank_b && a->free_bytes > b->free_bytes);
}

bool choice_may_be_two(const struct choice *one)
{
    return choice_rank(one) > CHOICE_FITS;
}

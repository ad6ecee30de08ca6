/* Whether a device has room for one more model, and who makes it: pure, no I/O. worker_room.c reads
 * the numbers and carries the verdict out.
 *
 * Two limits hold at the same time: what all processes there may hold together, and what the device
 * says is free just now. The second may lag behind the end of a process: what was evicted has not
 * given its memory back before it is seen to be free.
 *
 * Who holds memory is in one of four ways there, and only an idle one is ever evicted. */
#ifndef RBEE_SUPERVISOR_ROOM_H
#define RBEE_SUPERVISOR_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A limit that is none, or a measure that is not known. */
#define ROOM_UNLIMITED INT64_MAX

enum room_hold {
    ROOM_IDLE,    /* evicted when its room is needed */
    ROOM_BUSY,    /* loads, works, or comes first: idle later */
    ROOM_KEPT,    /* pinned or wanted up: stays */
    ROOM_LEAVING, /* is being stopped */
    ROOM_HOLD_COUNT,
};

struct room_holder {
    const char *name;
    const char *why; /* how it holds, for people */
    enum room_hold hold;
    int64_t bytes;
    int64_t idle_since_ms; /* of ROOM_IDLE */
    bool is_evicted;       /* room_judge()'s, with ROOM_EVICT */
};

enum room_return {
    ROOM_NOTHING_EVICTED, /* for this need */
    ROOM_RETURNING,       /* something was, or has ended: its memory may still come back */
    ROOM_RETURN_OVERDUE,
};

struct room {
    int64_t need_bytes;
    int64_t budget_bytes;    /* of all holders together */
    int64_t available_bytes; /* measured */
    enum room_return returning;
    struct room_holder *holders;
    size_t holder_count;
};

enum room_limits { ROOM_BY_BOTH, ROOM_BY_BUDGET, ROOM_BY_MEASURE };

enum room_verdict {
    ROOM_GO,
    ROOM_EVICT,        /* those that are marked, and then wait for them */
    ROOM_WAIT_LEAVING, /* who is being stopped makes enough room */
    ROOM_WAIT_RETURN,  /* who was evicted is gone, its memory is not back yet */
    ROOM_WAIT_BUSY,    /* with those that are busy now out of the way there would be enough */
    ROOM_NONE,
};

enum room_verdict room_judge(struct room *room);
/* What could be taken now without stopping anybody; never negative. */
int64_t room_free_bytes(const struct room *room);
/* The same with those out of the way that hold as one of HOLDS (1 << enum room_hold) says, and
 * those that are marked. */
int64_t room_bytes_without(const struct room *room, unsigned holds, enum room_limits limits);

#endif

/* What keeps strangers from filling the audit trail: of what one peer does against the rules within
 * a minute, the first few get rows of their own, and the rest becomes one row with a count. Pure:
 * time comes in as monotonic milliseconds. */
#ifndef RBEE_SUPERVISOR_AUDIT_STRANGERS_H
#define RBEE_SUPERVISOR_AUDIT_STRANGERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STRANGERS_ROW_COUNT = 10, /* rows of their own in one window */
    STRANGERS_WINDOW_MS = 60 * 1000,
    /* Peers that are told apart; all further ones share a place. */
    STRANGERS_PEER_MAX_COUNT = 256,
    STRANGERS_PEER_BYTES = 64,
};

/* What one peer did of one kind since its window began. */
struct stranger {
    bool is_there;
    int kind;
    char peer[STRANGERS_PEER_BYTES];
    int64_t since_ms;
    uint64_t count; /* rows of their own among them */
};

/* Empty when all of it is zero. The last place is everybody's who finds no other. */
struct audit_strangers {
    struct stranger peers[STRANGERS_PEER_MAX_COUNT + 1];
};

/* PEER has done it once more. Whether that gets a row of its own. Whose window is over must have
 * been taken before. */
bool audit_strangers_admit(struct audit_strangers *strangers, int kind, const char *peer,
                           int64_t now_ms);
/* Takes out one whose window is over, or with IS_END any, and says what was only counted; false
 * when there is none. */
bool audit_strangers_take(struct audit_strangers *strangers, int64_t now_ms, bool is_end,
                          struct stranger *out, uint64_t *out_count);

#endif

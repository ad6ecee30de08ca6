/* Owns how much of the audit trail a stranger gets. Knows no row. */
#include "supervisor/audit_strangers.h"

#include <stdio.h>
#include <string.h>

static const char OTHERS[] = "others";

static struct stranger *strangers_find(struct audit_strangers *strangers, int kind,
                                       const char *peer)
{
    struct stranger *others = &strangers->peers[STRANGERS_PEER_MAX_COUNT];
    struct stranger *free_place = NULL;

    for (int i = 0; i < STRANGERS_PEER_MAX_COUNT; i++) {
        struct stranger *place = &strangers->peers[i];

        if (place->is_there && place->kind == kind && strcmp(place->peer, peer) == 0)
            return place;
        if (!place->is_there && free_place == NULL)
            free_place = place;
    }
    if (free_place != NULL) {
        (void)snprintf(free_place->peer, sizeof(free_place->peer), "%s", peer); /* an address */
        free_place->kind = kind;
        return free_place;
    }
    if (!others->is_there) {
        memcpy(others->peer, OTHERS, sizeof(OTHERS));
        others->kind = kind;
    }
    return others;
}

bool audit_strangers_admit(struct audit_strangers *strangers, int kind, const char *peer,
                           int64_t now_ms)
{
    struct stranger *place = strangers_find(strangers, kind, peer);

    if (!place->is_there)
        place->since_ms = now_ms;
    place->is_there = true;
    return ++place->count <= STRANGERS_ROW_COUNT;
}

bool audit_strangers_take(struct audit_strangers *strangers, int64_t now_ms, bool is_end,
                          struct stranger *out, uint64_t *out_count)
{
    for (int i = 0; i <= STRANGERS_PEER_MAX_COUNT; i++) {
        struct stranger *place = &strangers->peers[i];
        uint64_t count = place->count;

        if (!place->is_there || (!is_end && now_ms - place->since_ms < STRANGERS_WINDOW_MS))
            continue;
        *out = *place;
        *place = (struct stranger){.is_there = false};
        if (count <= STRANGERS_ROW_COUNT)
            continue; /* all of them have their rows */
        *out_count = count - STRANGERS_ROW_COUNT;
        return true;
    }
    return false;
}

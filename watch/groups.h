/* The process groups that rbee-watch answers for.
 *
 * A group's leader is held from the moment it is added (a pidfd), so neither its pid nor the
 * group's id, which stays taken while the group has members, can become another's under us. Where
 * that fails (the leader was gone already, too many are held, the kernel is older than 6.9) single
 * processes are ended: those that are in a group of that id and carry its instance. */
#ifndef RBEE_WATCH_GROUPS_H
#define RBEE_WATCH_GROUPS_H

#include "common/err.h"
#include "common/watch_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct groups_entry {
    struct watch_record added;
    int leader; /* pidfd; -1: not held */
};

struct groups {
    struct groups_entry *entries;
    size_t count;
    size_t held_count;
};

/* For a struct that is all zero; ADDED has been checked. ERR_BUSY: more than
 * WATCH_GROUP_MAX_COUNT. */
int groups_add(struct groups *groups, const struct watch_record *added, struct err *err);
/* One that is not there is no failure. */
void groups_remove(struct groups *groups, const char *instance);
/* Kills what is left of all of them and waits until it is gone. False: not all was within
 * LIMIT_MS. */
bool groups_end(struct groups *groups, uint64_t limit_ms);
/* Forgets them and touches none. */
void groups_release(struct groups *groups);
#define AUTO_GROUPS __attribute__((cleanup(groups_release)))

#endif

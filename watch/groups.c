/* Owns which groups are watched, and their end. Knows nothing of the pipe. */
#include "watch/groups.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum {
    /* Of the 1024 descriptors that a process usually may have; reading /proc needs some as well. */
    GROUPS_HELD_MAX_COUNT = 512,
};

/* By what it carries; one whose program is just being loaded carries nothing yet, and nobody else
 * has its pid with its start time. */
static bool groups_is_leader(const struct watch_record *added)
{
    return process_start_ticks(added->pid) == added->start_ticks &&
           (process_shows_nothing(added->pid) || /* first: a moment later it may */
            process_has_argument(added->pid, added->instance) ||
            process_has_instance(added->pid, added->instance));
}

/* Holds the leader if it is what was added: -1 when it is not, or not any more. */
static int groups_hold(const struct watch_record *added)
{
    AUTO_CLOSE int pidfd = pidfd_open(added->pid, 0);

    return pidfd >= 0 && groups_is_leader(added) ? take_fd(&pidfd) : -1;
}

int groups_add(struct groups *groups, const struct watch_record *added, struct err *err)
{
    struct groups_entry *entry = NULL;

    groups_remove(groups, added->instance);
    if (groups->count == WATCH_GROUP_MAX_COUNT)
        return err_set(err, ERR_BUSY, "more than %d groups", WATCH_GROUP_MAX_COUNT);
    groups->entries = xgrow(groups->entries, groups->count, sizeof(*groups->entries));
    entry = &groups->entries[groups->count++];
    *entry = (struct groups_entry){.added = *added, .leader = -1};
    if (groups->held_count < GROUPS_HELD_MAX_COUNT)
        entry->leader = groups_hold(added);
    if (entry->leader >= 0)
        groups->held_count++;
    return 0;
}

static void groups_let_go(struct groups *groups, struct groups_entry *entry)
{
    if (entry->leader < 0)
        return;
    (void)close(entry->leader); /* touches no process */
    entry->leader = -1;
    groups->held_count--;
}

void groups_remove(struct groups *groups, const char *instance)
{
    for (size_t i = 0; i < groups->count; i++) {
        struct groups_entry *entry = &groups->entries[i];

        if (strcmp(entry->added.instance, instance) != 0)
            continue;
        groups_let_go(groups, entry);
        *entry = groups->entries[--groups->count];
        return;
    }
}

/* The group, also when its leader is gone; and the leader, should it have left its group. */
static void groups_kill(const struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        int leader = groups->entries[i].leader;

        if (leader < 0)
            continue;
        /* Each fails when there is nobody, and the first on older kernels: see groups_is_member. */
        (void)pidfd_send_signal(leader, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP);
        (void)pidfd_send_signal(leader, SIGKILL, NULL, 0);
    }
}

static bool groups_is_member(void *owner, pid_t pid)
{
    const struct groups *groups = owner;
    struct process_facts facts;

    if (process_look(pid, &facts) != 0)
        return false;
    for (size_t i = 0; i < groups->count; i++) {
        const struct watch_record *added = &groups->entries[i].added;

        if (facts.group_id == added->pid && (process_has_instance(pid, added->instance) ||
                                             process_has_argument(pid, added->instance)))
            return true;
    }
    return false;
}

bool groups_end(struct groups *groups, uint64_t limit_ms)
{
    uint64_t ends_ms = clock_monotonic_ms() + limit_ms;
    bool all_gone = true;

    if (groups->count == 0)
        return true;
    groups_kill(groups);
    all_gone = process_end_all(groups_is_member, groups, limit_ms);
    for (size_t i = 0; i < groups->count; i++) {
        if (groups->entries[i].leader >= 0)
            all_gone = process_await(groups->entries[i].leader, ends_ms) && all_gone;
    }
    return all_gone;
}

void groups_release(struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        groups_let_go(groups, &groups->entries[i]);
    free(groups->entries);
    *groups = (struct groups){0};
}

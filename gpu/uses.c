/* Owns the walk through /proc and the sum of what is found there. */
#include "gpu/uses.h"

#include "common/attr.h"
#include "common/mem.h"
#include "gpu/fdinfo.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FDINFO_BYTES = 4096,
    CLIENT_MAX_COUNT = 4096, /* openings of cards, over all processes */
    PID_MAX_COUNT = 1 << 16,
    STAT_BYTES = 1024,
    PATH_NAME_BYTES = 48,
};

/* One opening of a card: descriptors that were copied, or handed to another process, are the same
 * memory. */
struct client {
    size_t card;
    uint64_t id;
};

struct walk {
    const char *root;
    const struct card_list *cards;
    const bool *is_wanted;
    struct card_uses *uses;
    struct client *clients;
    size_t client_count;
};

static bool walk_is_new(struct walk *walk, size_t card, uint64_t id)
{
    for (size_t i = 0; i < walk->client_count; i++) {
        if (walk->clients[i].card == card && walk->clients[i].id == id)
            return false;
    }
    if (walk->client_count == CLIENT_MAX_COUNT)
        return false;
    walk->clients = xgrow(walk->clients, walk->client_count, sizeof(*walk->clients));
    walk->clients[walk->client_count++] = (struct client){.card = card, .id = id};
    return true;
}

/* A process that has opened a card and holds nothing of it is no user of it. */
static void uses_add(struct card_uses *uses, pid_t pid, int64_t bytes)
{
    struct card_use *last = uses->count == 0 ? NULL : &uses->list[uses->count - 1];

    if (bytes <= 0)
        return;
    if (last != NULL && last->pid == pid)
        last->memory_bytes += bytes;
    else if (uses->count < CARD_USE_MAX_COUNT)
        uses->list[uses->count++] = (struct card_use){.pid = pid, .memory_bytes = bytes};
}

static void walk_take(struct walk *walk, pid_t pid, const struct fdinfo *info)
{
    for (size_t i = 0; i < walk->cards->count; i++) {
        const struct card *card = &walk->cards->cards[i];

        if (!walk->is_wanted[i] || strcmp(card->pci, info->pdev) != 0 ||
            strcmp(card->vendor->driver, info->driver) != 0)
            continue;
        if (!info->has_client_id || walk_is_new(walk, i, info->client_id))
            uses_add(&walk->uses[i], pid, info->memory_bytes);
        return;
    }
}

/* Most descriptors are no card's: a look at the link is cheaper than to read what is told. */
static bool fd_is_of_card(int folder_fd, const char *number)
{
    static const char CARDS[] = "/dev/dri/";
    char target[sizeof(CARDS)];
    ssize_t len = readlinkat(folder_fd, number, target, strlen(CARDS));

    return len == (ssize_t)strlen(CARDS) && memcmp(target, CARDS, strlen(CARDS)) == 0;
}

static bool proc_path(char out[SYSFS_PATH_BYTES], const char *root, pid_t pid, const char *name)
{
    char rest[PATH_NAME_BYTES];

    (void)snprintf(rest, sizeof(rest), "proc/%d/%s", (int)pid, name);
    return sysfs_path(out, root, rest);
}

/* Whether it has a card open. */
static bool walk_process(struct walk *walk, pid_t pid)
{
    char fds[SYSFS_PATH_BYTES];
    char infos[SYSFS_PATH_BYTES];
    DIR *dir = NULL;
    const struct dirent *entry = NULL;
    bool has_card = false;

    if (!proc_path(fds, walk->root, pid, "fd") || !proc_path(infos, walk->root, pid, "fdinfo"))
        return false;
    dir = opendir(fds); /* another's, or gone: NULL */
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char text[FDINFO_BYTES];
        struct fdinfo info;

        if (!fd_is_of_card(dirfd(dir), entry->d_name))
            continue;
        has_card = true;
        if (sysfs_read(infos, entry->d_name, text, sizeof(text)) && fdinfo_parse(text, &info))
            walk_take(walk, pid, &info);
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
    return has_card;
}

static int pid_compare(const void *a, const void *b)
{
    pid_t left = *(const pid_t *)a;
    pid_t right = *(const pid_t *)b;

    return (left > right) - (left < right);
}

/* In the order of their numbers: what a parent has opened and its children share is the parent's.
 * The caller frees them. */
static pid_t *list_pids(const char *root, size_t *out_count)
{
    char folder[SYSFS_PATH_BYTES];
    DIR *dir = sysfs_path(folder, root, "proc") ? opendir(folder) : NULL;
    const struct dirent *entry = NULL;
    pid_t *pids = NULL;
    size_t count = 0;

    while (dir != NULL && count < PID_MAX_COUNT && (entry = readdir(dir)) != NULL) {
        double pid = 0;

        if (!sysfs_parse_number(entry->d_name, &pid) || pid < 1 || pid > INT_MAX)
            continue;
        pids = xgrow(pids, count, sizeof(*pids));
        pids[count++] = (pid_t)pid;
    }
    if (dir != NULL)
        (void)closedir(dir); /* it was only read */
    if (count > 0)
        qsort(pids, count, sizeof(*pids), pid_compare);
    *out_count = count;
    return pids;
}

void uses_find(const char *root, struct uses_pids *out)
{
    free(out->pids);
    out->pids = list_pids(root, &out->count);
    out->is_known = out->count > 0;
}

void uses_read(const char *root, struct uses_pids *pids, const struct card_list *cards,
               const bool *is_wanted, struct card_uses *uses)
{
    struct walk walk = {.root = root, .cards = cards, .is_wanted = is_wanted, .uses = uses};
    size_t kept = 0;

    for (size_t i = 0; i < cards->count; i++) {
        if (is_wanted[i])
            uses[i] = (struct card_uses){.is_known = pids->is_known};
    }
    for (size_t i = 0; i < pids->count; i++) {
        if (walk_process(&walk, pids->pids[i]))
            pids->pids[kept++] = pids->pids[i];
    }
    pids->count = kept;
    free(walk.clients);
}

/* proc(5): "pid (name) state parent group"; the name may have anything in it. */
pid_t uses_group_of(const char *root, pid_t pid)
{
    char path[SYSFS_PATH_BYTES];
    char text[STAT_BYTES];
    const char *rest = NULL;
    int group = -1;

    if (!proc_path(path, root, pid, "") || !sysfs_read(path, "stat", text, sizeof(text)))
        return -1;
    rest = strrchr(text, ')');
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %d", &group) != 1)
        return -1;
    return group;
}

void uses_command_of(const char *root, pid_t pid, char out[USES_COMMAND_BYTES])
{
    char path[SYSFS_PATH_BYTES];

    if (!proc_path(path, root, pid, "") || !sysfs_read(path, "comm", out, USES_COMMAND_BYTES))
        out[0] = '\0';
}

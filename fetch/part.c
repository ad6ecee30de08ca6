/* Owns what is on disk of a file that is not complete. Must not know where it comes from. */
#include "fetch/part.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/units.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PART_FOLDER ".part"

enum {
    PART_MODE = 0600,
    PART_FOLDER_MODE = 0700,
    PART_STATE_MAX_BYTES = 16 << 10,
    /* A process that was killed lets go within milliseconds; one that lives does not at all. */
    PART_LOCK_TRIES = 200,
    PART_LOCK_WAIT_MS = 50,
};

char *part_path(const char *folder, const char *name)
{
    AUTO_FREE char *parts = paths_join(folder, PART_FOLDER);

    return paths_join(parts, name);
}

static char *state_path(const char *folder, const char *name)
{
    AUTO_FREE char *path = part_path(folder, name);

    return xasprintf("%s.json", path);
}

/* ---- the state ---- */

static int write_state(const struct part *part, struct err *err)
{
    char boot_id[CLOCK_BOOT_ID_BYTES];
    AUTO_JSON json_t *state = NULL;
    AUTO_FREE char *text = NULL;
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;

    clock_boot_id(boot_id);
    state = json_pack("{s:o, s:s, s:s, s:I, s:I, s:s}", "url",
                      json_text_lossy(part->identity.url, strlen(part->identity.url)), "etag",
                      part->etag, "sha256", part->identity.sha256, "size_bytes",
                      (json_int_t)part->identity.size_bytes, "synced_bytes",
                      (json_int_t)part->synced_bytes, "boot_id", boot_id);
    text = json_to_text(state);
    if (io_atomic_begin(&file, part->state_path, PART_MODE, err) < 0 ||
        io_write_all(file.fd, text, strlen(text), err) < 0)
        return -1;
    return io_atomic_commit(&file, err);
}

static bool state_says(const json_t *state, const char *field, const char *text)
{
    const char *said = json_string_value(json_object_get(state, field));

    return said != NULL && strcmp(said, text) == 0;
}

/* How many of the bytes that are there are believed to be the beginning of the file. */
static int64_t judge_state(struct part *part, const json_t *state)
{
    const char *etag = json_string_value(json_object_get(state, "etag"));
    int64_t size_bytes = json_integer_value(json_object_get(state, "size_bytes"));
    int64_t synced_bytes = json_integer_value(json_object_get(state, "synced_bytes"));
    char boot_id[CLOCK_BOOT_ID_BYTES];

    clock_boot_id(boot_id);
    if (!state_says(state, "url", part->identity.url) ||
        !state_says(state, "sha256", part->identity.sha256) || etag == NULL ||
        strlen(etag) >= sizeof(part->etag) || size_bytes < 0 || synced_bytes < 0 ||
        (part->identity.size_bytes >= 0 && part->identity.size_bytes != size_bytes))
        return 0;
    memcpy(part->etag, etag, strlen(etag) + 1);
    if (part->identity.size_bytes < 0)
        part->identity.size_bytes = size_bytes;
    if (part->identity.sha256[0] == '\0' && !state_says(state, "boot_id", boot_id))
        return synced_bytes;
    return INT64_MAX;
}

static int64_t read_state(struct part *part)
{
    AUTO_BUF struct buf text = BUF_INIT(PART_STATE_MAX_BYTES);
    struct err ignored = ERR_INIT; /* without a state, nothing is known of the bytes */
    AUTO_JSON json_t *state = NULL;

    if (io_read_file(part->state_path, &text, &ignored) < 0)
        return 0;
    state = json_parse(text.data, text.len, PART_STATE_MAX_BYTES, &ignored);
    return judge_state(part, state);
}

/* ---- opening ---- */

/* Whether PATH is still the file that was opened: who had the lock before may have given it its
 * place. One that has its place as well (part_link(), by a process that was killed) must not be
 * written to: it leaves here. */
static bool is_ours(int fd, const char *path)
{
    struct stat opened;
    struct stat there;

    if (fstat(fd, &opened) < 0 || stat(path, &there) < 0 || opened.st_dev != there.st_dev ||
        opened.st_ino != there.st_ino)
        return false;
    if (opened.st_nlink <= 1)
        return true;
    (void)unlink(path); /* the next try makes a new one, or fails */
    return false;
}

static int open_locked(const char *path, struct err *err)
{
    for (int tries = 0; tries < PART_LOCK_TRIES; tries++) {
        AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, PART_MODE);

        if (fd < 0)
            return err_set(err, ERR_OUTPUT, "open %s: %m", path);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (is_ours(fd, path))
                return take_fd(&fd);
            continue;
        }
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set(err, ERR_OUTPUT, "lock %s: %m", path);
        (void)poll(NULL, 0, PART_LOCK_WAIT_MS); /* a signal makes it shorter */
    }
    return err_set(err, ERR_CONFLICT, "another program is fetching the same file");
}

static int cut(struct part *part, int64_t size_bytes, struct err *err)
{
    if (ftruncate(part->fd, size_bytes) < 0)
        return err_set(err, ERR_OUTPUT, "cut %s: %m", part->path);
    part->size_bytes = size_bytes;
    if (part->synced_bytes > size_bytes)
        part->synced_bytes = size_bytes;
    return 0;
}

int part_open(struct part *part, const char *folder, const char *name,
              const struct part_identity *identity, struct err *err)
{
    AUTO_FREE char *parts = paths_join(folder, PART_FOLDER);
    struct stat status;
    int64_t believed_bytes = 0;

    part->folder = xstrdup(folder);
    part->path = part_path(folder, name);
    part->state_path = state_path(folder, name);
    part->identity = *identity;
    if (io_make_folders(parts, PART_FOLDER_MODE, err) < 0)
        return -1;
    part->fd = open_locked(part->path, err);
    if (part->fd < 0)
        return -1;
    if (fstat(part->fd, &status) < 0)
        return err_set(err, ERR_OUTPUT, "stat %s: %m", part->path);
    believed_bytes = read_state(part);
    if (believed_bytes > status.st_size)
        believed_bytes = status.st_size;
    if (part->identity.size_bytes >= 0 && believed_bytes > part->identity.size_bytes)
        believed_bytes = 0;
    return cut(part, believed_bytes, err);
}

void part_release(struct part *part)
{
    attr_close(&part->fd);
    free(part->folder);
    free(part->path);
    free(part->state_path);
    *part = (struct part){.fd = -1};
}

/* ---- growing ---- */

int part_note(struct part *part, const char *etag, int64_t size_bytes, struct err *err)
{
    (void)snprintf(part->etag, sizeof(part->etag), "%s", etag); /* as long at most */
    part->identity.size_bytes = size_bytes;
    return write_state(part, err);
}

int part_write(struct part *part, const void *data, size_t len, struct err *err)
{
    const char *at = data;

    while (len > 0) {
        ssize_t written = pwrite(part->fd, at, len, part->size_bytes);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return err_set(err, ERR_OUTPUT,
                           "write: %m; what came is kept, the next pull goes on from there");
        part->size_bytes += written;
        at += written;
        len -= (size_t)written;
    }
    return 0;
}

int part_sync(struct part *part, struct err *err)
{
    if (fsync(part->fd) < 0)
        return err_set(err, ERR_OUTPUT, "sync %s: %m", part->path);
    part->synced_bytes = part->size_bytes;
    return write_state(part, err);
}

int part_clear(struct part *part, struct err *err)
{
    part->etag[0] = '\0';
    return cut(part, 0, err);
}

/* ---- ending ---- */

void part_remove(const char *folder, const char *name)
{
    AUTO_FREE char *path = part_path(folder, name);
    AUTO_FREE char *state = state_path(folder, name);
    AUTO_FREE char *parts = paths_join(folder, PART_FOLDER);

    (void)unlink(path); /* what stays is looked at before it is used */
    (void)unlink(state);
    (void)rmdir(parts); /* both fail where others lie in there */
    (void)rmdir(folder);
}

int part_commit(const char *folder, const char *name, struct err *err)
{
    AUTO_FREE char *path = part_path(folder, name);
    AUTO_FREE char *place = paths_join(folder, name);
    AUTO_FREE char *state = state_path(folder, name);
    AUTO_FREE char *parts = paths_join(folder, PART_FOLDER);

    if (rename(path, place) < 0)
        return err_set(err, ERR_OUTPUT, "rename to %s: %m", place);
    if (io_sync_folder(folder, err) < 0)
        return -1;
    (void)unlink(state); /* one that stays is of no file */
    (void)rmdir(parts);  /* others may lie in there */
    return 0;
}

int part_link(const char *folder, const char *name, struct err *err)
{
    AUTO_FREE char *path = part_path(folder, name);
    AUTO_FREE char *place = paths_join(folder, name);
    AUTO_FREE char *state = state_path(folder, name);
    AUTO_FREE char *parts = paths_join(folder, PART_FOLDER);

    if (io_make_folders(parts, PART_FOLDER_MODE, err) < 0)
        return -1;
    (void)unlink(path); /* of an end that came in between; the link fails if it stays */
    (void)unlink(state);
    if (link(place, path) < 0)
        return err_set(err, ERR_OUTPUT,
                       "link %s: %m; without links, a model in parts is only fetched as a whole: "
                       "remove its parts, and pull again",
                       place);
    return 0;
}

int part_check_room(const char *folder, int64_t needed_bytes, struct err *err)
{
    struct statvfs room;
    char needed[UNITS_TEXT_BYTES];
    char there[UNITS_TEXT_BYTES];
    uint64_t free_bytes = 0;

    if (statvfs(folder, &room) < 0)
        return err_set(err, ERR_OUTPUT, "look for room in %s: %m", folder);
    free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    if (needed_bytes <= 0 || (uint64_t)needed_bytes <= free_bytes)
        return 0;
    units_format_size((uint64_t)needed_bytes, needed);
    units_format_size(free_bytes, there);
    return err_set(err, ERR_OUTPUT, "%s more are needed for the models, and the disk has %s free",
                   needed, there);
}

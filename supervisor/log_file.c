/* Owns log files on disk: opening, appending, turning over. Knows nothing of what is written. */
#include "supervisor/log_file.h"

#include "common/attr.h"
#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void log_file_init(struct log_file *file, char *path)
{
    *file = (struct log_file){.path = path, .fd = -1};
}

static void log_file_close(struct log_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd); /* a log promises nothing about the disk */
    file->fd = -1;
}

void log_file_release(struct log_file *file)
{
    log_file_close(file);
    free(file->path);
    file->path = NULL;
}

/* Said once for each time it begins to fail: a full disk must not fill our own log as well. */
static void log_file_fail(struct log_file *file, const char *what)
{
    if (!file->has_failed)
        log_event(LOG_WARN, "log_file_failed", "path=%s what=%s error=%m", file->path, what);
    file->has_failed = true;
}

static bool log_file_open(struct log_file *file)
{
    struct stat status;

    if (file->fd >= 0)
        return true;
    file->fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        log_file_fail(file, "open");
        log_file_close(file);
        return false;
    }
    file->size_bytes = (uint64_t)status.st_size;
    return true;
}

static void log_file_turn_over(struct log_file *file)
{
    log_file_close(file);
    for (int age = LOG_FILE_KEEP_COUNT - 1; age > 0; age--) {
        AUTO_FREE char *older = xasprintf("%s.%d", file->path, age);
        AUTO_FREE char *newer =
            age == 1 ? xstrdup(file->path) : xasprintf("%s.%d", file->path, age - 1);

        if (rename(newer, older) != 0 && errno != ENOENT)
            log_file_fail(file, "rename");
    }
}

void log_file_write(struct log_file *file, const void *data, size_t len)
{
    ssize_t written = 0;

    if (!log_file_open(file))
        return;
    if (file->size_bytes > 0 && file->size_bytes + len > LOG_FILE_MAX_BYTES) {
        log_file_turn_over(file);
        if (!log_file_open(file))
            return;
    }
    written = write(file->fd, data, len);
    if (written < 0) {
        log_file_fail(file, "write");
        return;
    }
    file->size_bytes += (uint64_t)written;
    file->has_failed = false;
}

void log_file_redirect(struct log_file *file, int fd)
{
    struct stat status;

    if (file->fd >= 0) {
        if (fstat(file->fd, &status) != 0 || status.st_size < LOG_FILE_MAX_BYTES)
            return;
        log_file_turn_over(file);
    }
    if (log_file_open(file) && dup2(file->fd, fd) < 0)
        log_file_fail(file, "dup2");
}

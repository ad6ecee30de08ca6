/* Owns whole-file reading and writing. Must not know what the files mean. */
#include "common/io.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum {
    IO_CHUNK_BYTES = 64 * 1024,
    IO_PARENT_MODE = 0755,
    IO_NAME_TRIES = 16, /* random names that may be taken before we give up */
    /* As the kernel has it (path_resolution(7)). */
    IO_LINK_MAX_COUNT = 40,
};

void io_fill_closed_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* lowest free: FD */
    }
}

static ssize_t io_read_some(int fd, void *data, size_t len)
{
    ssize_t got = 0;

    do
        got = read(fd, data, len);
    while (got < 0 && errno == EINTR);
    return got;
}

int io_read_all(int fd, struct buf *buf, struct err *err)
{
    for (;;) {
        size_t room = buf->max - buf->len;
        size_t want = room < IO_CHUNK_BYTES ? room : IO_CHUNK_BYTES;
        char probe = 0;
        ssize_t got = 0;

        if (want > 0 && buf_reserve(buf, want) < 0)
            return err_set(err, ERR_NO_MEMORY, "no memory for %zu more bytes", want);
        /* Full: the end is told from one byte too many only by asking for it. */
        got = io_read_some(fd, want > 0 ? buf->data + buf->len : &probe, want > 0 ? want : 1);
        if (got < 0)
            return err_set(err, ERR_IO, "read: %m");
        if (got == 0)
            return 0;
        if (want == 0)
            return err_set(err, ERR_BODY_TOO_LARGE, "more than %zu bytes", buf->max);
        buf->len += (size_t)got;
        buf->data[buf->len] = '\0';
    }
}

int io_read_file(const char *path, struct buf *buf, struct err *err)
{
    /* O_NONBLOCK: opening a FIFO that nobody writes must not wait. */
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;

    if (fd < 0)
        return err_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NO_FILE : ERR_IO,
                       "open %s: %m", path);
    if (fstat(fd, &info) < 0)
        return err_set(err, ERR_IO, "stat %s: %m", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_IO, "%s is not a regular file", path);
    if (io_read_all(fd, buf, err) < 0)
        return err_wrap(err, "%s", path);
    return 0;
}

int io_write_all(int fd, const void *data, size_t len, struct err *err)
{
    const char *rest = data;

    while (len > 0) {
        ssize_t written = write(fd, rest, len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_set(err, ERR_OUTPUT, "write: %m");
        rest += written;
        len -= (size_t)written;
    }
    return 0;
}

static int io_make_folder(const char *path, unsigned mode, struct err *err)
{
    struct stat info;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return err_set(err, ERR_IO, "make folder %s: %m", path);
    if (stat(path, &info) < 0)
        return err_set(err, ERR_IO, "stat %s: %m", path);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_IO, "%s is not a folder", path);
    return 0;
}

int io_make_folders(const char *path, unsigned mode, struct err *err)
{
    AUTO_FREE char *folder = xstrdup(path);
    size_t len = strlen(folder);

    while (len > 1 && folder[len - 1] == '/')
        folder[--len] = '\0';
    for (char *slash = strchr(folder + (len > 0), '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        /* A parent that is there may be one that mkdir is not allowed to try (a mount, EROFS). */
        if (access(folder, F_OK) < 0 && io_make_folder(folder, IO_PARENT_MODE, err) < 0)
            return -1;
        *slash = '/';
    }
    return io_make_folder(folder, mode, err);
}

/* The caller frees it. */
static char *io_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL   ? xstrdup(".")
           : slash == path ? xstrdup("/")
                           : xstrndup(path, (size_t)(slash - path));
}

int io_make_folder_of(const char *path, unsigned mode, struct err *err)
{
    AUTO_FREE char *folder = io_folder_of(path);

    return io_make_folders(folder, mode, err);
}

/* Opens a new file with a name of its own beside that of FILE. */
static int io_open_temporary(struct io_atomic *file, unsigned mode, struct err *err)
{
    AUTO_FREE char *folder = io_folder_of(file->path);

    for (int try = 0; try < IO_NAME_TRIES; try++) {
        uint64_t random = 0;
        AUTO_FREE char *name = NULL;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
            return err_set(err, ERR_OUTPUT, "getrandom: %m");
        name = xasprintf("%s.tmp-%016llx", file->path, (unsigned long long)random);
        file->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (file->fd >= 0) {
            file->temporary_path = take_ptr(name);
            return 0;
        }
        if (errno != EEXIST)
            return err_set(err, ERR_OUTPUT, "create a file in the folder %s: %m", folder);
    }
    return err_set(err, ERR_OUTPUT, "create a file in the folder %s: no free name", folder);
}

/* PATH, which is not there, or the place that it is a link to, which is not there either. */
static char *io_follow_dangling(const char *path, struct err *err)
{
    AUTO_FREE char *at = xstrdup(path);
    char target[PATH_MAX];

    for (int links = 0; links < IO_LINK_MAX_COUNT; links++) {
        ssize_t len = readlink(at, target, sizeof(target));
        const char *slash = strrchr(at, '/');
        char *next = NULL;

        if (len < 0)
            return take_ptr(at);
        /* A relative target is meant from the folder of its link. */
        next = target[0] == '/' || slash == NULL
                   ? xstrndup(target, (size_t)len)
                   : xasprintf("%.*s/%.*s", (int)(slash - at), at, (int)len, target);
        free(at);
        at = next;
    }
    errno = ELOOP;
    return err_set_null(err, ERR_OUTPUT, "open %s: %m", path);
}

/* Where a write to PATH ends up; *INFO is what is there, its mode 0 when nothing is. The caller
 * frees it. */
static char *io_find_target(const char *path, struct stat *info, struct err *err)
{
    char *target = NULL;

    if (stat(path, info) < 0) {
        *info = (struct stat){.st_mode = 0};
        return errno == ENOENT && path[0] != '\0'
                   ? io_follow_dangling(path, err)
                   : err_set_null(err, ERR_OUTPUT, "open %s: %m", path);
    }
    if (!S_ISREG(info->st_mode))
        return xstrdup(path); /* what /dev/stdout links to may have no name */
    target = realpath(path, NULL);
    if (target == NULL)
        return err_set_null(err, ERR_OUTPUT, "open %s: %m", path);
    return target;
}

static bool io_is_special(const struct stat *info)
{
    return info->st_mode != 0 && !S_ISREG(info->st_mode);
}

int io_atomic_begin(struct io_atomic *file, const char *path, unsigned mode, struct err *err)
{
    struct stat info;
    int rc = 0;

    *file = (struct io_atomic){.fd = -1, .path = io_find_target(path, &info, err)};
    if (file->path == NULL)
        return -1;
    if (io_is_special(&info)) {
        /* A terminal, a pipe or /dev/null is written to, never replaced. */
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (file->fd < 0)
            rc = err_set(err, ERR_OUTPUT, "open %s: %m", path);
    } else {
        rc = io_open_temporary(file, mode, err);
        /* A private file stays private when it is replaced. */
        if (rc == 0 && info.st_mode != 0 && fchmod(file->fd, info.st_mode & ACCESSPERMS) < 0)
            rc = err_set(err, ERR_OUTPUT, "chmod a file beside %s: %m", path);
    }
    if (rc < 0)
        io_atomic_release(file);
    return rc;
}

int io_atomic_check(const char *path, unsigned mode, struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;
    struct stat info;

    if (stat(path, &info) < 0 || S_ISREG(info.st_mode))
        return io_atomic_begin(&file, path, mode, err);
    /* Opening and closing a pipe would be its end to who reads it. */
    errno = EISDIR;
    if (S_ISDIR(info.st_mode) || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        return err_set(err, ERR_OUTPUT, "open %s: %m", path);
    return 0;
}

int io_sync_folder(const char *folder, struct err *err)
{
    AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == EACCES)
        return 0; /* a folder we may write but not read cannot be synced by us */
    if (fd < 0)
        return err_set(err, ERR_OUTPUT, "open %s: %m", folder);
    if (fsync(fd) < 0 && errno != EINVAL) /* EINVAL: a file system that has no such thing */
        return err_set(err, ERR_OUTPUT, "fsync %s: %m", folder);
    return 0;
}

static int io_sync_folder_of(const char *path, struct err *err)
{
    AUTO_FREE char *folder = io_folder_of(path);

    return io_sync_folder(folder, err);
}

static int io_atomic_close(struct io_atomic *file, struct err *err)
{
    if (fsync(file->fd) < 0 && errno != EINVAL && errno != EROFS) /* not a file: nothing to sync */
        return err_set(err, ERR_OUTPUT, "fsync %s: %m", file->path);
    if (close(take_fd(&file->fd)) < 0)
        return err_set(err, ERR_OUTPUT, "close %s: %m", file->path);
    return 0;
}

int io_atomic_commit(struct io_atomic *file, struct err *err)
{
    if (io_atomic_close(file, err) < 0)
        return -1;
    if (file->temporary_path == NULL)
        return 0;
    if (rename(file->temporary_path, file->path) < 0)
        return err_set(err, ERR_OUTPUT, "rename to %s: %m", file->path);
    free(take_ptr(file->temporary_path));
    return io_sync_folder_of(file->path, err);
}

/* A second name, which link() gives only where there is none; release takes the first one away. */
int io_atomic_commit_new(struct io_atomic *file, struct err *err)
{
    if (io_atomic_close(file, err) < 0)
        return -1;
    if (file->temporary_path != NULL && link(file->temporary_path, file->path) == 0)
        return io_sync_folder_of(file->path, err);
    if (file->temporary_path == NULL || errno == EEXIST)
        return err_set(err, ERR_CONFLICT, "%s is there already", file->path);
    return err_set(err, ERR_OUTPUT, "make %s: %m", file->path);
}

void io_atomic_release(struct io_atomic *file)
{
    attr_close(&file->fd);
    if (file->temporary_path != NULL)
        (void)unlink(file->temporary_path); /* somebody else may have removed it */
    free(file->temporary_path);
    free(file->path);
    *file = (struct io_atomic){.fd = -1};
}

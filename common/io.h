/* Files, whole: bounded reads and writes that either happen or do not. */
#ifndef RBEE_COMMON_IO_H
#define RBEE_COMMON_IO_H

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

/* A descriptor 0, 1 or 2 that is closed would be given to the next file or socket, and what is
 * meant for stdout would end up there. It is opened the wrong way round, so that using it still
 * fails. Before anything else is opened. */
void io_fill_closed_stdio(void);

/* Appends all of FD to BUF; more than the buf's maximum is ERR_BODY_TOO_LARGE. */
int io_read_all(int fd, struct buf *buf, struct err *err);
/* Reads a regular file. ERR_NO_FILE when there is none. */
int io_read_file(const char *path, struct buf *buf, struct err *err);
/* Writes everything, over short writes and EINTR, on a blocking descriptor. ERR_OUTPUT. */
int io_write_all(int fd, const void *data, size_t len, struct err *err);
/* Makes PATH and its missing parents, MODE for the last of them, 0755 for the others. */
int io_make_folders(const char *path, unsigned mode, struct err *err);
/* The same for the folder that PATH is in. */
int io_make_folder_of(const char *path, unsigned mode, struct err *err);
/* What has been renamed, linked or removed in FOLDER is so after a loss of power, too, where we may
 * read the folder and its file system knows of such a thing. ERR_OUTPUT. */
int io_sync_folder(const char *folder, struct err *err);

/* A file written beside its place and renamed over it at the end, so that PATH holds the old
 * content or the whole new one. A link is followed, also one to a file that is not there yet. What
 * is no regular file (a terminal, a pipe, /dev/null) is written directly: it must not be replaced.
 */
struct io_atomic {
    int fd; /* write here; -1 when there is none */
    char *path;
    char *temporary_path; /* NULL once renamed, or when written directly */
};
#define IO_ATOMIC_INIT                                                                             \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
#define AUTO_IO_ATOMIC __attribute__((cleanup(io_atomic_release)))
/* MODE is subject to the umask, as in open(2). */
int io_atomic_begin(struct io_atomic *file, const char *path, unsigned mode, struct err *err);
/* Whether it could begin, as far as can be seen without opening a pipe or a device. ERR_OUTPUT. */
int io_atomic_check(const char *path, unsigned mode, struct err *err);
/* fsync, rename, fsync of the folder. ERR_OUTPUT. */
int io_atomic_commit(struct io_atomic *file, struct err *err);
/* The same where PATH must not be there: ERR_CONFLICT when it is, however late it came. */
int io_atomic_commit_new(struct io_atomic *file, struct err *err);
/* Removes what was not committed; accepts a committed or an empty one. */
void io_atomic_release(struct io_atomic *file);

#endif

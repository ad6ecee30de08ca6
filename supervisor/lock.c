/* Owns the lock on a state folder. Knows nothing of what is in it. */
#include "supervisor/lock.h"

#include "common/io.h"
#include "common/mem.h"
#include "common/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { LOCK_TEXT_MAX_BYTES = 512 };

/* The holder writes its line after it has the lock, so there may be none yet. */
static int lock_refuse(int fd, const char *state_dir, struct err *err)
{
    char text[LOCK_TEXT_MAX_BYTES + 1];
    ssize_t len = pread(fd, text, LOCK_TEXT_MAX_BYTES, 0);

    text[len > 0 ? len : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return err_set(err, ERR_CONFLICT, "another rbeed runs on %s: %s", state_dir,
                   text[0] == '\0' ? "it is just starting" : text);
}

int lock_acquire(struct lock *lock, const char *state_dir, const char *socket_path, struct err *err)
{
    AUTO_FREE char *path = paths_join(state_dir, "rbee.lock");
    AUTO_FREE char *text = xasprintf("pid=%ld socket=%s\n", (long)getpid(), socket_path);
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return lock_refuse(fd, state_dir, err);
        return err_set(err, ERR_IO, "lock %s: %m", path);
    }
    if (ftruncate(fd, 0) != 0)
        return err_set(err, ERR_IO, "write %s: %m", path);
    if (io_write_all(fd, text, strlen(text), err) != 0)
        return err_wrap(err, "write %s", path);
    lock->fd = take_fd(&fd);
    return 0;
}

void lock_release(struct lock *lock)
{
    if (lock->fd < 0)
        return;
    (void)close(lock->fd); /* nothing unwritten that matters */
    lock->fd = -1;
}

/* A folder of its own for a test, removed with all that is in it. */
#ifndef RBEE_TESTS_TEMP_FOLDER_H
#define RBEE_TESTS_TEMP_FOLDER_H

#include "common/attr.h"
#include "common/mem.h"
#include "common/paths.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

/* The caller frees the path after temp_folder_remove. */
static inline char *temp_folder_make(void)
{
    const char *base = getenv("TMPDIR");
    char *path = paths_join(base != NULL ? base : "/tmp", "rbee-test-XXXXXX");
    char *made = mkdtemp(path);

    assert(made != NULL);
    return path;
}

static inline int temp_folder_remove_one(const char *path, const struct stat *info, int type,
                                         struct FTW *walk)
{
    return remove(path);
}

static inline void temp_folder_remove(const char *path)
{
    /* Deep enough for what tests make; a leftover shows in the runner's list. */
    (void)nftw(path, temp_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes TEXT as FOLDER/NAME with MODE, whatever the umask; the caller frees the path. */
static inline char *temp_folder_write(const char *folder, const char *name, const char *text,
                                      unsigned mode)
{
    char *path = paths_join(folder, name);
    int gone = unlink(path); /* one from before may be read-only */
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t written = fd >= 0 ? write(fd, text, strlen(text)) : -1;

    (void)gone; /* mostly there was none */
    assert(written == (ssize_t)strlen(text));
    assert(fchmod(fd, mode) == 0);
    return path;
}

#endif

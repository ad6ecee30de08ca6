/* Owns the rule about who else may touch a file with a secret. Must not know what is in it. */
#include "common/secret_file.h"

#include "common/io.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int secret_file_check_mode(const struct stat *info, enum secret_file_kind kind, struct err *err)
{
    static const mode_t FOREIGN_BITS[] = {
        [SECRET_FILE_OURS] = 077,
        [SECRET_FILE_CREDENTIAL] = 037,
    };

    if (S_ISDIR(info->st_mode))
        return err_set(err, ERR_CONFIG, "it is a folder");
    if (S_ISREG(info->st_mode) && (info->st_mode & FOREIGN_BITS[kind]) != 0)
        return err_set(err, ERR_CONFIG,
                       "it has mode %04o: group and others must have no access (chmod 600)",
                       (unsigned)(info->st_mode & ALLPERMS));
    return 0;
}

static int secret_file_check(const char *path, enum secret_file_kind kind, const struct stat *info,
                             struct err *err)
{
    if (!S_ISREG(info->st_mode))
        err_fill(err, ERR_CONFIG, "it is no regular file");
    else if (info->st_uid != geteuid() && info->st_uid != 0)
        err_fill(err, ERR_CONFIG, "it belongs to uid %u, neither to us nor to root",
                 (unsigned)info->st_uid);
    else if (secret_file_check_mode(info, kind, err) < 0)
        return err_wrap(err, "%s", path); /* it names the mode itself */
    else
        return 0;
    return err_wrap(err, "%s, mode %04o", path, (unsigned)(info->st_mode & ALLPERMS));
}

int secret_file_open(const char *path, enum secret_file_kind kind, struct stat *out_info,
                     struct err *err)
{
    /* Opening a pipe must not wait for who writes it. */
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, out_info) < 0)
        return err_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NO_FILE : ERR_CONFIG,
                       "open %s: %m", path);
    if (secret_file_check(path, kind, out_info, err) < 0)
        return -1;
    return take_fd(&fd);
}

/* Owns what a token's file must be, on both sides: reading and making. Must not know what a token
 * is for. */
#include "common/token_file.h"

#include "common/io.h"
#include "common/mem.h"
#include "common/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TOKEN_FILE_MODE = 0600,
    TOKEN_FILE_FOLDER_MODE = 0700,
    TOKEN_FILE_FOREIGN_BITS = 077,            /* what group and others may do */
    TOKEN_FILE_CREDENTIAL_FOREIGN_BITS = 037, /* the group's read bit may be an ACL's mask */
};

/* ---- reading ---- */

/* A pipe is ours alone; a file must be as well. */
static int token_file_check_mode(const struct stat *info, mode_t foreign_bits, struct err *err)
{
    if (S_ISDIR(info->st_mode))
        return err_set(err, ERR_CONFIG, "it is a folder");
    if (S_ISREG(info->st_mode) && (info->st_mode & foreign_bits) != 0)
        return err_set(err, ERR_CONFIG,
                       "it has mode %04o: group and others must have no access (chmod 600)",
                       (unsigned)(info->st_mode & ALLPERMS));
    return 0;
}

/* Fills TEXT to the end of FD or its own; returns the length. */
static ssize_t token_file_read_bytes(int fd, char *text, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t got = read(fd, text + len, size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static char *token_file_check_text(const char *text, size_t len, struct err *err)
{
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len < TOKEN_MIN_LEN || len > TOKEN_MAX_LEN)
        return err_set_null(err, ERR_CONFIG, "token must have %d to %d bytes", TOKEN_MIN_LEN,
                            TOKEN_MAX_LEN);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '!' || text[i] > '~')
            return err_set_null(err, ERR_CONFIG,
                                "token must be one line of printable ASCII without blanks");
    }
    return xstrndup(text, len);
}

static char *token_file_read_text(int fd, struct err *err)
{
    char text[TOKEN_MAX_LEN + 2]; /* one for the line end, one to see that there is more */
    ssize_t len = token_file_read_bytes(fd, text, sizeof(text));
    char *token = NULL;

    if (len < 0)
        err_fill(err, ERR_CONFIG, "read the token: %m");
    else
        token = token_file_check_text(text, (size_t)len, err);
    explicit_bzero(text, sizeof(text));
    return token;
}

char *token_file_read_fd(int fd, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return err_set_null(err, ERR_CONFIG, "token: %m");
    if (token_file_check_mode(&info, TOKEN_FILE_FOREIGN_BITS, err) < 0)
        return NULL;
    return token_file_read_text(fd, err);
}

char *token_file_read(const char *path, enum token_file_kind kind, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    mode_t foreign_bits = kind == TOKEN_FILE_CREDENTIAL ? TOKEN_FILE_CREDENTIAL_FOREIGN_BITS
                                                        : TOKEN_FILE_FOREIGN_BITS;
    struct stat info;
    char *token = NULL;

    if (fd < 0 || fstat(fd, &info) < 0)
        return err_set_null(err, errno == ENOENT || errno == ENOTDIR ? ERR_NO_FILE : ERR_CONFIG,
                            "open %s: %m", path);
    if (!S_ISREG(info.st_mode))
        err_fill(err, ERR_CONFIG, "it is no regular file");
    else if (info.st_uid != geteuid() && info.st_uid != 0)
        err_fill(err, ERR_CONFIG, "it belongs to uid %u, neither to us nor to root",
                 (unsigned)info.st_uid);
    else if (token_file_check_mode(&info, foreign_bits, err) < 0)
        return err_wrap_null(err, "%s", path); /* it names the mode itself */
    else
        token = token_file_read_text(fd, err);
    return token != NULL
               ? token
               : err_wrap_null(err, "%s, mode %04o", path, (unsigned)(info.st_mode & ALLPERMS));
}

/* ---- making ---- */

static int token_file_write_secret(int fd, struct err *err)
{
    unsigned char secret[TOKEN_BYTES];
    char line[TOKEN_TEXT_BYTES + 1]; /* with its line end in the place of the NUL */
    int rc = 0;

    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        return err_set(err, ERR_INTERNAL, "getrandom: %m");
    for (size_t i = 0; i < sizeof(secret); i++)
        (void)snprintf(line + 2 * i, sizeof(line) - 2 * i, "%02x", secret[i]); /* fits */
    line[2 * sizeof(secret)] = '\n';
    rc = io_write_all(fd, line, TOKEN_TEXT_BYTES, err);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(line, sizeof(line));
    return rc;
}

static int token_file_make_folder(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *folder =
        slash == NULL || slash == path ? NULL : xstrndup(path, (size_t)(slash - path));

    return folder == NULL ? 0 : io_make_folders(folder, TOKEN_FILE_FOLDER_MODE, err);
}

int token_file_create(const char *path, bool replaces, struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;

    if (token_file_make_folder(path, err) < 0 ||
        io_atomic_begin(&file, path, TOKEN_FILE_MODE, err) < 0)
        return -1;
    /* What it replaces may have been open to others. */
    if (fchmod(file.fd, TOKEN_FILE_MODE) < 0)
        return err_set(err, ERR_OUTPUT, "chmod a file beside %s: %m", path);
    if (token_file_write_secret(file.fd, err) < 0)
        return -1;
    return replaces ? io_atomic_commit(&file, err) : io_atomic_commit_new(&file, err);
}

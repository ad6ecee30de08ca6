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
};

/* ---- reading ---- */

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
    if (secret_file_check_mode(&info, SECRET_FILE_OURS, err) < 0)
        return NULL;
    return token_file_read_text(fd, err);
}

char *token_file_read(const char *path, enum secret_file_kind kind, struct err *err)
{
    struct stat info;
    AUTO_CLOSE int fd = secret_file_open(path, kind, &info, err);
    char *token = fd < 0 ? NULL : token_file_read_text(fd, err);

    if (fd >= 0 && token == NULL)
        return err_wrap_null(err, "%s, mode %04o", path, (unsigned)(info.st_mode & ALLPERMS));
    return token;
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

int token_file_create(const char *path, bool replaces, struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;

    if (io_make_folder_of(path, TOKEN_FILE_FOLDER_MODE, err) < 0 ||
        io_atomic_begin(&file, path, TOKEN_FILE_MODE, err) < 0)
        return -1;
    /* What it replaces may have been open to others. */
    if (fchmod(file.fd, TOKEN_FILE_MODE) < 0)
        return err_set(err, ERR_OUTPUT, "chmod a file beside %s: %m", path);
    if (token_file_write_secret(file.fd, err) < 0)
        return -1;
    return replaces ? io_atomic_commit(&file, err) : io_atomic_commit_new(&file, err);
}

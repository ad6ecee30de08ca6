/* Tokens in files and pipes: read with all that makes one a secret, made so that nobody else ever
 * can. Apart from token.h because `rbee` needs this and no cryptography. */
#ifndef RBEE_COMMON_TOKEN_FILE_H
#define RBEE_COMMON_TOKEN_FILE_H

#include "common/err.h"
#include "common/secret_file.h"

/* Reads one token from FD to its end: one line of 16 to 4096 printable bytes without blanks. A
 * regular file that group or others can use is refused. ERR_CONFIG says which rule was broken. The
 * caller wipes and frees the result, as with the next one. */
char *token_file_read_fd(int fd, struct err *err);
/* The same of the regular file PATH, which must belong to us or to root; messages name it and its
 * mode. ERR_NO_FILE: there is none. */
char *token_file_read(const char *path, enum secret_file_kind kind, struct err *err);

/* A new random token in PATH, mode 0600: on disk, whole or not at all, when this returns. The
 * folder is made where it is missing. One that is there is kept, ERR_CONFLICT, unless REPLACES. */
int token_file_create(const char *path, bool replaces, struct err *err);

#endif

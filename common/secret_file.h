/* Files that hold a secret: what keeps others from one is looked at before it is read. */
#ifndef RBEE_COMMON_SECRET_FILE_H
#define RBEE_COMMON_SECRET_FILE_H

#include "common/err.h"

#include <sys/stat.h>

/* Who keeps others from a file. */
enum secret_file_kind {
    SECRET_FILE_OURS,       /* its own mode: group and others have no access */
    SECRET_FILE_CREDENTIAL, /* systemd's folder. Where an ACL lets our user in, the bits of the
                               group show that ACL's mask, and are no group's: it may read */
};

/* A descriptor of the regular file PATH, which belongs to us or to root and lets nobody else in;
 * the caller closes it. *OUT_INFO is what it is. -1 with ERR_NO_FILE: there is none; with
 * ERR_CONFIG, which names the file, its mode and the rule that was broken. */
int secret_file_open(const char *path, enum secret_file_kind kind, struct stat *out_info,
                     struct err *err);
/* The rule about modes alone, for a descriptor that was handed over: a pipe has none. */
int secret_file_check_mode(const struct stat *info, enum secret_file_kind kind, struct err *err);

#endif

/* Which files of a repository are the model that was asked for. Pure. */
#ifndef RBEE_FETCH_CHOOSE_H
#define RBEE_FETCH_CHOOSE_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CHECKSUM_TEXT_BYTES = 65, /* a SHA-256 in hex, and its NUL */
    CHOOSE_WHY_BYTES = 256,
};

struct hub_file {
    char *path; /* within the repository; each of its parts is harmless (file_name.h) */
    int64_t size_bytes;
    char sha256[CHECKSUM_TEXT_BYTES]; /* "": the repository does not tell */
};

struct hub_files {
    struct hub_file *files;
    size_t count;
};

struct choice {
    const struct hub_file **files; /* of one model, in order; borrowed from the list */
    size_t count;
    char why[CHOOSE_WHY_BYTES]; /* "Q4_K_M, of Q4_K_M, Q8_0": for people; "": it was asked for */
};

/* FILE "" and QUANT "": the best that is there for most machines. ERR_MODEL_NOT_FOUND, with what
 * there is; ERR_CONFLICT when more than one model fits. The caller frees out->files. */
int choose_files(const struct hub_files *files, const char *quant, const char *file,
                 struct choice *out, struct err *err);
void hub_files_release(struct hub_files *files);

#endif

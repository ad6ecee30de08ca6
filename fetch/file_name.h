/* Names of files as strangers give them: what may become the name of a file of ours. Pure. */
#ifndef RBEE_FETCH_FILE_NAME_H
#define RBEE_FETCH_FILE_NAME_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    FILE_NAME_MAX_BYTES =
        200, /* with what is put behind it, it fits into the 255 of a file system */
    FILE_PATH_MAX_BYTES = 1024,
};

/* One part of a path, at most FILE_NAME_MAX_BYTES: UTF-8 that can be printed, neither hidden nor
 * "." nor "..", without a slash, a backslash or a quote (it is printed between two). */
bool file_name_is_harmless(const char *name, size_t len);
/* The same for each part of PATH, which is relative. */
bool file_path_is_harmless(const char *path);
/* Behind the last slash; borrowed. */
const char *file_path_last(const char *path);
/* The last part of URL's path, decoded, ending in .gguf; the caller frees it. ERR_INVALID when it
 * is none that a file may have. */
char *file_name_of_url(const char *url, struct err *err);

#endif

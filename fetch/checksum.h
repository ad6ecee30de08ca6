/* SHA-256 over a whole file, as it lies on the disk. */
#ifndef RBEE_FETCH_CHECKSUM_H
#define RBEE_FETCH_CHECKSUM_H

#include "common/err.h"
#include "fetch/choose.h"
#include "fetch/tell.h"

#include <stdint.h>

/* How far a run of several files is. */
struct checksum_progress {
    struct tell *tell;
    int64_t before_bytes; /* files that are done with */
    int64_t total_bytes;  /* of all */
};

/* The sum of what FD has from its beginning, in hex; *out_size_bytes is how much that was. ERR_IO.
 */
int checksum_file(int fd, const struct checksum_progress *progress, char out[CHECKSUM_TEXT_BYTES],
                  int64_t *out_size_bytes, struct err *err);

#endif

/* One file, from a URL into its part: as often as it takes, from where it broke off, until it is as
 * long as it should be and its sum is right. */
#ifndef RBEE_FETCH_DOWNLOAD_H
#define RBEE_FETCH_DOWNLOAD_H

#include "common/err.h"
#include "fetch/choose.h"
#include "fetch/retry.h"
#include "fetch/tell.h"
#include "fetch/transfer.h"

#include <stdbool.h>
#include <stdint.h>

struct download {
    struct transfer *transfer;
    struct tell *tell;
    struct retry retry;   /* a fresh one for each file */
    const char *url;      /* all texts are borrowed */
    const char *folder;   /* where its place will be */
    const char *name;     /* there; harmless */
    const char *sha256;   /* "": nobody says */
    int64_t size_bytes;   /* -1: nobody has said yet */
    int64_t before_bytes; /* of the files before it, for the progress */
    int64_t total_bytes;  /* of all; -1: as this one */
};

struct download_result {
    bool was_there; /* the file has its place already, as long as it should be: nothing was fetched
                     */
    int64_t size_bytes;
    char sha256[CHECKSUM_TEXT_BYTES]; /* of what is on the disk; "" when it was there */
};

/* The part is complete, synced, and right as far as anybody says. ERR_CHECKSUM: the part is gone.
 */
int download_run(const struct download *download, struct download_result *out, struct err *err);

#endif

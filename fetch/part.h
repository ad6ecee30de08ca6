/* A file that is not complete: FOLDER/.part/NAME, under the name it will have, so that the parts of
 * a split model find each other there, and a small file NAME.json beside it that says what it is a
 * part of. It gets its place in FOLDER when somebody has said that it is good.
 *
 * What a killed process has written is there; what a machine has written that lost its power may
 * not be. So the state has the boot it was written in and how much had been synced: in a later boot
 * only that much is believed, unless a checksum will tell. */
#ifndef RBEE_FETCH_PART_H
#define RBEE_FETCH_PART_H

#include "common/err.h"
#include "fetch/transfer.h"

#include <stdint.h>

/* What a part must be a part of to be gone on with. */
struct part_identity {
    const char *url;    /* without its query, which may be a secret; its folder tells them apart */
    const char *sha256; /* "": not known */
    int64_t size_bytes; /* -1: not known */
};

struct part {
    int fd; /* locked; -1: none */
    char *folder;
    char *path;
    char *state_path;
    struct part_identity identity; /* its texts are borrowed */
    char etag[TRANSFER_ETAG_MAX_BYTES];
    int64_t size_bytes;   /* of what is there */
    int64_t synced_bytes; /* of that, on disk for sure */
};

/* FOLDER/.part/NAME; the caller frees it. */
char *part_path(const char *folder, const char *name);
/* Takes up what is there, if it is of IDENTITY, else begins anew. Waits a little for another
 * process that has it, then ERR_CONFLICT. ERR_OUTPUT. Storage of the caller, to be released after a
 * failure too; FD -1 and all else zero before. */
int part_open(struct part *part, const char *folder, const char *name,
              const struct part_identity *identity, struct err *err);
void part_release(struct part *part);
/* From here on what comes is of this ETag and length; written down. */
int part_note(struct part *part, const char *etag, int64_t size_bytes, struct err *err);
int part_write(struct part *part, const void *data, size_t len, struct err *err);
int part_sync(struct part *part, struct err *err);
/* Back to nothing. */
int part_clear(struct part *part, struct err *err);
/* It is no use: the file goes, and its state. */
void part_remove(const char *folder, const char *name);
/* Gives NAME its place in FOLDER and forgets its state; the place is on disk afterwards. */
int part_commit(const char *folder, const char *name, struct err *err);
/* NAME, which has its place in FOLDER and keeps it, is also where parts are, until part_remove().
 * ERR_OUTPUT. */
int part_link(const char *folder, const char *name, struct err *err);
/* ERR_OUTPUT with both numbers when FOLDER has no room for NEEDED_BYTES more. */
int part_check_room(const char *folder, int64_t needed_bytes, struct err *err);

#endif

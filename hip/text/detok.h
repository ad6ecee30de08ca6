/* Bytes to whole characters: what a character's beginning needs is kept until its end comes. */
#ifndef RBEE_HIP_TEXT_DETOK_H
#define RBEE_HIP_TEXT_DETOK_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    DETOK_PENDING_MAX_BYTES = 3,
    DETOK_REPLACEMENT_BYTES = 3, /* U+FFFD */
};

/* All zero is an empty one. */
struct detok {
    char pending[DETOK_PENDING_MAX_BYTES];
    size_t pending_len;
    /* The last bytes showed that what was kept before them is no character: the U+FFFD that they
     * added first is none of theirs. */
    bool has_broken;
};

/* Adds LEN bytes; appends to OUT the characters that are whole now. Bytes that can never become one
 * are U+FFFD, one for each longest beginning of a character (Unicode 15, chapter 3, "U+FFFD
 * substitution of maximal subparts"). -1 when OUT is full. */
int detok_push(struct detok *detok, const char *bytes, size_t len, struct buf *out);
/* The end has come: what is kept will never be a character. */
int detok_flush(struct detok *detok, struct buf *out);

#endif

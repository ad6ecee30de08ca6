/* Text into words, as the patterns of pretok.def cut it. Every byte of the text is in exactly one
 * word. Bytes that are not UTF-8 are never shown to a pattern: each run of them is a word.
 *
 * The work is linear in the text. Should a pattern meet one of PCRE2's limits all the same (memory,
 * steps), what is left of the piece it was cutting stays one word: the text is still tokenised
 * without loss, only not as the model saw it in training. */
#ifndef RBEE_HIP_TEXT_PRETOK_H
#define RBEE_HIP_TEXT_PRETOK_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { PRETOK_STAGE_MAX = 6 };

struct pretok; /* compiled patterns; read-only, may be shared by threads */

/* The row NAME of pretok.def. ERR_INVALID_MODEL names a pre-type that has none. */
struct pretok *pretok_new(const char *name, size_t name_len, struct err *err);
void pretok_free(struct pretok *pretok);
/* A word that is a token as a whole is that token, whatever the merges would make of it. */
bool pretok_ignores_merges(const struct pretok *pretok);
/* Whether a BOS is added where the file does not say. */
bool pretok_adds_bos(const struct pretok *pretok);

/* One reading of a text; storage of the caller. */
struct pretok_cursor {
    const struct pretok *pretok;
    struct pretok_match *match; /* PCRE2's room for one result */
    const char *rest;           /* text no stage has seen yet */
    size_t rest_len;
    /* Each stage cuts a piece of the stage before. */
    struct pretok_stage {
        const char *text;
        size_t len;
        size_t at;          /* how far it has been cut */
        size_t pending_len; /* of the match at AT that comes after the gap just given */
    } stages[PRETOK_STAGE_MAX];
};

/* The pretok is borrowed. ERR_NO_MEMORY. */
int pretok_cursor_init(struct pretok_cursor *cursor, const struct pretok *pretok, struct err *err);
void pretok_cursor_release(struct pretok_cursor *cursor);
/* Starts on another text, borrowed until its last word. */
void pretok_cursor_begin(struct pretok_cursor *cursor, const char *text, size_t len);
/* The next word, inside the text; false at its end. */
bool pretok_cursor_next(struct pretok_cursor *cursor, const char **out_word, size_t *out_len);

#endif

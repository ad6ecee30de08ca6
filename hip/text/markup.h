/* Tokens that are found in a text by their own spelling, before any pattern cuts it: control tokens
 * as "<|im_end|>", and those a model's makers defined by hand. */
#ifndef RBEE_HIP_TEXT_MARKUP_H
#define RBEE_HIP_TEXT_MARKUP_H

#include "common/err.h"
#include "hip/text/token_texts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names in angle brackets are far shorter. A file made to be slow would have us compare as many
 * bytes at each byte of a prompt. */
enum { MARKUP_MAX_BYTES = 256 };

/* A set of such tokens; storage of the caller. */
struct markup {
    struct token_texts texts;
    uint32_t *tokens;      /* [texts.count] their ids */
    uint32_t *sorted;      /* [texts.count] places in texts, by their bytes */
    bool starts_with[256]; /* by first byte */
};

/* The tokens of ALL for which IS_MEMBER[id] is true. ERR_NO_MEMORY; ERR_INVALID_MODEL where one is
 * longer than MARKUP_MAX_BYTES. */
int markup_init(struct markup *markup, const struct token_texts *all, const bool *is_member,
                struct err *err);
void markup_release(struct markup *markup);
/* The longest that TEXT begins with, as its place in `texts`; TOKEN_TEXTS_NONE. It walks no further
 * than some text goes along: *out_walked bytes. */
uint32_t markup_match(const struct markup *markup, const char *text, size_t len,
                      size_t *out_walked);
/* The first place in TEXT where one stands, and there the longest. False when there is none. */
bool markup_find(const struct markup *markup, const char *text, size_t len, size_t *out_at,
                 size_t *out_len, uint32_t *out_token);

#endif

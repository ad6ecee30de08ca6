/* Texts with numbers: a list of distinct, non-empty byte strings and the way back from a text to
 * its number. It holds what a model file says, so it is built within limits: a file made so that
 * its texts collide in the hash is refused instead of taking quadratic time. */
#ifndef RBEE_HIP_TEXT_TOKEN_TEXTS_H
#define RBEE_HIP_TEXT_TOKEN_TEXTS_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Four times the longest seen in 16 public vocabularies (1,024: runs of spaces). */
    TOKEN_TEXT_MAX_BYTES = 4096,
    /* Four times the largest public vocabulary (262,144). */
    TOKEN_TEXTS_MAX_COUNT = 1 << 20,
};

struct token_texts {
    char *bytes;       /* all texts, one after another */
    uint32_t *offsets; /* [capacity + 1]; text i is bytes[offsets[i]] to bytes[offsets[i + 1]] */
    uint32_t count;
    uint32_t capacity;
    uint32_t bytes_capacity;
    uint32_t *slots; /* open addressing: number of a text, or TOKEN_TEXTS_NONE */
    uint32_t slot_mask;
};

enum { TOKEN_TEXTS_NONE = UINT32_MAX };

/* Room for COUNT texts of together TOTAL_BYTES. ERR_INVALID_MODEL when that is more than the
 * limits, ERR_NO_MEMORY. */
int token_texts_init(struct token_texts *texts, uint64_t count, uint64_t total_bytes,
                     struct err *err);
void token_texts_release(struct token_texts *texts);
/* Adds the next text. ERR_INVALID_MODEL when it is empty, too long, or there already. */
int token_texts_add(struct token_texts *texts, const char *text, size_t len, struct err *err);
/* INDEX < count. Borrowed. */
const char *token_texts_at(const struct token_texts *texts, uint32_t index, size_t *out_len);
uint32_t token_texts_find(const struct token_texts *texts, const char *text, size_t len);

#endif

/* Tokens of one request whose log-probabilities its reader has not been told of: those behind text
 * that is held back, until it is known whether that text, and so they, are shown. Only of requests
 * that asked for them.
 *
 * Each token gets the text that it adds to the answer. One that only begins or goes on with a
 * character gets none; the one that ends it gets the character, or U+FFFD if it is none. */
#ifndef RBEE_HIP_ENGINE_UNTOLD_H
#define RBEE_HIP_ENGINE_UNTOLD_H

#include "common/err.h"
#include "hip/text/logprobs.h"
#include "hip/text/output.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Four times what a stop string can hold back (INFERENCE_STOP_MAX_BYTES, a token a byte). Only
     * tokens that stand for no text at all could come to more. */
    UNTOLD_MAX_COUNT = 1024,
};

struct untold;

/* TOP_COUNT as for logprobs_new(). */
struct untold *untold_new(uint32_t top_count, uint32_t vocab_count);
void untold_free(struct untold *untold);
/* The logits [vocab_count] that the next token is taken from, before they are changed. */
void untold_keep(struct untold *untold, const float *logits);
/* TOKEN was taken, and added EXTENT to the text. ERR_NO_MEMORY at the limit. */
int untold_add(struct untold *untold, uint32_t token, const struct text_extent *extent,
               struct err *err);

enum untold_until {
    UNTOLD_SHOWN,   /* more text may come */
    UNTOLD_STOPPED, /* the text ends here, and what was held back is dropped with its tokens */
    UNTOLD_ENDED,   /* the text ends here, and holds all of them */
};
struct untold_token {
    const struct logprob *logprobs; /* [count], borrowed until the next call */
    uint32_t count;
    size_t text_len; /* its part of what is shown, behind what was told before */
};
/* The next token that can be told when SHOWN_LEN bytes more than have been told are shown; false:
 * none. */
bool untold_next(struct untold *untold, size_t shown_len, enum untold_until until,
                 struct untold_token *out);

#endif

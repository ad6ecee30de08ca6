/* Tokens to text as it may be shown: whole characters only, nothing that might still turn into a
 * stop string. Detokeniser (detok.c) and stop strings (stop.c) in one stream of one request. */
#ifndef RBEE_HIP_TEXT_OUTPUT_H
#define RBEE_HIP_TEXT_OUTPUT_H

#include "common/buf.h"
#include "common/err.h"
#include "hip/text/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_output;

/* STOPS are copied. */
struct text_output *text_output_new(const struct vocab *vocab, const char *const *stops,
                                    size_t stop_count);
void text_output_free(struct text_output *output);
/* What comes is a text of its own, not the rest of the prompt's: where the vocabulary puts a space
 * before a text, the first one is not shown. */
void text_output_begin_text(struct text_output *output);
/* Adds a token; appends to OUT the text that may be shown now (perhaps none). *out_stopped is true
 * when a stop string is complete: the text before it has been appended, the rest is dropped. Bytes
 * that can never become a character are shown as U+FFFD. */
int text_output_push(struct text_output *output, uint32_t token, struct buf *out, bool *out_stopped,
                     struct err *err);
/* The end has come without a stop string: appends what was held back. */
int text_output_flush(struct text_output *output, struct buf *out, struct err *err);
/* What the last token added to the text, shown or held back, in bytes from the text's beginning. */
struct text_extent {
    uint64_t begin;
    uint64_t end;
    /* False: not all of it is there. A part of a character follows, or what a stop string cut off.
     */
    bool is_whole;
};
struct text_extent text_output_extent(const struct text_output *output);

#endif

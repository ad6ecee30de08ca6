/* The tokens of a model and how text becomes them, as the file's tokenizer.ggml.* keys say: BPE
 * after a regular expression has cut the text (pretok.c), or SentencePiece (spm.c). Read-only after
 * vocab_new. */
#ifndef RBEE_HIP_TEXT_VOCAB_H
#define RBEE_HIP_TEXT_VOCAB_H

#include "common/err.h"
#include "hip/model/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vocab;

/* ERR_INVALID_MODEL names the tokenizer or the pre-type that is not supported. Copies what it
 * keeps; GGUF may be freed. */
struct vocab *vocab_new(const struct gguf *gguf, struct err *err);
void vocab_free(struct vocab *vocab);

enum { VOCAB_NONE = UINT32_MAX };
uint32_t vocab_count(const struct vocab *vocab);
uint32_t vocab_bos(const struct vocab *vocab); /* VOCAB_NONE when the file has none */
bool vocab_adds_bos(const struct vocab *vocab);
/* A space is put before a text, and has to be taken from what the model says. */
bool vocab_adds_space(const struct vocab *vocab);
bool vocab_is_end(const struct vocab *vocab, uint32_t token); /* any of the EOG set */
bool vocab_is_control(const struct vocab *vocab, uint32_t token);
/* The token whose text is exactly TEXT ("<|im_end|>"); VOCAB_NONE. */
uint32_t vocab_find(const struct vocab *vocab, const char *text, size_t len);

/* The bytes a token stands for (may be part of a character). Control tokens have none, unless
 * WITH_CONTROL. Borrowed. */
const char *vocab_piece(const struct vocab *vocab, uint32_t token, bool with_control,
                        size_t *out_len);

struct token_list {
    uint32_t *ids;
    size_t count;
    size_t capacity;
    size_t max; /* most tokens it may hold */
};
void token_list_init(struct token_list *list, size_t max);
void token_list_release(struct token_list *list);
int token_list_add(struct token_list *list, uint32_t id, struct err *err); /* ERR_PROMPT_TOO_LONG */

enum vocab_markup {
    VOCAB_PLAIN,  /* "<|im_end|>" in TEXT is text: what users wrote */
    VOCAB_MARKUP, /* it is the control token: what templates wrote */
};
/* A piece of a text; the next one follows it at once. */
struct vocab_span {
    size_t len;
    enum vocab_markup markup;
};
/* Appends the tokens of TEXT, which may hold any bytes: invalid UTF-8 neither fails nor loops. No
 * BOS is added here. The spans are one text: only special tokens must lie within one. The list of
 * them covers TEXT. */
int vocab_tokenize_spans(const struct vocab *vocab, const char *text,
                         const struct vocab_span *spans, size_t span_count, struct token_list *out,
                         struct err *err);
/* The same of one span. */
int vocab_tokenize(const struct vocab *vocab, const char *text, size_t len,
                   enum vocab_markup markup, struct token_list *out, struct err *err);

#endif

/* The parts of reading a vocabulary; for vocab_load*.c alone. */
#ifndef RBEE_HIP_TEXT_VOCAB_LOAD_H
#define RBEE_HIP_TEXT_VOCAB_LOAD_H

#include "common/err.h"
#include "hip/model/gguf.h"
#include "hip/text/vocab.h"

#include <stdbool.h>
#include <stdint.h>

/* What SentencePiece numbers its own tokens by default, for files that do not say. */
enum { VOCAB_SPM_UNKNOWN = 0, VOCAB_SPM_BOS = 1, VOCAB_SPM_EOS = 2 };

/* *VALUE stays where the file has no such key. */
int vocab_read_optional_bool(const struct gguf *gguf, const char *key, bool *value,
                             struct err *err);
/* The id under KEY; where there is none, FALLBACK if that is a token, else VOCAB_NONE. */
int vocab_read_id(const struct vocab *vocab, const struct gguf *gguf, const char *key,
                  uint32_t fallback, uint32_t *out, struct err *err);

int vocab_load_pretok(struct vocab *vocab, const struct gguf *gguf, struct err *err);
/* IS_MERGED[id]: a text can become this token, so that it is no special one. */
int vocab_load_merges(struct vocab *vocab, const struct gguf *gguf, bool *is_merged,
                      struct err *err);
int vocab_load_scores(struct vocab *vocab, const struct gguf *gguf, struct err *err);
/* Which tokens end a text, and which are control whatever the file calls them. IS_MERGED: NULL
 * where there are no merges. */
int vocab_load_special(struct vocab *vocab, const struct gguf *gguf, const bool *is_merged,
                       struct err *err);

#endif

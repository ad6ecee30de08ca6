/* Owns the questions about a vocabulary's tokens. Must not know how a vocabulary is read from a
 * file (vocab_load.c), nor how text becomes tokens (tokenize.c). */
#include "hip/text/vocab.h"

#include "hip/text/vocab_fields.h"

#include <stdlib.h>

void vocab_free(struct vocab *vocab)
{
    if (vocab == NULL)
        return;
    token_texts_release(&vocab->texts);
    markup_release(&vocab->markup[VOCAB_PLAIN]);
    markup_release(&vocab->markup[VOCAB_MARKUP]);
    pretok_free(vocab->pretok);
    bpe_free(vocab->bpe);
    spm_free(vocab->spm);
    free(vocab->types);
    free(vocab->is_end);
    free(vocab->strips_right);
    free(vocab->pieces);
    free(vocab->piece_offsets);
    free(vocab);
}

uint32_t vocab_count(const struct vocab *vocab)
{
    return vocab->texts.count;
}

uint32_t vocab_bos(const struct vocab *vocab)
{
    return vocab->bos;
}

bool vocab_adds_bos(const struct vocab *vocab)
{
    return vocab->adds_bos;
}

bool vocab_adds_space(const struct vocab *vocab)
{
    return vocab->adds_space;
}

/* A model's head may have more rows than the file has tokens (padding), so the questions about a
 * token take any number: one without a text is neither control nor end, and stands for nothing. */
bool vocab_is_end(const struct vocab *vocab, uint32_t token)
{
    return token < vocab->texts.count && vocab->is_end[token];
}

bool vocab_is_control(const struct vocab *vocab, uint32_t token)
{
    return token < vocab->texts.count &&
           (vocab->types[token] == TOKEN_CONTROL || vocab->types[token] == TOKEN_UNKNOWN);
}

uint32_t vocab_find(const struct vocab *vocab, const char *text, size_t len)
{
    uint32_t token = token_texts_find(&vocab->texts, text, len);

    return token == TOKEN_TEXTS_NONE ? VOCAB_NONE : token;
}

const char *vocab_piece(const struct vocab *vocab, uint32_t token, bool with_control,
                        size_t *out_len)
{
    if (token >= vocab->texts.count || (vocab_is_control(vocab, token) && !with_control)) {
        *out_len = 0;
        return "";
    }
    *out_len = vocab->piece_offsets[token + 1] - vocab->piece_offsets[token];
    return vocab->pieces + vocab->piece_offsets[token];
}

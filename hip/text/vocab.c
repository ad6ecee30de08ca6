/* Owns the use of a vocabulary: tokens by id and by text, and a text into tokens. Must not know how
 * a vocabulary is read from a file (vocab_load.c). */
#include "hip/text/vocab.h"

#include "hip/text/byte_text.h"
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
    free(vocab->types);
    free(vocab->is_end);
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

/* One call of vocab_tokenize. */
struct tokenizing {
    const struct vocab *vocab;
    struct pretok_cursor cursor;
    struct bpe_work work;
    struct token_list *out;
};

/* The ordinary token that stands for the whole word; VOCAB_NONE. */
static uint32_t find_word(const struct vocab *vocab, const char *word, size_t len)
{
    char text[TOKEN_TEXT_MAX_BYTES];
    size_t text_len = 0;
    uint32_t token = 0;

    if (len > sizeof(text) / BYTE_TEXT_MAX_BYTES)
        return VOCAB_NONE;
    for (size_t i = 0; i < len; i++)
        text_len += byte_text_encode((uint8_t)word[i], text + text_len);
    token = vocab_find(vocab, text, text_len);
    return token != VOCAB_NONE && vocab->types[token] == TOKEN_NORMAL ? token : VOCAB_NONE;
}

static int tokenize_word(struct tokenizing *state, const char *word, size_t len, struct err *err)
{
    if (pretok_ignores_merges(state->vocab->pretok)) {
        uint32_t token = find_word(state->vocab, word, len);

        if (token != VOCAB_NONE)
            return token_list_add(state->out, token, err);
    }
    return bpe_encode(state->vocab->bpe, &state->work, word, len, state->out, err);
}

static int tokenize_words(struct tokenizing *state, const char *text, size_t len, struct err *err)
{
    const char *word = NULL;
    size_t word_len = 0;

    pretok_cursor_begin(&state->cursor, text, len);
    while (pretok_cursor_next(&state->cursor, &word, &word_len)) {
        if (tokenize_word(state, word, word_len, err) != 0)
            return -1;
    }
    return 0;
}

static int tokenize_text(struct tokenizing *state, const struct markup *markup, const char *text,
                         size_t len, struct err *err)
{
    size_t at = 0;
    size_t mark_len = 0;
    uint32_t token = 0;

    while (markup_find(markup, text, len, &at, &mark_len, &token)) {
        if (tokenize_words(state, text, at, err) != 0 ||
            token_list_add(state->out, token, err) != 0)
            return -1;
        text += at + mark_len;
        len -= at + mark_len;
    }
    return tokenize_words(state, text, len, err);
}

int vocab_tokenize(const struct vocab *vocab, const char *text, size_t len,
                   enum vocab_markup markup, struct token_list *out, struct err *err)
{
    struct tokenizing state = {.vocab = vocab, .out = out};
    int result = 0;

    if (pretok_cursor_init(&state.cursor, vocab->pretok, err) != 0)
        return -1;
    bpe_work_init(&state.work);
    result = tokenize_text(&state, &vocab->markup[markup], text, len, err);
    bpe_work_release(&state.work);
    pretok_cursor_release(&state.cursor);
    return result;
}

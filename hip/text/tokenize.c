/* Owns the way from a text to tokens: special tokens first, and what lies between them as the
 * vocabulary's kind does it. Must not know how a vocabulary is read from a file, nor templates. */
#include "hip/text/byte_text.h"
#include "hip/text/vocab.h"
#include "hip/text/vocab_fields.h"

#include <assert.h>
#include <string.h>

/* One call of vocab_tokenize_spans. */
struct tokenizing {
    const struct vocab *vocab;
    const char *text;
    size_t len;
    size_t rest;                 /* where the text begins that is no tokens yet */
    bool is_after_start;         /* no text since the beginning or a special token */
    struct pretok_cursor cursor; /* of VOCAB_BPE */
    struct joining joining;
    struct spm_work spm;
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
    return bpe_encode(state->vocab->bpe, &state->joining, word, len, state->out, err);
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

/* What lies before END and is no tokens yet; it holds no special token. */
static int tokenize_rest(struct tokenizing *state, size_t end, struct err *err)
{
    const char *text = state->text + state->rest;
    size_t len = end - state->rest;
    bool adds_space = state->vocab->adds_space && state->is_after_start;

    assert(end >= state->rest);
    if (len == 0)
        return 0;
    state->rest = end;
    state->is_after_start = false;
    if (state->vocab->kind == VOCAB_BPE)
        return tokenize_words(state, text, len, err);
    return spm_encode(state->vocab->spm, &state->spm, text, len, adds_space, state->out, err);
}

/* isspace() of the C locale, which is what reference tokenizers strip. */
static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int add_special(struct tokenizing *state, size_t at, size_t len, uint32_t token,
                       struct err *err)
{
    const bool *strips_right = state->vocab->strips_right;

    if (tokenize_rest(state, at, err) != 0 || token_list_add(state->out, token, err) != 0)
        return -1;
    state->is_after_start = true;
    state->rest = at + len;
    if (strips_right != NULL && strips_right[token]) {
        while (state->rest < state->len && is_space(state->text[state->rest]))
            state->rest++;
    }
    return 0;
}

/* Finds the special tokens of the span from BEGIN to END. */
static int walk_span(struct tokenizing *state, size_t begin, size_t end, enum vocab_markup kind,
                     struct err *err)
{
    const struct markup *markup = &state->vocab->markup[kind];
    size_t from = begin;
    size_t at = 0;
    size_t len = 0;
    uint32_t token = 0;

    for (;;) {
        if (from < state->rest) /* white space that has been stripped */
            from = state->rest;
        if (from >= end || !markup_find(markup, state->text + from, end - from, &at, &len, &token))
            return 0;
        if (add_special(state, from + at, len, token, err) != 0)
            return -1;
        from += at + len;
    }
}

static int walk(struct tokenizing *state, const struct vocab_span *spans, size_t span_count,
                struct err *err)
{
    size_t begin = 0;

    for (size_t i = 0; i < span_count; i++) {
        if (walk_span(state, begin, begin + spans[i].len, spans[i].markup, err) != 0)
            return -1;
        begin += spans[i].len;
    }
    return tokenize_rest(state, begin, err);
}

int vocab_tokenize_spans(const struct vocab *vocab, const char *text,
                         const struct vocab_span *spans, size_t span_count, struct token_list *out,
                         struct err *err)
{
    struct tokenizing state = {.vocab = vocab, .text = text, .is_after_start = true, .out = out};
    int result = 0;

    for (size_t i = 0; i < span_count; i++)
        state.len += spans[i].len;
    if (vocab->kind == VOCAB_BPE && pretok_cursor_init(&state.cursor, vocab->pretok, err) != 0)
        return -1;
    joining_init(&state.joining);
    spm_work_init(&state.spm);
    result = walk(&state, spans, span_count, err);
    spm_work_release(&state.spm);
    joining_release(&state.joining);
    pretok_cursor_release(&state.cursor);
    return result;
}

int vocab_tokenize(const struct vocab *vocab, const char *text, size_t len,
                   enum vocab_markup markup, struct token_list *out, struct err *err)
{
    const struct vocab_span span = {len, markup};

    return vocab_tokenize_spans(vocab, text, &span, 1, out, err);
}

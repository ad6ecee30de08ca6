/* Any bytes through the tokenizer and back: nothing is lost, nothing that was not markup becomes a
 * control token, and what the output shows is UTF-8. The first byte chooses the pre-type. */
#include "common/utf8.h"
#include "hip/text/output.h"
#include "tests/vocab_fixture.h"

static const char *const PRES[] = {
#define PRETOK(name, ignores_merges, adds_bos, ...) name,
#include "hip/text/pretok.def"
#undef PRETOK
};

static struct vocab *vocab_of(uint8_t choice)
{
    static struct vocab *vocabs[ARRAY_COUNT(PRES)];
    size_t index = choice % ARRAY_COUNT(PRES);
    struct fixture fixture = {
        .pre = PRES[index],
        .tokens = {{"<|im_start|>", TOKEN_CONTROL},
                   {"<|im_end|>", TOKEN_CONTROL},
                   {"<|im", TOKEN_CONTROL},
                   {"<tool>", TOKEN_USER_DEFINED},
                   {"th", TOKEN_NORMAL},
                   {"the", TOKEN_NORMAL},
                   {"^the", TOKEN_NORMAL},
                   {"^^", TOKEN_NORMAL},
                   {"^^^^", TOKEN_NORMAL},
                   {"in", TOKEN_NORMAL},
                   {"11", TOKEN_NORMAL}},
        .merges = {"t h", "th e", "^ the", "^ ^", "^^ ^^", "i n", "1 1"},
        .bos = "<|im_start|>",
        .eos = "<|im_end|>",
    };
    struct err err = ERR_INIT;

    if (vocabs[index] == NULL)
        vocabs[index] = fixture_vocab(&fixture, &err);
    if (vocabs[index] == NULL)
        abort();
    return vocabs[index];
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_pieces(const struct vocab *vocab, const struct token_list *tokens,
                         const char *text, size_t len, enum vocab_markup markup)
{
    size_t at = 0;

    for (size_t i = 0; i < tokens->count; i++) {
        size_t piece_len = 0;
        const char *piece = vocab_piece(vocab, tokens->ids[i], true, &piece_len);

        require(markup == VOCAB_MARKUP || !vocab_is_control(vocab, tokens->ids[i]));
        require(piece_len <= len - at && memcmp(piece, text + at, piece_len) == 0);
        at += piece_len;
    }
    require(at == len);
}

static void check_output(const struct vocab *vocab, const struct token_list *tokens)
{
    static const char *const STOPS[] = {"the", "<tool>", "\xe2\x82\xac"};
    struct text_output *output = text_output_new(vocab, STOPS, ARRAY_COUNT(STOPS));
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT(FIXTURE_MAX_BYTES);
    bool stopped = false;

    for (size_t i = 0; i < tokens->count && !stopped; i++) {
        require(text_output_push(output, tokens->ids[i], &out, &stopped, &err) == 0);
        require(utf8_is_valid(out.data, out.len));
    }
    if (!stopped)
        require(text_output_flush(output, &out, &err) == 0);
    require(utf8_is_valid(out.data, out.len));
    for (size_t i = 0; i < ARRAY_COUNT(STOPS); i++)
        require(memmem(out.data, out.len, STOPS[i], strlen(STOPS[i])) == NULL);
    text_output_free(output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct vocab *vocab = NULL;

    if (len == 0)
        return 0;
    vocab = vocab_of(data[0]);
    for (int markup = VOCAB_PLAIN; markup <= VOCAB_MARKUP; markup++) {
        const char *text = (const char *)data + 1;
        struct token_list tokens;
        struct err err = ERR_INIT;

        token_list_init(&tokens, len);
        require(vocab_tokenize(vocab, text, len - 1, (enum vocab_markup)markup, &tokens, &err) ==
                0);
        check_pieces(vocab, &tokens, text, len - 1, (enum vocab_markup)markup);
        check_output(vocab, &tokens);
        token_list_release(&tokens);
    }
    return 0;
}

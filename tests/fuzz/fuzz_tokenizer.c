/* Any bytes through the tokenizer and back: nothing is lost, nothing that was not markup becomes a
 * control token, and what the output shows is UTF-8. The first byte chooses the pre-type, or
 * SentencePiece with or without a space before a text. */
#include "common/utf8.h"
#include "hip/engine/untold.h"
#include "hip/text/output.h"
#include "tests/vocab_fixture.h"

static const char *const PRES[] = {
#define PRETOK(name, ignores_merges, adds_bos, ...) name,
#include "hip/text/pretok.def"
#undef PRETOK
};

enum {
    SPM_KINDS = 2,
    KINDS = ARRAY_COUNT(PRES) + SPM_KINDS,
    TOKEN_MAX_COUNT = 2 * FIXTURE_BYTES, /* of a fixture */
};

static struct fixture bpe_fixture(const char *pre)
{
    return (struct fixture){
        .pre = pre,
        .tokens = {{"<|im_start|>", TOKEN_CONTROL, 0},
                   {"<|im_end|>", TOKEN_CONTROL, 0},
                   {"<|im", TOKEN_CONTROL, 0},
                   {"<tool>", TOKEN_USER_DEFINED, 0},
                   {"th", TOKEN_NORMAL, 0},
                   {"the", TOKEN_NORMAL, 0},
                   {"^the", TOKEN_NORMAL, 0},
                   {"^^", TOKEN_NORMAL, 0},
                   {"^^^^", TOKEN_NORMAL, 0},
                   {"in", TOKEN_NORMAL, 0},
                   {"11", TOKEN_NORMAL, 0}},
        .merges = {"t h", "th e", "^ the", "^ ^", "^^ ^^", "i n", "1 1"},
        .bos = "<|im_start|>",
        .eos = "<|im_end|>",
    };
}

/* Scores tie, control tokens have the highest, and one letter has no token. */
static struct fixture spm_fixture(bool adds_no_space)
{
    return (struct fixture){
        .model = "llama",
        .adds_no_space = adds_no_space,
        .tokens = {{"<|im_start|>", TOKEN_CONTROL, 0},
                   {"<|im_end|>", TOKEN_CONTROL, 0},
                   {"<tool>", TOKEN_USER_DEFINED, 0},
                   {"<", TOKEN_NORMAL, -9},
                   {"|", TOKEN_NORMAL, -9},
                   {"<|", TOKEN_NORMAL, -1},
                   {"t", TOKEN_NORMAL, -9},
                   {"h", TOKEN_NORMAL, -9},
                   {"th", TOKEN_NORMAL, -2},
                   {"the", TOKEN_NORMAL, -3},
                   {"^", TOKEN_NORMAL, -9},
                   {"^t", TOKEN_NORMAL, -2},
                   {"^the", TOKEN_NORMAL, -4},
                   {"^^", TOKEN_NORMAL, -5},
                   {"^^^^", TOKEN_NORMAL, -5},
                   {"\xc3\xa9", TOKEN_NORMAL, -6}},
        .bos = "<|im_start|>",
        .eos = "<|im_end|>",
    };
}

static struct vocab *vocab_of(uint8_t choice)
{
    static struct vocab *vocabs[KINDS];
    size_t index = choice % KINDS;
    struct fixture fixture =
        index < SPM_KINDS ? spm_fixture(index == 0) : bpe_fixture(PRES[index - SPM_KINDS]);
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

/* Where the vocabulary puts a space before a text, that one is not in the text. U+2581 and a space
 * are one to it: texts with that character come back with spaces. */
static void check_pieces(const struct vocab *vocab, const struct token_list *tokens,
                         const char *text, size_t len, enum vocab_markup markup)
{
    bool is_start = true;
    size_t at = 0;

    for (size_t i = 0; i < tokens->count; i++) {
        size_t piece_len = 0;
        const char *piece = vocab_piece(vocab, tokens->ids[i], true, &piece_len);

        require(markup == VOCAB_MARKUP || !vocab_is_control(vocab, tokens->ids[i]));
        if (is_start && vocab_adds_space(vocab) && piece[0] == ' ') {
            piece++;
            piece_len--;
        }
        require(piece_len <= len - at && memcmp(piece, text + at, piece_len) == 0);
        at += piece_len;
        is_start = vocab_is_control(vocab, tokens->ids[i]) ||
                   vocab_find(vocab, "<tool>", 6) == tokens->ids[i];
    }
    require(at == len);
}

/* Takes what can be told of OUT from *TOLD_LEN on; each token is one of TOKENS, in their order. */
static void take_told(struct untold *untold, const struct buf *out, enum untold_until until,
                      const struct token_list *tokens, size_t *told_len, size_t *told_count)
{
    struct untold_token token;

    while (untold_next(untold, out->len - *told_len, until, &token)) {
        require(*told_count < tokens->count);
        require(token.logprobs[0].token == tokens->ids[(*told_count)++]);
        *told_len += token.text_len;
        require(*told_len <= out->len);
        require(utf8_is_valid(out->data, *told_len));
    }
}

/* Every token is told once, in order, and with all of the text; at a stop string, those whose text
 * is shown. */
static void check_told(const struct vocab *vocab, const struct token_list *tokens)
{
    static const char *const STOPS[] = {"the", "<tool>", "\xe2\x82\xac"};
    static const float LOGITS[TOKEN_MAX_COUNT];
    struct text_output *output = text_output_new(vocab, STOPS, ARRAY_COUNT(STOPS));
    struct untold *untold = untold_new(0, vocab_count(vocab));
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT(FIXTURE_MAX_BYTES);
    bool stopped = false;
    size_t told_len = 0;
    size_t told_count = 0;

    require(vocab_count(vocab) <= TOKEN_MAX_COUNT);
    untold_keep(untold, LOGITS);
    for (size_t i = 0; i < tokens->count && !stopped; i++) {
        struct text_extent extent;

        require(text_output_push(output, tokens->ids[i], &out, &stopped, &err) == 0);
        extent = text_output_extent(output);
        if (untold_add(untold, tokens->ids[i], &extent, &err) != 0)
            break; /* too many without text, behind the beginning of a stop string */
        take_told(untold, &out, stopped ? UNTOLD_STOPPED : UNTOLD_SHOWN, tokens, &told_len,
                  &told_count);
        require(told_count <= i + 1);
    }
    if (!stopped && !err_is_set(&err)) {
        require(text_output_flush(output, &out, &err) == 0);
        take_told(untold, &out, UNTOLD_ENDED, tokens, &told_len, &told_count);
        require(told_count == tokens->count);
    }
    require(told_len == out.len || err_is_set(&err));
    untold_free(untold);
    text_output_free(output);
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

        token_list_init(&tokens, 2 * len); /* and the spaces before texts */
        require(vocab_tokenize(vocab, text, len - 1, (enum vocab_markup)markup, &tokens, &err) ==
                0);
        if (memmem(text, len - 1, SPM_SPACE, strlen(SPM_SPACE)) == NULL)
            check_pieces(vocab, &tokens, text, len - 1, (enum vocab_markup)markup);
        check_output(vocab, &tokens);
        check_told(vocab, &tokens);
        token_list_release(&tokens);
    }
    return 0;
}

/* SentencePiece vocabularies: against a slow encoder that does what the definition says, and what
 * happens to spaces, bytes and special tokens on the way. */
#include "common/mem.h"
#include "hip/text/spm.h"
#include "tests/unit/vocab_refused.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOKEN_MAX = 16 << 20 };

static struct fixture sound_fixture(void)
{
    return (struct fixture){
        .model = "llama",
        .tokens = {{"<unk>", TOKEN_UNKNOWN},     {"<s>", TOKEN_CONTROL},
                   {"</s>", TOKEN_CONTROL},      {"^", TOKEN_NORMAL, -10},
                   {"h", TOKEN_NORMAL, -11},     {"e", TOKEN_NORMAL, -12},
                   {"l", TOKEN_NORMAL, -13},     {"o", TOKEN_NORMAL, -14},
                   {"s", TOKEN_NORMAL, -14},     {"<", TOKEN_NORMAL, -14},
                   {">", TOKEN_NORMAL, -14},     {"^h", TOKEN_NORMAL, -3},
                   {"he", TOKEN_NORMAL, -2},     {"ll", TOKEN_NORMAL, -2},
                   {"^he", TOKEN_NORMAL, -1},    {"llo", TOKEN_NORMAL, -4},
                   {"^hello", TOKEN_NORMAL, -5}, {"^^", TOKEN_NORMAL, -6},
                   {"s>", TOKEN_NORMAL, -1},     {"\xc3\xa9", TOKEN_NORMAL, -20},
                   {"<t>", TOKEN_USER_DEFINED}},
        .bos = "<s>",
        .eos = "</s>",
    };
}

/* The tokens of SPANS of TEXT by their texts in the fixture, bytes as "0A", '|' between them. */
static void describe_tokens(const struct fixture *fixture, const struct token_list *tokens,
                            struct buf *out)
{
    for (size_t i = 0; i < tokens->count; i++) {
        uint32_t id = tokens->ids[i];
        char byte[8];

        (void)snprintf(byte, sizeof(byte), "%02X", (unsigned)(id & 0xff)); /* it fits */
        if (i > 0)
            writer_check(buf_add_byte(out, '|'));
        writer_check(buf_add_string(
            out, id < FIXTURE_BYTES ? byte : fixture->tokens[id - FIXTURE_BYTES].text));
    }
    writer_check(buf_add_byte(out, '\0'));
}

static struct vocab *sound_vocab(const struct fixture *fixture)
{
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(fixture, &err);

    if (vocab == NULL)
        fail_msg("%s", err.message);
    return vocab;
}

static void expect_spans(const struct fixture *fixture, const char *text,
                         const struct vocab_span *spans, size_t span_count, const char *expected)
{
    struct vocab *vocab = sound_vocab(fixture);
    struct token_list tokens;
    struct err err = ERR_INIT;
    AUTO_BUF struct buf found = BUF_INIT(FIXTURE_MAX_BYTES);

    token_list_init(&tokens, TOKEN_MAX);
    assert_int_equal(vocab_tokenize_spans(vocab, text, spans, span_count, &tokens, &err), 0);
    describe_tokens(fixture, &tokens, &found);
    assert_string_equal(found.data, expected);
    token_list_release(&tokens);
    vocab_free(vocab);
}

static void expect_tokens(const struct fixture *fixture, const char *text, enum vocab_markup markup,
                          const char *expected)
{
    const struct vocab_span span = {strlen(text), markup};

    expect_spans(fixture, text, &span, 1, expected);
}

/* ---- the definition ---- */

struct slow_token {
    char text[16];
    float score;
};

/* As long as two neighbours are a token together, join those whose token has the highest score, the
 * leftmost of these. CUTS[i] is where symbol i begins; returns how many are left. */
static size_t encode_slowly(const struct slow_token *vocabulary, size_t vocabulary_count,
                            const char *text, size_t *cuts, size_t count)
{
    for (;;) {
        size_t best = SIZE_MAX;
        float best_score = 0;

        for (size_t i = 0; i + 1 < count; i++) {
            size_t len = cuts[i + 2] - cuts[i];

            for (size_t t = 0; t < vocabulary_count; t++) {
                const struct slow_token *token = &vocabulary[t];

                if (strlen(token->text) == len && memcmp(token->text, text + cuts[i], len) == 0 &&
                    (best == SIZE_MAX || token->score > best_score)) {
                    best = i;
                    best_score = token->score;
                }
            }
        }
        if (best == SIZE_MAX)
            return count;
        memmove(&cuts[best + 1], &cuts[best + 2], (count - best - 1) * sizeof(*cuts));
        count--;
    }
}

/* Random texts over four letters, the letters themselves first; scores are few, so that many tie.
 */
static size_t make_vocabulary(struct slow_token *out, size_t max, uint64_t *seed)
{
    size_t count = 0;

    for (size_t tries = 0; tries < 4 * max && count < max; tries++) {
        struct slow_token token = {.score = -(float)(tiny_next(seed) % 6)};
        size_t len = count < 4 ? 1 : 2 + tiny_next(seed) % 5;
        bool is_new = true;

        for (size_t i = 0; i < len; i++)
            token.text[i] = (char)('a' + (count < 4 ? count : tiny_next(seed) % 4));
        for (size_t i = 0; i < count; i++)
            is_new &= strcmp(out[i].text, token.text) != 0;
        if (is_new)
            out[count++] = token;
    }
    return count;
}

/* For any scores and any text, the fast encoder and the definition agree. */
static void agrees_with_the_definition(void **state)
{
    uint64_t seed = 5;

    for (int round = 0; round < 3000; round++) {
        enum { VOCABULARY = FIXTURE_LIST_MAX, LEN = 40 };
        struct slow_token vocabulary[VOCABULARY] = {0};
        size_t vocabulary_count = make_vocabulary(vocabulary, VOCABULARY, &seed);
        struct fixture fixture = {.model = "llama", .adds_no_space = true};
        char text[LEN + 1] = "";
        size_t cuts[LEN + 1];
        size_t len = 1 + tiny_next(&seed) % LEN;
        size_t expected_count = 0;
        struct err err = ERR_INIT;
        struct token_list tokens;
        struct vocab *vocab = NULL;

        for (size_t i = 0; i < vocabulary_count; i++)
            fixture.tokens[i] =
                (struct fixture_token){vocabulary[i].text, TOKEN_NORMAL, vocabulary[i].score};
        for (size_t i = 0; i <= len; i++) {
            text[i] = i < len ? (char)('a' + tiny_next(&seed) % 4) : '\0';
            cuts[i] = i;
        }
        expected_count = encode_slowly(vocabulary, vocabulary_count, text, cuts, len);
        vocab = sound_vocab(&fixture);
        token_list_init(&tokens, TOKEN_MAX);
        assert_int_equal(vocab_tokenize(vocab, text, len, VOCAB_PLAIN, &tokens, &err), 0);
        assert_int_equal(tokens.count, expected_count);
        for (size_t i = 0; i < tokens.count; i++) {
            const char *piece = fixture.tokens[tokens.ids[i] - FIXTURE_BYTES].text;

            assert_int_equal(strlen(piece), cuts[i + 1] - cuts[i]);
            assert_memory_equal(piece, text + cuts[i], strlen(piece));
        }
        token_list_release(&tokens);
        vocab_free(vocab);
    }
}

static void the_highest_score_first_and_the_leftmost_of_equal_ones(void **state)
{
    struct fixture fixture = sound_fixture();

    /* "^he" is joined before "ll" and "llo". */
    expect_tokens(&fixture, "hello", VOCAB_PLAIN, "^hello");
    expect_tokens(&fixture, "lll", VOCAB_PLAIN, "^|ll|l");
    expect_tokens(&fixture, "hell", VOCAB_PLAIN, "^he|ll");
}

/* ---- spaces ---- */

/* A space is put before a text where it begins and behind a special token, once and nowhere else.
 */
static void a_space_before_a_text(void **state)
{
    struct fixture fixture = sound_fixture();

    expect_tokens(&fixture, "", VOCAB_PLAIN, "");
    expect_tokens(&fixture, "h", VOCAB_PLAIN, "^h");
    expect_tokens(&fixture, " h", VOCAB_PLAIN, "^|^h");
    expect_tokens(&fixture, "h h", VOCAB_PLAIN, "^h|^h");
    expect_tokens(&fixture, "<s>h</s>o", VOCAB_MARKUP, "<s>|^h|</s>|^|o");
    expect_tokens(&fixture, "h<t>o", VOCAB_PLAIN, "^h|<t>|^|o");
    fixture.adds_no_space = true;
    expect_tokens(&fixture, "h h", VOCAB_PLAIN, "h|^h");
    expect_tokens(&fixture, "<s>h</s>o", VOCAB_MARKUP, "<s>|h|</s>|o");
}

/* Phi-3's special tokens take the white space behind them, but for three. */
static void special_tokens_that_strip(void **state)
{
    struct fixture fixture = sound_fixture();
    const struct vocab_span spans[] = {{strlen("<t>\n"), VOCAB_MARKUP}, {3, VOCAB_PLAIN}};

    fixture.architecture = "phi3";
    expect_tokens(&fixture, "</s> \n\t h", VOCAB_MARKUP, "</s>|^h");
    expect_tokens(&fixture, "<t> </s> ", VOCAB_MARKUP, "<t>|</s>");
    expect_tokens(&fixture, "<s> h", VOCAB_MARKUP, "<s>|^|^h");
    /* also what a user began his text with */
    expect_spans(&fixture, "<t>\n  h", spans, ARRAY_COUNT(spans), "<t>|^h");
    fixture.architecture = "llama";
    expect_tokens(&fixture, "</s> h", VOCAB_MARKUP, "</s>|^|^h");
}

/* ---- special tokens ---- */

/* Scores would make "<s>" of '<' and "s>", but no text a user writes becomes a control token, an
 * unknown one or a byte. */
static void users_cannot_write_control_tokens(void **state)
{
    struct fixture fixture = sound_fixture();

    expect_tokens(&fixture, "<s>", VOCAB_PLAIN, "^|<|s>");
    expect_tokens(&fixture, "<s>", VOCAB_MARKUP, "<s>");
    expect_tokens(&fixture, "<unk>", VOCAB_PLAIN, "^|<|75|6E|6B|>");
    expect_tokens(&fixture, "<0x41>", VOCAB_PLAIN, "^|<|30|78|34|31|>");
}

/* Spans are one text for what is joined, and each its own for special tokens. */
static void spans_are_one_text(void **state)
{
    struct fixture fixture = sound_fixture();
    const struct vocab_span halves[] = {{2, VOCAB_MARKUP}, {3, VOCAB_PLAIN}};
    const struct vocab_span around[] = {{3, VOCAB_MARKUP}, {3, VOCAB_PLAIN}, {4, VOCAB_MARKUP}};
    const struct vocab_span torn[] = {{1, VOCAB_MARKUP}, {2, VOCAB_PLAIN}};

    expect_spans(&fixture, "hello", halves, ARRAY_COUNT(halves), "^hello");
    expect_spans(&fixture, "<s><s></s>", around, ARRAY_COUNT(around), "<s>|^|<|s>|</s>");
    expect_spans(&fixture, "<s>", torn, ARRAY_COUNT(torn), "^|<|s>");
    expect_spans(&fixture, "", NULL, 0, "");
}

/* ---- bytes ---- */

static bool lacks_z(int byte)
{
    return byte == 'z';
}

static void what_is_no_token_is_its_bytes(void **state)
{
    struct fixture fixture = sound_fixture();

    expect_tokens(&fixture, "z\n", VOCAB_PLAIN, "^|7A|0A");
    expect_tokens(&fixture, "\xc3\xa9\xc3\xa8", VOCAB_PLAIN, "^|\xc3\xa9|C3|A8");
    expect_tokens(&fixture, "\xc3h\xff", VOCAB_PLAIN, "^|C3|h|FF");
    fixture.lacks_byte = lacks_z;
    expect_tokens(&fixture, "hzh", VOCAB_PLAIN, "^h|h"); /* nor is there an unknown token */
}

/* Any text goes in and comes out again, but for the space before it. */
static void any_bytes_come_back(void **state)
{
    static const char *const PIECES[] = {"hello",    " ",    "</s>", "\xc3\xa9", "\xc3",
                                         "\xe2\x96", "\xff", "\n",   "<t>",      "ll"};
    struct fixture fixture = sound_fixture();
    struct vocab *vocab = sound_vocab(&fixture);
    uint64_t seed = 12;

    for (int round = 0; round < 50000; round++) {
        AUTO_BUF struct buf text = BUF_INIT(4096);
        AUTO_BUF struct buf back = BUF_INIT(4096);
        struct token_list tokens;
        struct err err = ERR_INIT;

        for (size_t parts = tiny_next(&seed) % 9; parts > 0; parts--)
            writer_check(buf_add_string(&text, PIECES[tiny_next(&seed) % ARRAY_COUNT(PIECES)]));
        token_list_init(&tokens, TOKEN_MAX);
        assert_int_equal(vocab_tokenize(vocab, text.data, text.len, VOCAB_PLAIN, &tokens, &err), 0);
        for (size_t i = 0; i < tokens.count; i++) {
            bool is_added = i == 0 || tokens.ids[i - 1] == fixture_id(&fixture, "<t>");
            size_t len = 0;
            const char *piece = vocab_piece(vocab, tokens.ids[i], false, &len);
            size_t skipped = is_added && len > 0 && piece[0] == ' ';

            writer_check(buf_add(&back, piece + skipped, len - skipped));
        }
        assert_int_equal(back.len, text.len);
        assert_memory_equal(back.data, text.data, text.len);
        token_list_release(&tokens);
    }
    vocab_free(vocab);
}

/* ---- long texts ---- */

/* What is encoded in parts has the tokens of its words, one after another. */
static void a_long_text_is_cut_between_words(void **state)
{
    enum { WORDS = 200000 };
    static const char WORD[] = " hello  lll";
    struct fixture fixture = sound_fixture();
    struct vocab *vocab = NULL;
    AUTO_FREE char *text = xmalloc(WORDS * strlen(WORD) + 1);
    struct token_list one;
    struct token_list all;
    struct err err = ERR_INIT;

    fixture.adds_no_space = true;
    vocab = sound_vocab(&fixture);
    for (size_t i = 0; i < WORDS; i++)
        memcpy(text + i * strlen(WORD), WORD, strlen(WORD));
    token_list_init(&one, TOKEN_MAX);
    token_list_init(&all, TOKEN_MAX);
    assert_int_equal(vocab_tokenize(vocab, WORD, strlen(WORD), VOCAB_PLAIN, &one, &err), 0);
    assert_int_equal(vocab_tokenize(vocab, text, WORDS * strlen(WORD), VOCAB_PLAIN, &all, &err), 0);
    assert_int_equal(all.count, WORDS * one.count);
    for (size_t i = 0; i < all.count; i++)
        assert_int_equal(all.ids[i], one.ids[i % one.count]);
    token_list_release(&one);
    token_list_release(&all);
    vocab_free(vocab);
}

/* One word of 4 MB, and 4 MB of spaces: with a list instead of a heap it would take hours, and
 * nothing is lost. */
static void long_words_are_not_quadratic(void **state)
{
    enum { LEN = 4 << 20 };
    static const char *const RUNS[] = {"l", " ", "\xc3\xa9", "hello"};
    struct fixture fixture = sound_fixture();
    struct vocab *vocab = sound_vocab(&fixture);
    AUTO_FREE char *text = xmalloc(LEN);

    for (size_t run = 0; run < ARRAY_COUNT(RUNS); run++) {
        struct token_list tokens;
        struct err err = ERR_INIT;
        size_t covered = 0;

        for (size_t i = 0; i < LEN; i++)
            text[i] = RUNS[run][i % strlen(RUNS[run])];
        token_list_init(&tokens, TOKEN_MAX);
        assert_int_equal(vocab_tokenize(vocab, text, LEN, VOCAB_PLAIN, &tokens, &err), 0);
        for (size_t i = 0; i < tokens.count; i++) {
            size_t len = 0;

            (void)vocab_piece(vocab, tokens.ids[i], false, &len); /* for its length alone */
            covered += len;
        }
        assert_int_equal(covered, LEN + 1); /* and the space before it */
        token_list_release(&tokens);
    }
    vocab_free(vocab);
}

/* ---- hostile files ---- */

static void bad_scores_are_refused(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.has_no_scores = true;
    expect_refused(&fixture, "tokenizer.ggml.scores");
    fixture = sound_fixture();
    fixture.tokens[5].score = NAN;
    expect_refused(&fixture, "no number");
}

/* Scores without bounds are scores. */
static void infinite_scores(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.tokens[14].score = -INFINITY; /* "^he" */
    fixture.tokens[13].score = INFINITY;  /* "ll" */
    expect_tokens(&fixture, "hell", VOCAB_PLAIN, "^he|ll");
}

/* What a file does not say is as SentencePiece numbers it: 1 begins a text, 2 ends it. */
static void ids_that_a_file_leaves_out(void **state)
{
    struct fixture fixture = {.model = "llama"};
    struct vocab *vocab = sound_vocab(&fixture);

    assert_int_equal(vocab_bos(vocab), 1);
    assert_true(vocab_adds_bos(vocab));
    assert_true(vocab_is_end(vocab, 2));
    assert_true(vocab_adds_space(vocab));
    vocab_free(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(the_highest_score_first_and_the_leftmost_of_equal_ones),
        cmocka_unit_test(a_space_before_a_text),
        cmocka_unit_test(special_tokens_that_strip),
        cmocka_unit_test(users_cannot_write_control_tokens),
        cmocka_unit_test(spans_are_one_text),
        cmocka_unit_test(what_is_no_token_is_its_bytes),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(a_long_text_is_cut_between_words),
        cmocka_unit_test(long_words_are_not_quadratic),
        cmocka_unit_test(bad_scores_are_refused),
        cmocka_unit_test(infinite_scores),
        cmocka_unit_test(ids_that_a_file_leaves_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

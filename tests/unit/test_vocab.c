/* The vocabulary: what a file may not say, what special tokens are, and that any bytes go in and
 * come out again. */
#include "common/mem.h"
#include "tests/unit/vocab_refused.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOKEN_MAX = 16 << 20 };

/* "hello" by merges, with control tokens of which one begins another. */
static struct fixture sound_fixture(void)
{
    return (struct fixture){
        .tokens = {{"<|im_start|>", TOKEN_CONTROL},
                   {"<|im_end|>", TOKEN_CONTROL},
                   {"<|im_end|>!", TOKEN_CONTROL},
                   {"<tool>", TOKEN_USER_DEFINED},
                   {"he", TOKEN_NORMAL},
                   {"ll", TOKEN_NORMAL},
                   {"hell", TOKEN_NORMAL},
                   {"hello", TOKEN_NORMAL},
                   {"^^", TOKEN_NORMAL},
                   {"^^^^", TOKEN_NORMAL}},
        .merges = {"h e", "l l", "he ll", "hell o", "^ ^", "^^ ^^"},
        .bos = "<|im_start|>",
        .eos = "<|im_end|>",
    };
}

/* Tokens of TEXT as text: ordinary ones by their bytes, '|' between them. The caller frees it. */
static char *tokenize(const struct vocab *vocab, const char *text, size_t len,
                      enum vocab_markup markup)
{
    struct token_list tokens;
    struct err err = ERR_INIT;
    struct buf out;

    token_list_init(&tokens, TOKEN_MAX);
    buf_init(&out, FIXTURE_MAX_BYTES);
    assert_int_equal(vocab_tokenize(vocab, text, len, markup, &tokens, &err), 0);
    for (size_t i = 0; i < tokens.count; i++) {
        size_t piece_len = 0;
        const char *piece = vocab_piece(vocab, tokens.ids[i], true, &piece_len);

        if (i > 0)
            writer_check(buf_add_byte(&out, '|'));
        writer_check(buf_add(&out, piece, piece_len));
    }
    writer_check(buf_add_byte(&out, '\0'));
    token_list_release(&tokens);
    return buf_take(&out);
}

static void expect_tokens(const struct fixture *fixture, const char *text, enum vocab_markup markup,
                          const char *expected)
{
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(fixture, &err);
    AUTO_FREE char *found = NULL;

    if (vocab == NULL)
        fail_msg("%s", err.message);
    found = tokenize(vocab, text, strlen(text), markup);
    assert_string_equal(found, expected);
    vocab_free(vocab);
}

/* ---- hostile files ---- */

static void other_tokenizers_are_refused_by_name(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.model = "bert";
    expect_refused(&fixture, "tokenizer 'bert' is not supported");
    fixture.model = "gpt2\n\x1b[31m";
    expect_refused(&fixture, "is not supported");
    fixture = sound_fixture();
    fixture.pre = "no-such-pre";
    expect_refused(&fixture, "'no-such-pre'");
    fixture.pre = "";
    expect_refused(&fixture, "tokenizer.ggml.pre");
    fixture = sound_fixture();
    fixture.adds_space = true;
    expect_refused(&fixture, "add_space_prefix");
}

static void bad_tokens_are_refused(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.tokens[5].text = "he";
    expect_refused(&fixture, "tokens 260 and 261 have the same text");
    fixture = sound_fixture();
    fixture.tokens[4].text = "";
    expect_refused(&fixture, "token 260 is empty");
    fixture = sound_fixture();
    fixture.tokens[4].type = (enum token_type)7;
    expect_refused(&fixture, "token 260 has the unknown type 7");
    fixture.tokens[4].type = (enum token_type) - 1;
    expect_refused(&fixture, "token 260 has the unknown type -1");
    fixture.tokens[4].type = TOKEN_BYTE;
    expect_refused(&fixture, "token 260");
    fixture = sound_fixture();
    fixture.extra_types = 1;
    expect_refused(&fixture, "267 entries for 266 tokens");
}

static void too_long_a_token_is_refused(void **state)
{
    struct fixture fixture = sound_fixture();
    char text[TOKEN_TEXT_MAX_BYTES + 2];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fixture.tokens[9] = (struct fixture_token){text, TOKEN_NORMAL, 0};
    fixture.merges[5] = NULL;
    expect_refused(&fixture, "4097 bytes");
}

static void bad_merges_are_refused(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.merges[2] = "he xx";
    expect_refused(&fixture, "merge 2 names 'xx', which is no token");
    fixture.merges[2] = "xx he";
    expect_refused(&fixture, "merge 2 names 'xx', which is no token");
    fixture.merges[2] = "he he";
    expect_refused(&fixture, "merge 2 names 'hehe', which is no token");
    fixture.merges[2] = "hell";
    expect_refused(&fixture, "merge 2 is not two texts");
    fixture.merges[2] = "hell ";
    expect_refused(&fixture, "merge 2 names ''");
    fixture.merges[2] = " ";
    expect_refused(&fixture, "merge 2 is not two texts");
    fixture.merges[2] = "";
    expect_refused(&fixture, "merge 2 is not two texts");
    fixture = sound_fixture();
    fixture.has_no_merges = true;
    expect_refused(&fixture, "tokenizer.ggml.merges");
}

/* Else a user's text could spell a control token byte by byte. */
static void merges_never_make_special_tokens(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.tokens[7].type = TOKEN_CONTROL;
    expect_refused(&fixture, "merge 3 makes token 263, which is special");
}

static void ids_out_of_range_are_refused(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.eos = NULL;
    fixture.eos_too_high = 1;
    expect_refused(&fixture, "tokenizer.ggml.eos_token_id is 266, but there are 266 tokens");
    fixture = sound_fixture();
    fixture.bos = NULL;
    fixture.adds_bos = true;
    expect_refused(&fixture, "bos_token_id is missing");
}

/* ---- markup ---- */

/* What a user writes is text, whatever it spells; what a template writes is the token. */
static void users_cannot_write_control_tokens(void **state)
{
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    struct token_list tokens;

    token_list_init(&tokens, TOKEN_MAX);
    assert_int_equal(vocab_tokenize(vocab, "hello<|im_end|>", 15, VOCAB_PLAIN, &tokens, &err), 0);
    for (size_t i = 0; i < tokens.count; i++)
        assert_false(vocab_is_control(vocab, tokens.ids[i]));
    tokens.count = 0;
    assert_int_equal(vocab_tokenize(vocab, "hello<|im_end|>", 15, VOCAB_MARKUP, &tokens, &err), 0);
    assert_int_equal(tokens.count, 2);
    assert_int_equal(tokens.ids[0], fixture_id(&fixture, "hello"));
    assert_int_equal(tokens.ids[1], fixture_id(&fixture, "<|im_end|>"));
    token_list_release(&tokens);
    vocab_free(vocab);
}

static void longest_markup_wins(void **state)
{
    struct fixture fixture = sound_fixture();

    expect_tokens(&fixture, "<|im_end|>!", VOCAB_MARKUP, "<|im_end|>!");
    expect_tokens(&fixture, "<|im_end|>?", VOCAB_MARKUP, "<|im_end|>|?");
    expect_tokens(&fixture, "<<|im_end|><|im_end|", VOCAB_MARKUP, "<|<|im_end|>|<|||i|m|_|e|n|d||");
    expect_tokens(&fixture, "", VOCAB_MARKUP, "");
}

/* The search costs what goes along with some token, and a token that could make it cost more at
 * every byte of a prompt is refused. */
static void markup_is_walked_to_the_first_mismatch(void **state)
{
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    char *const long_text = xcalloc(1, MARKUP_MAX_BYTES + 2);
    size_t walked = 0;

    assert_int_equal(markup_match(&vocab->markup[VOCAB_MARKUP], "hello", 5, &walked),
                     TOKEN_TEXTS_NONE);
    assert_int_equal(walked, 1);
    assert_int_equal(markup_match(&vocab->markup[VOCAB_MARKUP], "<|im_x and more", 15, &walked),
                     TOKEN_TEXTS_NONE);
    assert_int_equal(walked, strlen("<|im_x"));
    vocab_free(vocab);

    memset(long_text, 'x', MARKUP_MAX_BYTES);
    fixture.tokens[3].text = long_text;
    vocab = fixture_vocab(&fixture, &err);
    assert_non_null(vocab);
    vocab_free(vocab);
    long_text[MARKUP_MAX_BYTES] = 'x';
    expect_refused(&fixture, "the limit is 256");
    free(long_text);
}

/* Tokens that a model's makers defined for texts are found in users' texts, too. */
static void user_defined_tokens_are_found_in_plain_text(void **state)
{
    struct fixture fixture = sound_fixture();

    expect_tokens(&fixture, "a<tool>b", VOCAB_PLAIN, "a|<tool>|b");
    expect_tokens(&fixture, "a<tool>b", VOCAB_MARKUP, "a|<tool>|b");
}

/* ---- ends ---- */

/* The end tokens are the file's eos and those known by name; one of these that merges make, as
 * Qwen's "</s>", is text. */
static void ends_by_id_and_by_name(void **state)
{
    struct fixture fixture = {
        .tokens = {{"<end of it>", TOKEN_CONTROL},
                   {"<|eot_id|>", TOKEN_NORMAL}, /* as careless converters do */
                   {"</", TOKEN_NORMAL},
                   {"s>", TOKEN_NORMAL},
                   {"</s>", TOKEN_NORMAL},
                   {"<other>", TOKEN_CONTROL}},
        .merges = {"< /", "s >", "</ s>"},
        .eos = "<end of it>",
    };
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);

    assert_non_null(vocab);
    assert_true(vocab_is_end(vocab, fixture_id(&fixture, "<end of it>")));
    assert_true(vocab_is_end(vocab, fixture_id(&fixture, "<|eot_id|>")));
    assert_true(vocab_is_control(vocab, fixture_id(&fixture, "<|eot_id|>")));
    assert_false(vocab_is_end(vocab, fixture_id(&fixture, "</s>")));
    assert_false(vocab_is_control(vocab, fixture_id(&fixture, "</s>")));
    assert_false(vocab_is_end(vocab, fixture_id(&fixture, "<other>")));
    assert_int_equal(vocab_bos(vocab), VOCAB_NONE);
    vocab_free(vocab);
}

static bool is_end(const char *text, const char *other)
{
    struct fixture fixture = {.tokens = {{text, TOKEN_CONTROL}, {other, TOKEN_CONTROL}}};
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    bool result = false;

    assert_non_null(vocab);
    result = vocab_is_end(vocab, fixture_id(&fixture, text));
    vocab_free(vocab);
    return result;
}

/* The same name is an end in one family and not in another. */
static void ends_that_are_none(void **state)
{
    assert_true(is_end("<|end|>", "<|user|>"));
    assert_false(is_end("<|end|>", "<|call|>"));
    assert_true(is_end("<|call|>", "<|end|>"));
    assert_true(is_end("</s>", "<s>"));
    assert_false(is_end("</s>", "<eos>"));
    assert_true(is_end("<eos>", "</s>"));
}

/* Whatever the converter called it: what the file itself names as its end is never a user's to
 * write. */
static void an_end_by_id_is_not_found_in_plain_text(void **state)
{
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    struct vocab *vocab = NULL;

    fixture.eos = "<tool>"; /* USER_DEFINED, and found in texts as long as it is not the end */
    vocab = fixture_vocab(&fixture, &err);
    assert_non_null(vocab);
    assert_true(vocab_is_end(vocab, fixture_id(&fixture, "<tool>")));
    assert_true(vocab_is_control(vocab, fixture_id(&fixture, "<tool>")));
    vocab_free(vocab);
}

/* A head may have more rows than there are tokens: those ids stand for nothing. */
static void ids_behind_the_last_token_stand_for_nothing(void **state)
{
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    size_t len = 1;

    (void)vocab_piece(vocab, vocab_count(vocab), true, &len);
    assert_int_equal(len, 0);
    assert_false(vocab_is_end(vocab, UINT32_MAX));
    assert_false(vocab_is_control(vocab, vocab_count(vocab)));
    vocab_free(vocab);
}

/* ---- tokens ---- */

static void merges_by_rank(void **state)
{
    struct fixture fixture = sound_fixture();

    expect_tokens(&fixture, "hello hell heo", VOCAB_PLAIN, "hello| |hell| |he|o");
    expect_tokens(&fixture, "a     b", VOCAB_PLAIN, "a|    | |b");
}

/* With ignores_merges a word that is a token is that token even where merges cannot make it, but
 * never a control token. */
static void whole_words_where_merges_are_ignored(void **state)
{
    struct fixture fixture = {
        .tokens = {{"word", TOKEN_NORMAL}, {"secret", TOKEN_CONTROL}, {"<bos>", TOKEN_CONTROL}},
        .bos = "<bos>",
        .pre = "llama-bpe",
    };

    expect_tokens(&fixture, "word", VOCAB_PLAIN, "word");
    expect_tokens(&fixture, "secret", VOCAB_PLAIN, "s|e|c|r|e|t");
    fixture.pre = "qwen2";
    expect_tokens(&fixture, "word", VOCAB_PLAIN, "w|o|r|d");
}

static bool is_control_byte(int byte)
{
    return byte < 0x20;
}

/* As SmolLM2's, some vocabularies lack tokens for bytes: these vanish, and nothing else. */
static void bytes_without_token_are_left_out(void **state)
{
    struct fixture fixture = sound_fixture();

    fixture.lacks_byte = is_control_byte;
    expect_tokens(&fixture, "hel\x01lo\nhello", VOCAB_PLAIN, "he|l|l|o|hello");
}

/* ---- any bytes ---- */

/* 100,000 texts, of random bytes and of pieces that come near to markup and characters: each comes
 * back byte for byte. */
static void any_bytes_come_back(void **state)
{
    static const char *const PIECES[] = {
        "<|im_end|>",   "<|im_",    "hello",        "  ",
        "\xe2\x82\xac", "\xe2\x82", "\xff",         "\n",
        "'ll",          "1234",     "\xf0\x9f",     "\x80",
        "<tool>",       "\xc2\xa0", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    uint64_t seed = 11;

    fixture.pre = "smollm";
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    for (int round = 0; round < 100000; round++) {
        struct token_list tokens;
        char text[128];
        size_t len = 0;
        size_t at = 0;

        for (size_t parts = tiny_next(&seed) % 8; parts > 0; parts--) {
            const char *piece = PIECES[tiny_next(&seed) % ARRAY_COUNT(PIECES)];

            if (round % 2 == 0)
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", piece);
            else
                text[len++] = (char)tiny_next(&seed);
        }
        token_list_init(&tokens, TOKEN_MAX);
        assert_int_equal(vocab_tokenize(vocab, text, len,
                                        round % 3 == 0 ? VOCAB_MARKUP : VOCAB_PLAIN, &tokens, &err),
                         0);
        for (size_t i = 0; i < tokens.count; i++) {
            size_t piece_len = 0;
            const char *piece = vocab_piece(vocab, tokens.ids[i], true, &piece_len);

            assert_true(piece_len <= len - at);
            assert_memory_equal(piece, text + at, piece_len);
            at += piece_len;
        }
        assert_int_equal(at, len);
        token_list_release(&tokens);
    }
    vocab_free(vocab);
}

/* 10 MB of one word, of which every pair can be joined: with a list instead of a heap it would take
 * hours. */
static void long_words_are_not_quadratic(void **state)
{
    enum { LEN = 10 << 20 };
    static const char *const RUNS[] = {" ", "aGVsbG8", "<|im_end|"};
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    AUTO_FREE char *text = xmalloc(LEN);

    for (size_t run = 0; run < ARRAY_COUNT(RUNS); run++) {
        struct token_list tokens;

        for (size_t i = 0; i < LEN; i++)
            text[i] = RUNS[run][i % strlen(RUNS[run])];
        token_list_init(&tokens, TOKEN_MAX);
        assert_int_equal(vocab_tokenize(vocab, text, LEN, VOCAB_MARKUP, &tokens, &err), 0);
        token_list_release(&tokens);
    }
    vocab_free(vocab);
}

/* A prompt that has more tokens than there is room for stops there. */
static void too_many_tokens(void **state)
{
    struct fixture fixture = sound_fixture();
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(&fixture, &err);
    struct token_list tokens;

    token_list_init(&tokens, 3);
    assert_int_equal(vocab_tokenize(vocab, "abcd", 4, VOCAB_PLAIN, &tokens, &err), -1);
    assert_int_equal(err.kind, ERR_PROMPT_TOO_LONG);
    token_list_release(&tokens);
    vocab_free(vocab);
}

/* Texts made to fall into one place of the hash table are refused, not searched for ever. */
static void colliding_texts_are_refused(void **state)
{
    struct token_texts texts;
    struct err err = ERR_INIT;
    uint64_t wanted = 20000;
    int result = 0;

    assert_int_equal(token_texts_init(&texts, wanted, wanted * 8, &err), 0);
    for (uint64_t number = 0; result == 0 && texts.count < wanted; number++) {
        /* FNV-1a and the folding of token_texts.c: only texts of the lowest 16 slots. */
        uint64_t hash = 0xcbf29ce484222325ULL;
        char text[8];

        memcpy(text, &number, sizeof(text));
        for (size_t i = 0; i < sizeof(text); i++)
            hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3ULL;
        if (((uint32_t)(hash ^ hash >> 32) & texts.slot_mask) < 16)
            result = token_texts_add(&texts, text, sizeof(text), &err);
    }
    assert_int_equal(result, -1);
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    assert_non_null(strstr(err.message, "collides"));
    token_texts_release(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_tokenizers_are_refused_by_name),
        cmocka_unit_test(bad_tokens_are_refused),
        cmocka_unit_test(too_long_a_token_is_refused),
        cmocka_unit_test(bad_merges_are_refused),
        cmocka_unit_test(merges_never_make_special_tokens),
        cmocka_unit_test(ids_out_of_range_are_refused),
        cmocka_unit_test(users_cannot_write_control_tokens),
        cmocka_unit_test(longest_markup_wins),
        cmocka_unit_test(markup_is_walked_to_the_first_mismatch),
        cmocka_unit_test(user_defined_tokens_are_found_in_plain_text),
        cmocka_unit_test(ends_by_id_and_by_name),
        cmocka_unit_test(ends_that_are_none),
        cmocka_unit_test(an_end_by_id_is_not_found_in_plain_text),
        cmocka_unit_test(ids_behind_the_last_token_stand_for_nothing),
        cmocka_unit_test(merges_by_rank),
        cmocka_unit_test(whole_words_where_merges_are_ignored),
        cmocka_unit_test(bytes_without_token_are_left_out),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(long_words_are_not_quadratic),
        cmocka_unit_test(too_many_tokens),
        cmocka_unit_test(colliding_texts_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

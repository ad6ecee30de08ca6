/* Words: what each family of patterns makes of the cases in which they differ, and that no byte is
 * ever lost. */
#include "common/mem.h"
#include "common/utf8.h"
#include "hip/text/pretok.h"
#include "tests/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The words of TEXT with '|' between them; the caller frees it. */
static char *cut(const char *pre, const char *text, size_t len)
{
    struct err err = ERR_INIT;
    struct pretok *pretok = pretok_new(pre, strlen(pre), &err);
    struct pretok_cursor cursor;
    struct buf out;
    const char *word = NULL;
    size_t word_len = 0;

    assert_non_null(pretok);
    buf_init(&out, 1 << 20);
    assert_int_equal(pretok_cursor_init(&cursor, pretok, &err), 0);
    pretok_cursor_begin(&cursor, text, len);
    while (pretok_cursor_next(&cursor, &word, &word_len)) {
        if (out.len > 0)
            writer_check(buf_add_byte(&out, '|'));
        writer_check(buf_add(&out, word, word_len));
    }
    writer_check(buf_add_byte(&out, '\0'));
    pretok_cursor_release(&cursor);
    pretok_free(pretok);
    return buf_take(&out);
}

static void expect_words(const char *pre, const char *text, const char *words)
{
    AUTO_FREE char *found = cut(pre, text, strlen(text));

    assert_string_equal(found, words);
}

/* A run of spaces gives its last one to the next word; at the end of the text it keeps it. */
static void spaces_lead_words(void **state)
{
    expect_words("gpt-2", "a b   c  ", "a| b|  | c|  ");
    expect_words("gpt-2", "a\n\n  b", "a|\n\n | b");
    expect_words("gpt-2", "a\nb", "a|\n|b");
    expect_words("llama-bpe", "a\n\n  b", "a|\n\n| | b");
    expect_words("qwen2", "a \n b", "a| \n| b");
}

/* Digits: in runs, each by itself before anything else is cut, or three at a time. */
static void digits_by_family(void **state)
{
    expect_words("gpt-2", "x 1234y", "x| 1234|y");
    expect_words("smollm", "x 1234y", "x| |1|2|3|4|y");
    expect_words("starcoder", "12", "1|2");
    expect_words("qwen2", "x 1234", "x| |1|2|3|4");
    expect_words("llama-bpe", "x 1234567", "x| |123|456|7");
    expect_words("default", "1234567", "123|456|7");
    /* The Devanagari and the Roman numbers are numbers as well. */
    expect_words("smollm", "\xe0\xa5\xaa\xe2\x85\xa7", "\xe0\xa5\xaa|\xe2\x85\xa7");
}

/* English contractions are words; in capitals only for the newer families. */
static void contractions_by_family(void **state)
{
    expect_words("gpt-2", "we'll I'M", "we|'ll| I|'|M");
    expect_words("llama-bpe", "we'll I'M", "we|'ll| I|'M");
}

static void punctuation_by_family(void **state)
{
    expect_words("gpt-2", "a, (b)!\n", "a|,| (|b|)!|\n");
    expect_words("llama-bpe", "a, (b)!\n", "a|,| (|b|)!\n");
    expect_words("falcon", "a `b`", "a| |`|b|`");
    expect_words("default", "a `b`", "a| `|b|`");
}

/* Combining marks belong to the word only where the patterns say so. */
static void marks_by_family(void **state)
{
    expect_words("qwen2", "n\xcc\x83o", "n|\xcc\x83o");
    expect_words("qwen35", "n\xcc\x83o", "n\xcc\x83o");
}

/* Families that were compared with llama.cpp's, each by what sets it apart. */
static void words_by_family(void **state)
{
    expect_words("deepseek-coder", "a1\nb c!", "a|1|\n|b| c|!");
    expect_words("deepseek-coder", "x\xe3\x80\x80 ", "x|\xe3\x80\x80 ");
    expect_words("deepseek-llm", "a12\n c! \xe4\xbd\xa0\xe5\xa5\xbd",
                 "a|12|\n| c|!| |\xe4\xbd\xa0\xe5\xa5\xbd");
    expect_words("deepseek-v3", "x1234 .foo!\n", "x|123|4| .|foo|!\n");
    expect_words("tekken", "camelCase ABc/\n12", "camel|Case| ABc|/\n|1|2");
    expect_words("gpt-4o", "camelCase's 1234", "camel|Case's| |123|4");
    expect_words("llama4", "we'LL", "we'LL");
    expect_words("glm4", "x 1234", "x| |123|4");
    expect_words("seed-coder", "a !\n", "a| !|\n");
    expect_words("bailingmoe", "a\n\nb", "a|\n\n|b");
    expect_words("ufakzeka", "it's", "it|'s");
    expect_words("jais-2", "a      b", "a|    | | b");
    expect_words("minicpm5", "x1234", "x|123|4");
    expect_words("bloom", "a b,c", "a| b|,|c");
    expect_words("viking", "a12", "a|1|2");
}

/* White space is what Unicode's White_Space says: the no-break space, next line and the wide space
 * are; the Mongolian vowel separator and the zero-width space are not. */
static void white_space_of_unicode(void **state)
{
    static const uint32_t SPACES[] = {9,      10,     11,     12,     13,     0x20,
                                      0x85,   0xa0,   0x1680, 0x2000, 0x200a, 0x2028,
                                      0x2029, 0x202f, 0x205f, 0x3000};
    static const uint32_t OTHERS[] = {0x1c, 0x1f, 0x180e, 0x200b, 0x2060, 0xfeff};

    for (size_t i = 0; i < ARRAY_COUNT(SPACES) + ARRAY_COUNT(OTHERS); i++) {
        bool is_space = i < ARRAY_COUNT(SPACES);
        uint32_t codepoint = is_space ? SPACES[i] : OTHERS[i - ARRAY_COUNT(SPACES)];
        /* A space is cut from the sign behind it; the ASCII one, and what is no space, is not. */
        const char *between = is_space && codepoint != ' ' ? "|" : "";
        char utf8[4];
        char text[16];
        char expected[16];
        int len = (int)utf8_write(codepoint, utf8);

        (void)snprintf(text, sizeof(text), "x%.*s+", len, utf8);
        (void)snprintf(expected, sizeof(expected), "x|%.*s%s+", len, utf8, between);
        expect_words("gpt-2", text, expected);
    }
}

/* Bytes that are no UTF-8 are words by themselves, and characters around them are cut as ever. */
static void invalid_bytes_are_words(void **state)
{
    expect_words("gpt-2", "ab\xff\xfe cd\x80", "ab|\xff\xfe| cd|\x80");
    expect_words("smollm", "\xc3", "\xc3");
    expect_words("smollm",
                 "1\xe2\x82"
                 "2",
                 "1|\xe2\x82|2");
    expect_words("gpt-2", "\xed\xa0\x80z", "\xed\xa0\x80|z"); /* a surrogate */
}

static void empty_text_has_no_words(void **state)
{
    expect_words("gpt-2", "", "");
}

static const char *const ALL[] = {
#define PRETOK(name, ignores_merges, adds_bos, ...) name,
#include "hip/text/pretok.def"
#undef PRETOK
};

/* Whatever the bytes, the words of every row, one after another, are the text. */
static void no_byte_is_lost(void **state)
{
    static const char ALPHABET[] =
        " \n\t\rabZ019'.,!\xc3\xa9\xe4\xb8\x80\xf0\x9f\x98\x80\xff\x80'sl";
    uint64_t seed = 5;
    struct err err = ERR_INIT;

    for (size_t row = 0; row < ARRAY_COUNT(ALL); row++) {
        struct pretok *pretok = pretok_new(ALL[row], strlen(ALL[row]), &err);
        struct pretok_cursor cursor;

        assert_non_null(pretok);
        assert_int_equal(pretok_cursor_init(&cursor, pretok, &err), 0);
        for (int round = 0; round < 1000; round++) {
            char text[64];
            size_t len = tiny_next(&seed) % sizeof(text);
            const char *expected = text;
            const char *word = NULL;
            size_t word_len = 0;

            for (size_t i = 0; i < len; i++)
                text[i] = round % 2 == 0 ? (char)tiny_next(&seed)
                                         : ALPHABET[tiny_next(&seed) % (sizeof(ALPHABET) - 1)];
            pretok_cursor_begin(&cursor, text, len);
            while (pretok_cursor_next(&cursor, &word, &word_len)) {
                assert_ptr_equal(word, expected);
                assert_true(word_len > 0);
                expected += word_len;
            }
            assert_ptr_equal(expected, text + len);
        }
        pretok_cursor_release(&cursor);
        pretok_free(pretok);
    }
}

/* Texts on which a careless pattern or matcher takes quadratic time, 10 MB each: it would take
 * hours. */
static void long_runs_are_linear(void **state)
{
    enum { LEN = 10 << 20 };
    static const char *const RUNS[] = {" ",  "\n",       " \n",  "a",     "1",           ".",
                                       "' ", "\xc3\xa9", "\xff", "a\xff", "\xe2\x80\x83"};
    AUTO_FREE char *text = xmalloc(LEN);
    struct err err = ERR_INIT;

    for (size_t run = 0; run < ARRAY_COUNT(RUNS); run++) {
        static const char *const PRES[] = {"smollm", "llama-bpe", "default"};
        struct pretok *pretok = pretok_new(PRES[run % 3], strlen(PRES[run % 3]), &err);
        struct pretok_cursor cursor;
        const char *word = NULL;
        size_t word_len = 0;
        size_t total = 0;

        for (size_t i = 0; i < LEN; i++)
            text[i] = RUNS[run][i % strlen(RUNS[run])];
        text[LEN - 1] = 'x';
        assert_int_equal(pretok_cursor_init(&cursor, pretok, &err), 0);
        pretok_cursor_begin(&cursor, text, LEN);
        while (pretok_cursor_next(&cursor, &word, &word_len))
            total += word_len;
        assert_int_equal(total, LEN);
        pretok_cursor_release(&cursor);
        pretok_free(pretok);
    }
}

/* A pre-type without a row is refused by its name. */
static void unknown_pre_type_is_refused(void **state)
{
    struct err err = ERR_INIT;

    assert_null(pretok_new("no-such", strlen("no-such"), &err));
    assert_int_equal(err.kind, ERR_INVALID_MODEL);
    assert_non_null(strstr(err.message, "no-such"));
    assert_null(pretok_new("gpt-2x", strlen("gpt-2x"), &err));
    assert_null(pretok_new("gpt", strlen("gpt"), &err));
    assert_null(pretok_new("", 0, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces_lead_words),       cmocka_unit_test(digits_by_family),
        cmocka_unit_test(contractions_by_family),  cmocka_unit_test(punctuation_by_family),
        cmocka_unit_test(marks_by_family),         cmocka_unit_test(words_by_family),
        cmocka_unit_test(white_space_of_unicode),  cmocka_unit_test(invalid_bytes_are_words),
        cmocka_unit_test(empty_text_has_no_words), cmocka_unit_test(no_byte_is_lost),
        cmocka_unit_test(long_runs_are_linear),    cmocka_unit_test(unknown_pre_type_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

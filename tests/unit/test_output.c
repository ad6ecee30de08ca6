/* What is shown of an answer while it comes: whole characters, and nothing that may still turn into
 * a stop string, however the bytes are spread over tokens. */
#include "common/utf8.h"
#include "hip/text/detok.h"
#include "hip/text/output.h"
#include "hip/text/stop.h"
#include "tests/vocab_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Tokens 0 to 255 are the bytes. */
static struct vocab *byte_vocab(void)
{
    struct fixture fixture = {.tokens = {{"<|im_end|>", TOKEN_CONTROL}, {"abc", TOKEN_NORMAL}}};
    struct err err = ERR_INIT;

    return fixture_vocab(&fixture, &err);
}

/* What is shown after each byte of TEXT, '|' between the steps, then what the flush adds behind a
 * second '|'; "!" and nothing more once a stop string is complete. */
static void expect_steps(const char *const *stops, size_t stop_count, const char *text,
                         const char *expected)
{
    struct vocab *vocab = byte_vocab();
    struct text_output *output = text_output_new(vocab, stops, stop_count);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);
    bool stopped = false;

    for (size_t i = 0; text[i] != '\0' && !stopped; i++) {
        if (i > 0)
            writer_check(buf_add_byte(&out, '|'));
        assert_int_equal(text_output_push(output, (uint8_t)text[i], &out, &stopped, &err), 0);
    }
    writer_check(buf_add_string(&out, stopped ? "!" : "||"));
    if (!stopped)
        assert_int_equal(text_output_flush(output, &out, &err), 0);
    assert_string_equal(out.data, expected);
    text_output_free(output);
    vocab_free(vocab);
}

/* ---- characters ---- */

static void characters_are_shown_whole(void **state)
{
    expect_steps(NULL, 0, "ab", "a|b||");
    expect_steps(NULL, 0, "\xc3\xa9x", "|\xc3\xa9|x||");
    expect_steps(NULL, 0, "\xf0\x9f\x98\x80", "|||\xf0\x9f\x98\x80||");
}

/* A byte that can never become part of a character is U+FFFD as soon as that is certain; a
 * beginning that never ends is one at the end. */
static void bytes_that_are_no_character(void **state)
{
    expect_steps(NULL, 0, "\xff", "\xef\xbf\xbd||");
    expect_steps(NULL, 0,
                 "\x80"
                 "a",
                 "\xef\xbf\xbd|a||");
    expect_steps(NULL, 0,
                 "\xe2\x82"
                 "a",
                 "||\xef\xbf\xbd"
                 "a||");
    expect_steps(NULL, 0, "\xe2\x82\xe2\x82\xac", "||\xef\xbf\xbd||\xe2\x82\xac||");
    expect_steps(NULL, 0, "\xf0\x9f\x98", "||||\xef\xbf\xbd");
    expect_steps(NULL, 0, "\xed\xa0\x80", "|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd||");
    expect_steps(NULL, 0, "\xc0\xaf", "\xef\xbf\xbd|\xef\xbf\xbd||");
}

/* However the bytes are cut, the characters are the same, all that is shown is UTF-8, and valid
 * text comes out as it went in. */
static void cuts_change_nothing(void **state)
{
    uint64_t seed = 3;

    for (int round = 0; round < 20000; round++) {
        struct detok whole = {{0}, 0};
        struct detok parts = {{0}, 0};
        AUTO_BUF struct buf expected = BUF_INIT(1024);
        AUTO_BUF struct buf found = BUF_INIT(1024);
        static const char *const PIECES[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
        char text[64];
        size_t len = 0;
        bool is_valid = round % 2 == 0;

        while (len < 32 && tiny_next(&seed) % 16 != 0) {
            if (is_valid)
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
                                        PIECES[tiny_next(&seed) % 4]);
            else
                text[len++] =
                    (char)(tiny_next(&seed) % 3 == 0 ? tiny_next(&seed) : 0x80 | tiny_next(&seed));
        }
        assert_int_equal(detok_push(&whole, text, len, &expected), 0);
        assert_int_equal(detok_flush(&whole, &expected), 0);
        for (size_t at = 0; at < len;) {
            size_t part = 1 + tiny_next(&seed) % (len - at);

            assert_int_equal(detok_push(&parts, text + at, part, &found), 0);
            assert_true(utf8_is_valid(found.data, found.len));
            at += part;
        }
        assert_int_equal(detok_flush(&parts, &found), 0);
        assert_int_equal(found.len, expected.len);
        assert_memory_equal(found.data, expected.data, found.len);
        if (is_valid) {
            assert_int_equal(found.len, len);
            assert_memory_equal(found.data, text, len);
        }
    }
}

/* Control tokens have no text. */
static void control_tokens_are_not_shown(void **state)
{
    struct vocab *vocab = byte_vocab();
    struct text_output *output = text_output_new(vocab, NULL, 0);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT(64);
    bool stopped = true;

    assert_int_equal(text_output_push(output, 256, &out, &stopped, &err), 0);
    assert_false(stopped);
    assert_int_equal(out.len, 0);
    text_output_free(output);
    vocab_free(vocab);
}

/* ---- stop strings ---- */

static void a_stop_string_is_never_shown(void **state)
{
    static const char *const STOPS[] = {"END"};

    expect_steps(STOPS, 1, "abENDcd", "a|b|||!");
    expect_steps(STOPS, 1, "aENx", "a|||ENx||");
    expect_steps(STOPS, 1, "aEEND", "a||E||!");
    expect_steps(STOPS, 1, "aEN", "a||||EN");
}

static void several_and_overlapping_stops(void **state)
{
    static const char *const NESTED[] = {"abcd", "bc"};
    static const char *const SAME_END[] = {"cd", "abcd"};
    static const char *const SELF[] = {"aab"};

    expect_steps(NESTED, 2, "xabcd", "x|||a!"); /* "bc" is complete first */
    expect_steps(NESTED, 2, "xabd", "x|||abd||");
    expect_steps(SAME_END, 2, "xabcd", "x||||!"); /* of two that end together the longer */
    expect_steps(SELF, 1, "aaab", "||a|!");
}

/* A stop string may be cut anywhere, inside a character too. */
static void a_stop_cut_inside_a_character(void **state)
{
    static const char *const STOPS[] = {"\xe2\x82\xac!"};

    expect_steps(STOPS, 1, "a\xe2\x82\xac!b", "a||||!");
    expect_steps(STOPS, 1, "a\xe2\x82\xac?", "a||||\xe2\x82\xac?||");
    expect_steps(STOPS, 1, "\xe2\x82\xad", "||\xe2\x82\xad||");
}

static void a_token_may_hold_a_whole_stop(void **state)
{
    static const char *const STOPS[] = {"b"};
    struct vocab *vocab = byte_vocab();
    struct text_output *output = text_output_new(vocab, STOPS, 1);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT(64);
    bool stopped = false;

    assert_int_equal(text_output_push(output, 257, &out, &stopped, &err), 0);
    assert_true(stopped);
    assert_string_equal(out.data, "a");
    text_output_free(output);
    vocab_free(vocab);
}

/* Where the definition stops: at the first end of a stop string, before the longest that ends
 * there. */
static size_t stop_slowly(const char *text, const char *const *stops, size_t count)
{
    for (size_t end = 1; end <= strlen(text); end++) {
        size_t longest = 0;

        for (size_t i = 0; i < count; i++) {
            size_t len = strlen(stops[i]);

            if (len <= end && len > longest && memcmp(text + end - len, stops[i], len) == 0)
                longest = len;
        }
        if (longest > 0)
            return end - longest;
    }
    return SIZE_MAX;
}

/* For any stops and any text, cut in any way: what is shown is the text up to the first stop, all
 * of it without one, and at no time more than that. */
static void any_stops_in_any_text(void **state)
{
    struct vocab *vocab = byte_vocab();
    uint64_t seed = 9;

    for (int round = 0; round < 20000; round++) {
        char texts[3][8];
        const char *stops[3];
        char text[40];
        size_t count = 1 + tiny_next(&seed) % 3;
        size_t len = tiny_next(&seed) % (sizeof(text) - 1);
        size_t expected = 0;
        struct text_output *output = NULL;
        struct err err = ERR_INIT;
        AUTO_BUF struct buf out = BUF_INIT(64);
        bool stopped = false;

        for (size_t i = 0; i < count; i++) {
            size_t stop_len = 1 + tiny_next(&seed) % 5;

            for (size_t j = 0; j < stop_len; j++)
                texts[i][j] = (char)('a' + tiny_next(&seed) % 2);
            texts[i][stop_len] = '\0';
            stops[i] = texts[i];
        }
        for (size_t i = 0; i < len; i++)
            text[i] = (char)('a' + tiny_next(&seed) % 3);
        text[len] = '\0';
        expected = stop_slowly(text, stops, count);
        output = text_output_new(vocab, stops, count);
        for (size_t i = 0; i < len && !stopped; i++)
            assert_int_equal(text_output_push(output, (uint8_t)text[i], &out, &stopped, &err), 0);
        assert_int_equal(stopped, expected != SIZE_MAX);
        if (!stopped)
            assert_int_equal(text_output_flush(output, &out, &err), 0);
        assert_int_equal(out.len, stopped ? expected : len);
        assert_memory_equal(out.data, text, out.len);
        text_output_free(output);
    }
    vocab_free(vocab);
}

/* A reader whose buffer is full is told so. */
static void no_room_is_an_error(void **state)
{
    struct vocab *vocab = byte_vocab();
    struct text_output *output = text_output_new(vocab, NULL, 0);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT(1);
    bool stopped = false;

    assert_int_equal(text_output_push(output, 'a', &out, &stopped, &err), 0);
    assert_int_equal(text_output_push(output, 'b', &out, &stopped, &err), -1);
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    text_output_free(output);
    vocab_free(vocab);
}

/* ---- the space before a text ---- */

/* What is shown of all tokens of the fixture, one after another. */
static void expect_shown(const struct fixture *fixture, bool begins_text, const char *expected)
{
    struct err err = ERR_INIT;
    struct vocab *vocab = fixture_vocab(fixture, &err);
    struct text_output *output = text_output_new(vocab, NULL, 0);
    AUTO_BUF struct buf out = BUF_INIT(1 << 16);
    bool stopped = false;

    if (begins_text)
        text_output_begin_text(output);
    for (size_t i = 0; fixture->tokens[i].text != NULL; i++)
        assert_int_equal(
            text_output_push(output, (uint32_t)(FIXTURE_BYTES + i), &out, &stopped, &err), 0);
    writer_check(buf_add_byte(&out, '\0'));
    assert_string_equal(out.data, expected);
    text_output_free(output);
    vocab_free(vocab);
}

/* One is dropped where a text begins, and only of vocabularies that put one there. */
static void the_first_space_of_a_text(void **state)
{
    struct fixture fixture = {
        .model = "llama",
        .tokens = {{"<s>", TOKEN_CONTROL, 0}, {"^^hi", TOKEN_NORMAL, 0}, {"^hi", TOKEN_NORMAL, 0}}};

    expect_shown(&fixture, true, " hi hi");
    expect_shown(&fixture, false, "  hi hi");
    fixture.adds_no_space = true;
    expect_shown(&fixture, true, "  hi hi");
    fixture.tokens[1].text = "hi";
    fixture.adds_no_space = false;
    expect_shown(&fixture, true, "hi hi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_shown_whole),
        cmocka_unit_test(bytes_that_are_no_character),
        cmocka_unit_test(cuts_change_nothing),
        cmocka_unit_test(control_tokens_are_not_shown),
        cmocka_unit_test(a_stop_string_is_never_shown),
        cmocka_unit_test(several_and_overlapping_stops),
        cmocka_unit_test(a_stop_cut_inside_a_character),
        cmocka_unit_test(a_token_may_hold_a_whole_stop),
        cmocka_unit_test(any_stops_in_any_text),
        cmocka_unit_test(no_room_is_an_error),
        cmocka_unit_test(the_first_space_of_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* No text of a model may drive the terminal it is shown on. */
#include "common/terminal.h"

#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_cleaned(const char *text, size_t len, const char *expected)
{
    struct buf out;

    buf_init(&out, TERMINAL_GROWTH_MAX * len);
    assert_int_equal(terminal_clean(&out, text, len), 0);
    assert_string_equal(out.data, expected);
    buf_release(&out);
}

static void ordinary_text_stays(void **state)
{
    static const char TEXT[] = "Paris,\tžluťoučký kůň \n日本語 🐝 e\xcc\x81";

    assert_cleaned(TEXT, strlen(TEXT), TEXT);
    assert_cleaned("", 0, "");
}

static void what_drives_a_terminal_becomes_visible(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } CASES[] = {
        {"\033[2J", "␛[2J"},
        {"\033]0;title\a", "␛]0;title␇"},
        {"50%\r100%", "50%␍100%"},
        {"\b\b\x7f", "␈␈␡"},
        {"\xc2\x9b"
         "31m",
         "\xef\xbf\xbd"
         "31m"}, /* CSI as one character */
        {"a\xe2\x80\xae"
         "txt.exe",
         "a\xef\xbf\xbd"
         "txt.exe"},                                                /* right-to-left override */
        {"\xe2\x81\xa6x\xe2\x81\xa9", "\xef\xbf\xbdx\xef\xbf\xbd"}, /* isolates */
        {"\xd8\x9c\xe2\x80\x8f", "\xef\xbf\xbd\xef\xbf\xbd"},       /* direction marks */
        {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},                   /* not UTF-8 */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},   /* a surrogate */
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_cleaned(CASES[i].text, strlen(CASES[i].text), CASES[i].expected);
    assert_cleaned("\0", 1, "␀");
}

static void whatever_comes_leaves_no_control_character(void **state)
{
    enum { ROUNDS = 2000, TEXT_BYTES = 64 };
    unsigned seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        char text[TEXT_BYTES];
        struct buf out;

        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = (char)rand_r(&seed);
        buf_init(&out, TERMINAL_GROWTH_MAX * sizeof(text));
        assert_int_equal(terminal_clean(&out, text, sizeof(text)), 0);
        assert_true(utf8_is_valid(out.data, out.len));
        for (size_t i = 0; i < out.len; i++) {
            unsigned char c = (unsigned char)out.data[i];

            assert_true(c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f));
        }
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_text_stays),
        cmocka_unit_test(what_drives_a_terminal_becomes_visible),
        cmocka_unit_test(whatever_comes_leaves_no_control_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

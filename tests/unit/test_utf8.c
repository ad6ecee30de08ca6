/* UTF-8 against a slow reader of RFC 3629 that shares nothing with the one under test. */
#include "common/utf8.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The definition: as many bytes as the lead has leading ones, each with ten in front, the shortest
 * form, no surrogate, nothing above U+10FFFF. Returns the length, 0 for none. */
static size_t slow_decode(const unsigned char *bytes, size_t len, uint32_t *out)
{
    static const uint32_t SHORTEST[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t ones = 0;
    uint32_t codepoint = 0;

    if (len == 0)
        return 0;
    while (ones < 8 && (bytes[0] & 0x80 >> ones) != 0)
        ones++;
    if (ones == 0) {
        *out = bytes[0];
        return 1;
    }
    if (ones == 1 || ones > 4 || len < ones)
        return 0;
    codepoint = bytes[0] & (0x7fu >> ones);
    for (size_t i = 1; i < ones; i++) {
        if (bytes[i] / 64 != 2)
            return 0;
        codepoint = codepoint * 64 + bytes[i] % 64;
    }
    if (codepoint < SHORTEST[ones] || (codepoint >= 0xd800 && codepoint < 0xe000) ||
        codepoint > 0x10ffff)
        return 0;
    *out = codepoint;
    return ones;
}

static void check_decode(const unsigned char *bytes, size_t len)
{
    uint32_t expected = 0;
    uint32_t got = 0xdead;
    size_t expected_len = slow_decode(bytes, len, &expected);
    size_t got_len = utf8_decode((const char *)bytes, len, &got);

    if (got_len != expected_len || got != (expected_len > 0 ? expected : 0xdead))
        fail_msg("%02x %02x %02x %02x, %zu bytes", bytes[0], bytes[1], bytes[2], bytes[3], len);
}

static void every_run_of_three_bytes_is_decoded_as_defined(void **state)
{
    unsigned char bytes[4] = {0};

    for (uint32_t all = 0; all < 1u << 24; all++) {
        bytes[0] = (unsigned char)(all >> 16);
        bytes[1] = (unsigned char)(all >> 8);
        bytes[2] = (unsigned char)all;
        check_decode(bytes, 3);
    }
}

/* Where the grammar changes its mind, and one byte to each side. */
static const unsigned char EDGES[] = {0x00, 0x41, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0,
                                      0xbe, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
                                      0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};

static void for_each_run_of_four_edges(void (*check)(const unsigned char *bytes))
{
    size_t count = sizeof(EDGES);

    for (size_t i = 0; i < count * count * count * count; i++) {
        unsigned char bytes[4] = {EDGES[i / (count * count * count)],
                                  EDGES[i / (count * count) % count], EDGES[i / count % count],
                                  EDGES[i % count]};

        check(bytes);
    }
}

static void check_decode_of_all_lengths(const unsigned char *bytes)
{
    for (size_t len = 0; len <= 4; len++)
        check_decode(bytes, len);
}

static void runs_of_four_bytes_are_decoded_as_defined(void **state)
{
    for_each_run_of_four_edges(check_decode_of_all_lengths);
}

/* A tail is incomplete when some bytes behind it make a character of it. */
static size_t slow_incomplete_tail(const unsigned char *bytes, size_t len)
{
    for (size_t tail = 1; tail <= 3 && tail <= len; tail++) {
        for (size_t more = 1; more + tail <= 4; more++) {
            for (size_t i = 0; i < 64 * 64; i++) {
                unsigned char whole[4] = {0};
                uint32_t codepoint = 0;

                memcpy(whole, bytes + len - tail, tail);
                whole[tail] = (unsigned char)(0x80 + i / 64);
                for (size_t j = tail + 1; j < tail + more; j++)
                    whole[j] = (unsigned char)(0x80 + i % 64);
                if (slow_decode(whole, tail + more, &codepoint) == tail + more)
                    return tail;
            }
        }
    }
    return 0;
}

static void check_tails(const unsigned char *bytes)
{
    /* The last byte varies fastest: one in 27 is enough for each of the shorter lengths. */
    for (size_t len = bytes[3] == 0 ? 1 : 4; len <= 4; len++) {
        size_t expected = 0;

        if (len == 4 && bytes[3] < 0x80)
            continue;
        expected = slow_incomplete_tail(bytes, len);
        if (utf8_incomplete_tail((const char *)bytes, len) != expected)
            fail_msg("%02x %02x %02x %02x, %zu bytes", bytes[0], bytes[1], bytes[2], bytes[3], len);
    }
}

static void a_character_that_has_begun_is_found_at_the_end(void **state)
{
    static const unsigned char LEADS[] = {0xc2, 0xe0, 0xe1, 0xed, 0xf0, 0xf1, 0xf4, 0xf5, 0xbf};

    for (size_t i = 0; i < sizeof(LEADS); i++) {
        for (size_t j = 0; j < sizeof(EDGES); j++) {
            for (size_t k = 0; k < sizeof(EDGES); k++) {
                unsigned char bytes[4] = {'x', LEADS[i], EDGES[j], EDGES[k]};

                check_tails(bytes);
                bytes[3] = 0;
                check_tails(bytes);
            }
        }
    }
}

static void every_codepoint_comes_back(void **state)
{
    for (uint32_t codepoint = 0; codepoint <= 0x110000; codepoint++) {
        char bytes[4];
        uint32_t again = 0;
        size_t len = utf8_write(codepoint, bytes);
        bool is_scalar = codepoint <= 0x10ffff && (codepoint < 0xd800 || codepoint > 0xdfff);

        assert_int_equal(len > 0, is_scalar);
        if (len > 0 && (utf8_decode(bytes, len, &again) != len || again != codepoint))
            fail_msg("U+%04X", codepoint);
    }
}

static void the_first_bad_byte_is_found_wherever_it_stands(void **state)
{
    for (size_t len = 1; len < 40; len++) {
        for (size_t bad = 0; bad < len; bad++) {
            char text[40];

            memset(text, 'a', sizeof(text));
            assert_int_equal(utf8_valid_len(text, len), len);
            text[bad] = (char)0xff;
            assert_int_equal(utf8_valid_len(text, len), bad);
            text[bad] = (char)0xc3; /* begins what the next byte does not go on with */
            assert_int_equal(utf8_valid_len(text, len), bad);
        }
    }
}

static void a_cut_never_leaves_half_a_character(void **state)
{
    static const char TEXT[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9d"
                               "b";

    for (size_t max = 0; max < sizeof(TEXT); max++) {
        size_t cut = utf8_cut_len(TEXT, max);

        assert_true(cut <= max && max - cut <= 3);
        assert_true(utf8_is_valid(TEXT, cut));
    }
}

static void what_could_drive_a_terminal_is_overwritten(void **state)
{
    char text[] = "a\tb\nc\x1b[31m\x7f \xc2\x9b"
                  "31m \xe2\x80\xae"
                  "x \xff \xc3\xa9";

    utf8_make_printable(text, sizeof(text) - 1);
    assert_string_equal(text, "a b c?[31m? ??31m ???x ? \xc3\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_of_three_bytes_is_decoded_as_defined),
        cmocka_unit_test(runs_of_four_bytes_are_decoded_as_defined),
        cmocka_unit_test(a_character_that_has_begun_is_found_at_the_end),
        cmocka_unit_test(every_codepoint_comes_back),
        cmocka_unit_test(the_first_bad_byte_is_found_wherever_it_stands),
        cmocka_unit_test(a_cut_never_leaves_half_a_character),
        cmocka_unit_test(what_could_drive_a_terminal_is_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

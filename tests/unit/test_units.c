/* Durations, sizes and numbers: what is taken, what is refused, what is shown. */
#include "common/units.h"

#include "common/clock.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct parsed {
    const char *text;
    bool is_good;
    uint64_t value;
};

static void durations_have_a_unit(void **state)
{
    static const struct parsed CASES[] = {
        {"500ms", true, 500},
        {"30s", true, 30000},
        {"5m", true, 300000},
        {"1h", true, 3600000},
        {"0", true, 0},
        {"off", true, 0},
        {"0s", true, 0},
        {"007s", true, 7000},
        {"", false, 0},
        {"30", false, 0},
        {"-1s", false, 0},
        {"1.5s", false, 0},
        {"1s ", false, 0},
        {" 1s", false, 0},
        {"s", false, 0},
        {"1S", false, 0},
        {"1h30m", false, 0},
        {"1d", false, 0},
        {"+1s", false, 0},
        {"on", false, 0},
        {"18446744073709551615ms", true, UINT64_MAX},
        {"18446744073709551616ms", false, 0},
        {"18446744073709551615s", false, 0},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err err = ERR_INIT;
        uint64_t ms = 12345;
        int rc = units_parse_duration(CASES[i].text, &ms, &err);

        if ((rc == 0) != CASES[i].is_good || ms != (CASES[i].is_good ? CASES[i].value : 12345))
            fail_msg("\"%s\": %d, %" PRIu64, CASES[i].text, rc, ms);
        assert_int_equal(err.kind, CASES[i].is_good ? ERR_NONE : ERR_USAGE);
    }
}

static void sizes_are_bytes_or_powers_of_1024(void **state)
{
    static const struct parsed CASES[] = {
        {"4096", true, 4096},
        {"64KiB", true, 65536},
        {"10MiB", true, 10485760},
        {"0", true, 0},
        {"", false, 0},
        {"2GiB", true, 2147483648},
        {"1KB", false, 0},
        {"1kib", false, 0},
        {"1.5MiB", false, 0},
        {"-1", false, 0},
        {"1 KiB", false, 0},
        {"17179869184GiB", false, 0},
        {"KiB", false, 0},
        {"off", false, 0},
        {"17179869183GiB", true, 18446744072635809792u},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err err = ERR_INIT;
        uint64_t bytes = 12345;
        int rc = units_parse_size(CASES[i].text, &bytes, &err);

        if ((rc == 0) != CASES[i].is_good || bytes != (CASES[i].is_good ? CASES[i].value : 12345))
            fail_msg("\"%s\": %d, %" PRIu64, CASES[i].text, rc, bytes);
    }
}

static void whole_numbers_stay_in_their_range(void **state)
{
    static const char *const BAD[] = {
        "", "-", " 1", "1 ", "1.0", "0x10", "101", "-11", "1e1", "+1", "99999999999999999999"};
    struct err err = ERR_INIT;
    int64_t number = 0;

    assert_int_equal(units_parse_integer("-10", -10, 100, &number, &err), 0);
    assert_int_equal(number, -10);
    assert_int_equal(units_parse_integer("100", -10, 100, &number, &err), 0);
    assert_int_equal(number, 100);
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        if (units_parse_integer(BAD[i], -10, 100, &number, &err) == 0)
            fail_msg("\"%s\" was taken", BAD[i]);
    }
    assert_int_equal(number, 100); /* refused: left alone */
    assert_int_equal(
        units_parse_integer("-9223372036854775808", INT64_MIN, INT64_MAX, &number, &err), 0);
    assert_true(number == INT64_MIN);
}

static void numbers_are_finite(void **state)
{
    static const char *const BAD[] = {"",      "nan",  "inf", "-inf",  "NaN", "infinity",
                                      "1e999", "x",    "1x",  "0x1p3", " 1",  "1 ",
                                      "2.1",   "-0.1", ".",   "e1",    "--1", "1e"};
    struct err err = ERR_INIT;
    double number = 0;

    assert_int_equal(units_parse_number("0.7", 0, 2, &number, &err), 0);
    assert_true(number == 0.7);
    assert_int_equal(units_parse_number("2e0", 0, 2, &number, &err), 0);
    assert_true(number == 2);
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        if (units_parse_number(BAD[i], 0, 2, &number, &err) == 0)
            fail_msg("\"%s\" was taken", BAD[i]);
    }
}

static void people_read_short_numbers(void **state)
{
    static const struct {
        uint64_t number;
        const char *size;
        const char *duration;
    } CASES[] = {
        {0, "0 B", "0ms"},
        {350, "350 B", "350ms"},
        {1023, "1023 B", "1s"},
        {12000, "11.7 KiB", "12s"},
        {303000, "295.9 KiB", "5m03s"},
        {7800000, "7.4 MiB", "2h10m"},
        {273600000, "260.9 MiB", "3d4h"},
        {103180000, "98.4 MiB", "1d4h"},
        {UINT64_MAX, "16777216.0 TiB", "213503982334d14h"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[UNITS_TEXT_BYTES];

        units_format_size(CASES[i].number, text);
        assert_string_equal(text, CASES[i].size);
        units_format_duration(CASES[i].number, text);
        assert_string_equal(text, CASES[i].duration);
    }
}

static void whole_numbers_are_written_as_printf_does(void **state)
{
    static const uint64_t NUMBERS[] = {0, 9, 10, 200, 4294967296, INT64_MAX, UINT64_MAX};
    char expected[UNITS_TEXT_BYTES], text[UNITS_TEXT_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(NUMBERS); i++) {
        (void)snprintf(expected, sizeof(expected), "%" PRIu64, NUMBERS[i]);
        assert_int_equal(units_format_whole(NUMBERS[i], text), strlen(expected));
        assert_string_equal(text, expected);
    }
}

static void times_come_back_from_their_text(void **state)
{
    static const int64_t TIMES_MS[] = {0, 1, 999, 951782400000, 1795301467123, 253402300799999};
    static const char *const BAD[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T22:51:07Z",
                                      "2026-11-21T22:51:07.123",
                                      "2026-11-21 22:51:07.123Z",
                                      "2026-11-31T22:51:07.123Z",
                                      "2026-11-21T25:51:07.123Z",
                                      "2026-11-21T22:51:07.123Z ",
                                      "2026-1-21T22:51:07.123Z",
                                      "2026-11-21T22:51:07.1234Z"};
    char text[CLOCK_RFC3339_BYTES];
    int64_t again_ms = -1;

    for (size_t i = 0; i < ARRAY_COUNT(TIMES_MS); i++) {
        clock_format_rfc3339(TIMES_MS[i], text);
        assert_true(clock_parse_rfc3339(text, &again_ms));
        assert_true(again_ms == TIMES_MS[i]);
    }
    clock_format_rfc3339(1795301467123, text);
    assert_string_equal(text, "2026-11-21T22:51:07.123Z");
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        if (clock_parse_rfc3339(BAD[i], &again_ms))
            fail_msg("\"%s\" was taken", BAD[i]);
    }
}

/* The example of RFC 9110, each day and month, and that a second is made once. */
static void http_dates_are_made_once_a_second(void **state)
{
    static const int64_t RFC_MS = 784111777000;
    static const int64_t DAY_MS = 86400000;
    static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    struct clock_http_date date = {.wall_s = 0};
    char months[12 * sizeof(", Jan")] = "";

    assert_string_equal(clock_http_date_at(&date, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(clock_http_date_at(&date, RFC_MS), "Sun, 06 Nov 1994 08:49:37 GMT");
    date.text[0] = '?'; /* whoever makes it anew would mend this */
    assert_string_equal(clock_http_date_at(&date, RFC_MS + 999), "?un, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(clock_http_date_at(&date, RFC_MS + 1000), "Sun, 06 Nov 1994 08:49:38 GMT");
    assert_string_equal(clock_http_date_at(&date, RFC_MS), "Sun, 06 Nov 1994 08:49:37 GMT");
    for (size_t i = 0; i < ARRAY_COUNT(DAYS); i++)
        assert_memory_equal(clock_http_date_at(&date, RFC_MS + (int64_t)i * DAY_MS), DAYS[i], 3);
    for (int month = 0; month < 12; month++) /* 30.5 days on is the next month */
        (void)snprintf(months + strlen(months), sizeof(months) - strlen(months), "%.4s",
                       clock_http_date_at(&date, RFC_MS + month * (DAY_MS * 61 / 2)) +
                           strlen("Sun, 06"));
    assert_string_equal(months, " Nov Dec Jan Feb Mar Apr May Jun Jul Aug Sep Oct");
    assert_string_equal(clock_http_date_at(&date, INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_string_equal(clock_http_date_at(&date, -1), "Thu, 01 Jan 1970 00:00:00 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(sizes_are_bytes_or_powers_of_1024),
        cmocka_unit_test(whole_numbers_stay_in_their_range),
        cmocka_unit_test(numbers_are_finite),
        cmocka_unit_test(people_read_short_numbers),
        cmocka_unit_test(whole_numbers_are_written_as_printf_does),
        cmocka_unit_test(times_come_back_from_their_text),
        cmocka_unit_test(http_dates_are_made_once_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A moment as people write it: RFC 3339 in all its forms, or how long ago; nothing else. */
#include "common/moment.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t NOW_MS = 1795000000000;

static void moments_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } CASES[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:01.5Z", 1500},
        {"1970-01-01T00:00:01.000999z", 1000},
        {"1970-01-01T02:00:00+02:00", 0},
        {"1970-01-01T00:00:00-01:30", 5400000},
        {"2026-11-21T22:51:07.123Z", 1795301467123},
        {"10m", 1795000000000 - 600000},
        {"500ms", 1795000000000 - 500},
        {"0", 1795000000000},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err err = ERR_INIT;
        int64_t ms = -1;

        assert_int_equal(moment_parse(CASES[i].text, NOW_MS, &ms, &err), 0);
        assert_true(ms == CASES[i].ms);
    }
}

static void what_is_none_is_refused(void **state)
{
    static const char *const CASES[] = {
        "",
        "yesterday",
        "-10m",
        "10",
        "2026-11-21",
        "2026-11-21T22:51:07",
        "2026-11-31T22:51:07Z",
        "2026-1-21T22:51:07Z",
        "2026-11-21T22:51:07.Z",
        "2026-11-21T22:51:07.1234567890Z",
        "2026-11-21T22:51:07+0100",
        "2026-11-21T22:51:07+24:00",
        "2026-11-21T22:51:07+01:60",
        "2026-11-21T22:51:07Zx",
        " 2026-11-21T22:51:07Z",
        "1970-01-01T00:00:00+01:00",
        "9000000h",
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err err = ERR_INIT;
        int64_t ms = -1;

        assert_int_equal(moment_parse(CASES[i], NOW_MS, &ms, &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_read),
        cmocka_unit_test(what_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

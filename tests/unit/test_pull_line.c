/* The line that says how far a download is. */
#include "cli/pull_line.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct pull_line HALF = {.what = "",
                                      .file = "llama-q4_k_m.gguf",
                                      .done_bytes = (int64_t)1 << 30,
                                      .total_bytes = (int64_t)2 << 30,
                                      .bytes_per_second = 16 << 20};

static void assert_line(const struct pull_line *line, unsigned columns, const char *wanted)
{
    char text[PULL_LINE_MAX_BYTES];

    pull_line_format(line, columns, text);
    assert_string_equal(text, wanted);
}

static void what_does_not_fit_goes_and_the_number_stays(void **state)
{
    assert_line(&HALF, 120,
                "llama-q4_k_m.gguf  [##############              ]  50 %  1.0 GiB of 2.0 GiB  "
                "16.0 MiB/s  1m05s");
    assert_line(&HALF, 60, "[######       ]  50 %  1.0 GiB of 2.0 GiB  16.0 MiB/s  1m05s");
    assert_line(&HALF, 40, "[######       ]  50 %  16.0 MiB/s  1m05s");
    assert_line(&HALF, 19, "50 %  1m05s");
    assert_line(&HALF, 5, "50 %");
    assert_line(&HALF, 3, "");
}

static void a_file_of_unknown_length_has_no_number(void **state)
{
    struct pull_line line = HALF;

    line.total_bytes = -1;
    assert_line(&line, 80, "llama-q4_k_m.gguf  1.0 GiB  16.0 MiB/s");
    line.bytes_per_second = 0;
    line.what = "checking";
    assert_line(&line, 80, "checking llama-q4_k_m.gguf  1.0 GiB");
}

/* Whatever the numbers are, the line is no wider than it may be. */
static void no_line_is_too_wide(void **state)
{
    static const int64_t NUMBERS[] = {0, 1, 999, 1023, 1 << 20, (int64_t)1 << 40, INT64_MAX};
    char text[PULL_LINE_MAX_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(NUMBERS); i++) {
        for (unsigned columns = 0; columns < 200; columns++) {
            const struct pull_line line = {.what = "checking",
                                           .file = "a-name-that-is-longer-than-anybody-would-ever-"
                                                   "want-to-read-on-one-line-of-a-terminal.gguf",
                                           .done_bytes = NUMBERS[i] / 2,
                                           .total_bytes = NUMBERS[i],
                                           .bytes_per_second = NUMBERS[i] / 3};

            pull_line_format(&line, columns, text);
            assert_true(strlen(text) <= columns);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_goes_and_the_number_stays),
        cmocka_unit_test(a_file_of_unknown_length_has_no_number),
        cmocka_unit_test(no_line_is_too_wide),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

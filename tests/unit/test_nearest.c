/* What "did you mean" suggests, and what it leaves alone. */
#include "common/nearest.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_distance_counts_edits(void **state)
{
    assert_int_equal(nearest_distance("", ""), 0);
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_int_equal(nearest_distance("infer", "infer"), 0);
    assert_int_equal(nearest_distance("infer", "INFER"), 0);
    assert_int_equal(nearest_distance("infre", "infer"), 1);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("sitting", "kitten"), 3);
}

static void only_what_is_alike_is_suggested(void **state)
{
    static const char *const NAMES[] = {"infer", "up", "down", "status", "ps", "model"};
    size_t count = ARRAY_COUNT(NAMES);

    assert_int_equal(nearest_find("infre", NAMES, count), 0);
    assert_int_equal(nearest_find("stat", NAMES, count), 3);
    assert_int_equal(nearest_find("models", NAMES, count), 5);
    assert_int_equal(nearest_find("frobnicate", NAMES, count), count);
    assert_int_equal(nearest_find("", NAMES, count), count);
    assert_int_equal(nearest_find("infer", NAMES, 0), 0);
}

static void names_longer_than_the_limit_are_compared_by_their_beginning(void **state)
{
    char a[3 * NEAREST_NAME_MAX_BYTES];
    char b[3 * NEAREST_NAME_MAX_BYTES];

    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    a[sizeof(a) - 1] = '\0';
    b[sizeof(b) - 2] = '\0';
    assert_int_equal(nearest_distance(a, b), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_distance_counts_edits),
        cmocka_unit_test(only_what_is_alike_is_suggested),
        cmocka_unit_test(names_longer_than_the_limit_are_compared_by_their_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

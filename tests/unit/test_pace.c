/* The size of prefill chunks: near 100 ms, whatever the machine. */
#include "hip/engine/pace.h"

#include "hip/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* On a machine of constant speed the chunks settle at what fits the target, within a few steps and
 * from any first impression. */
static void chunks_settle_at_the_target(void **state)
{
    for (uint64_t row_us = 200; row_us <= 100000; row_us *= 5) {
        uint64_t fitting = PACE_TARGET_US / row_us;
        struct pace pace;

        if (fitting > SESSION_BATCH_MAX_ROWS)
            fitting = SESSION_BATCH_MAX_ROWS;
        pace_init(&pace, row_us * 7);
        for (int i = 0; i < 8; i++)
            pace_measure(&pace, pace.rows, pace.rows * row_us);
        assert_int_equal(pace.rows, fitting);
    }
}

/* No measurement, however odd, gives a chunk of nothing or one that a step cannot take. */
static void a_chunk_has_at_least_one_row_and_at_most_a_step(void **state)
{
    static const uint64_t ODD_US[] = {0, 1, 99, 100000, 100001, 10000000, UINT64_MAX / 2};
    static const uint32_t ODD_ROWS[] = {1, 2, 511, SESSION_BATCH_MAX_ROWS};

    for (size_t i = 0; i < sizeof(ODD_US) / sizeof(ODD_US[0]); i++) {
        struct pace pace;

        pace_init(&pace, ODD_US[i]);
        for (size_t k = 0; k < sizeof(ODD_ROWS) / sizeof(ODD_ROWS[0]); k++) {
            pace_measure(&pace, ODD_ROWS[k], ODD_US[i]);
            assert_in_range(pace.rows, 1, SESSION_BATCH_MAX_ROWS);
        }
    }
}

/* One lucky measurement must not make the next chunk take seconds. */
static void a_chunk_never_grows_by_more_than_its_factor(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000000);
    assert_int_equal(pace.rows, 1);
    for (uint32_t before = pace.rows; before < SESSION_BATCH_MAX_ROWS; before = pace.rows) {
        pace_measure(&pace, pace.rows, 1);
        assert_in_range(pace.rows, before + 1, before * PACE_GROWTH_MAX);
    }
}

static void too_slow_a_chunk_shrinks_at_once(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000);
    pace_measure(&pace, 400, 800000);
    assert_int_equal(pace.rows, 50);
}

/* The two last rows of a prompt are dear for their number: that says nothing about full chunks. */
static void the_rest_of_a_prompt_does_not_shrink_chunks(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000);
    pace_measure(&pace, 100, 50000);
    assert_int_equal(pace.rows, 200);
    pace_measure(&pace, 2, 20000);
    assert_int_equal(pace.rows, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_settle_at_the_target),
        cmocka_unit_test(a_chunk_has_at_least_one_row_and_at_most_a_step),
        cmocka_unit_test(a_chunk_never_grows_by_more_than_its_factor),
        cmocka_unit_test(too_slow_a_chunk_shrinks_at_once),
        cmocka_unit_test(the_rest_of_a_prompt_does_not_shrink_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The size of prefill chunks: near 100 ms, or what others' streams bear, whatever the machine. */
#include "hip/engine/pace.h"

#include "hip/model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void measure_alone(struct pace *pace, uint32_t rows, uint64_t took_us)
{
    pace_measure(pace, &(struct pace_step){.prompt_rows = rows, .took_us = took_us});
}

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
            measure_alone(&pace, pace.rows_alone, pace.rows_alone * row_us);
        assert_int_equal(pace.rows_alone, fitting);
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
            measure_alone(&pace, ODD_ROWS[k], ODD_US[i]);
            assert_in_range(pace.rows_alone, 1, SESSION_BATCH_MAX_ROWS);
        }
    }
}

/* One lucky measurement must not make the next chunk take seconds. */
static void a_chunk_never_grows_by_more_than_its_factor(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000000);
    assert_int_equal(pace.rows_alone, 1);
    for (uint32_t before = pace.rows_alone; before < SESSION_BATCH_MAX_ROWS;
         before = pace.rows_alone) {
        measure_alone(&pace, pace.rows_alone, 1);
        assert_in_range(pace.rows_alone, before + 1, before * PACE_GROWTH_MAX);
    }
}

static void too_slow_a_chunk_shrinks_at_once(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000);
    measure_alone(&pace, 400, 800000);
    assert_int_equal(pace.rows_alone, 50);
}

/* The two last rows of a prompt are dear for their number: that says nothing about full chunks. */
static void the_rest_of_a_prompt_does_not_shrink_chunks(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000);
    measure_alone(&pace, 100, 50000);
    assert_int_equal(pace.rows_alone, 200);
    measure_alone(&pace, 2, 20000);
    assert_int_equal(pace.rows_alone, 200);
}

/* Beside the tokens of others a chunk takes what a usual step takes, so that the gap between them
 * at most doubles: whatever the machine, and soon. */
static void a_chunk_beside_others_at_most_doubles_their_gap(void **state)
{
    for (uint64_t row_us = 50; row_us <= 5000; row_us *= 10) {
        const uint64_t gap_us = 20000;
        struct pace pace;

        pace_init(&pace, gap_us);
        for (int i = 0; i < 8; i++) {
            uint32_t rows = pace_rows(&pace, true);
            struct pace_step step = {
                .prompt_rows = rows, .decode_rows = 3, .took_us = gap_us + rows * row_us};

            pace_measure(&pace, &step);
            assert_true(pace_rows(&pace, true) * row_us <= gap_us);
        }
        assert_int_equal(pace_rows(&pace, true), gap_us / row_us);
    }
}

/* What is learnt beside others says nothing of chunks alone. */
static void the_two_sizes_are_apart(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000);
    measure_alone(&pace, 400, 100000);
    pace_measure(&pace, &(struct pace_step){.prompt_rows = 4, .decode_rows = 1, .took_us = 9000});
    assert_int_equal(pace_rows(&pace, false), 400);
    assert_in_range(pace_rows(&pace, true), 1, 4);
}

/* More streams make their own gap longer, and with it what a chunk may take. */
static void the_usual_gap_follows_what_is_measured(void **state)
{
    struct pace pace;

    pace_init(&pace, 1000);
    for (int i = 0; i < 10 * PACE_USUAL_STEPS; i++)
        pace_measure(&pace, &(struct pace_step){.decode_rows = 4, .took_us = 8000});
    assert_in_range(pace.usual_us, 7900, 8000);
    pace_measure(&pace, &(struct pace_step){.prompt_rows = 4, .decode_rows = 4, .took_us = 10000});
    assert_in_range(pace_rows(&pace, true), 15, 16);
}

/* A prompt that takes long gets its share to the end, though the steps of the streams beside it
 * become four times as long meanwhile; and their gaps at most double. */
static void a_long_prompt_keeps_its_share_beside_streams_that_grow(void **state)
{
    const uint64_t begin_us = 20000;
    const uint64_t row_us = 1000;
    const int step_count = 2000;
    struct pace pace;
    int chunkless = 0;

    pace_init(&pace, begin_us);
    for (int i = 0; i < step_count; i++) {
        uint64_t usual_us = begin_us + begin_us * 3 * (uint64_t)i / (uint64_t)step_count;
        uint32_t rows = pace_rows(&pace, true);

        chunkless += rows == 0 ? 1 : 0;
        assert_true(rows * row_us <= usual_us);
        if (i > PACE_BESIDE_STEPS && rows > 0)
            assert_true(2 * rows * row_us >= usual_us);
        pace_measure(&pace, &(struct pace_step){.prompt_rows = rows,
                                                .decode_rows = 3,
                                                .took_us = usual_us + rows * row_us});
    }
    assert_in_range(chunkless, 1, step_count / PACE_BESIDE_STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_settle_at_the_target),
        cmocka_unit_test(a_chunk_has_at_least_one_row_and_at_most_a_step),
        cmocka_unit_test(a_chunk_never_grows_by_more_than_its_factor),
        cmocka_unit_test(too_slow_a_chunk_shrinks_at_once),
        cmocka_unit_test(the_rest_of_a_prompt_does_not_shrink_chunks),
        cmocka_unit_test(a_chunk_beside_others_at_most_doubles_their_gap),
        cmocka_unit_test(the_two_sizes_are_apart),
        cmocka_unit_test(the_usual_gap_follows_what_is_measured),
        cmocka_unit_test(a_long_prompt_keeps_its_share_beside_streams_that_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

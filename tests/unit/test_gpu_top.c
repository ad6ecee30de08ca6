/* The kernels that pick the most probable tokens out of rows of logits, through the emulator: what
 * sorting everything gives, whatever the sizes, the order of lanes and the logits. */
#include "hip/kernels/args.h"
#include "hip/text/candidates.h"
#include "tests/emulator/emulate.h"
#include "tests/tiny_model.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 3, PADDING = 5, GUARD = 2 };

static_assert((int)GPU_TOP_MAX == (int)CANDIDATES_PICKED_MAX_COUNT, "as many as anybody wants");

static struct emulator emulators[2];

/* ---- the slow way ---- */

static int falling(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x < y) - (x > y);
}

static uint64_t slow_candidate(float logit, uint32_t token)
{
    if (isnan(logit) || logit == INFINITY)
        return CANDIDATE_FAULTY;
    return logit == -INFINITY ? CANDIDATE_NONE : candidate_of(logit, token);
}

static void slow_top(const float *logits, uint32_t token_count, uint64_t *out, uint32_t count)
{
    AUTO_FREE uint64_t *all = xcalloc((size_t)token_count + count, sizeof(*all));

    for (uint32_t i = 0; i < token_count; i++)
        all[i] = slow_candidate(logits[i], i);
    qsort(all, token_count, sizeof(*all), falling);
    memcpy(out, all, count * sizeof(*out));
}

/* ---- the kernels ---- */

static uint32_t list_of(uint32_t count)
{
    uint32_t list = 1;

    while (list < count)
        list *= 2;
    return list;
}

/* LOGITS [ROWS][width] to OUT [ROWS][count]. */
static void run_kernels(const struct emulator *emulator, struct args_top *args)
{
    uint64_t list_count = 0;
    AUTO_FREE uint64_t *lists = NULL;

    args->list = list_of(args->count);
    args->slice_count = (args->token_count + GPU_TOP_SLICE - 1) / GPU_TOP_SLICE;
    list_count = (uint64_t)ROWS * args->slice_count * args->list;
    lists = xcalloc(list_count + GUARD, sizeof(*lists));
    memset(lists, 0xAB, (list_count + GUARD) * sizeof(*lists));
    args->lists = lists;
    emulate(emulator, "top_slices", (const uint32_t[]){args->slice_count, ROWS, 1}, GPU_THREADS_MAX,
            args, sizeof(*args));
    emulate(emulator, "top_merge", (const uint32_t[]){ROWS, 1, 1}, GPU_THREADS_MAX, args,
            sizeof(*args));
    for (uint32_t i = 0; i < GUARD; i++)
        assert_int_equal(lists[list_count + i], 0xABABABABABABABABULL);
}

/* Of ROWS rows of TOKEN_COUNT logits and padding, on both widths of waves and in any order of
 * lanes. */
static void expect_top(const float *logits, uint32_t token_count, uint32_t count)
{
    static const enum emulator_order ORDERS[] = {EMULATOR_FORWARD, EMULATOR_REVERSE,
                                                 EMULATOR_RANDOM};
    uint64_t expected[ROWS * GPU_TOP_MAX + GUARD];
    uint64_t out[ROWS * GPU_TOP_MAX + GUARD];
    struct args_top args = {.logits = logits,
                            .out = out,
                            .width = token_count + PADDING,
                            .token_count = token_count,
                            .count = count};

    memset(expected, 0xAB, sizeof(expected));
    for (uint32_t row = 0; row < ROWS; row++)
        slow_top(logits + (size_t)row * args.width, token_count, expected + (size_t)row * count,
                 count);
    for (size_t i = 0; i < 2 * ARRAY_COUNT(ORDERS); i++) {
        const struct emulator *emulator = &emulators[i % 2];

        memset(out, 0xAB, sizeof(out));
        emulator->set_order(ORDERS[i / 2], i);
        run_kernels(emulator, &args);
        if (memcmp(out, expected, sizeof(out)) != 0)
            fail_msg("wave %u, order %zu: other candidates of %u of %u", emulator->wave, i / 2,
                     count, token_count);
    }
}

/* Rows of TOKEN_COUNT logits and padding, whose logits are faults that nobody may see. KIND says
 * how a logit is made. */
static float *rows_new(uint32_t token_count, float (*kind)(uint64_t *seed), uint64_t seed)
{
    size_t width = token_count + PADDING;
    float *logits = xcalloc(ROWS * width, sizeof(*logits));

    for (size_t i = 0; i < ROWS * width; i++)
        logits[i] = i % width < token_count ? kind(&seed) : NAN;
    return logits;
}

static float kind_spread(uint64_t *seed)
{
    return 12 * tiny_uniform(seed);
}

/* So few values that the ids decide about most, 0 and -0 among them. */
static float kind_equal(uint64_t *seed)
{
    static const float VALUES[] = {-1, 0, -0.0f, -FLT_TRUE_MIN};

    return VALUES[tiny_next(seed) % ARRAY_COUNT(VALUES)];
}

static float kind_rare(uint64_t *seed)
{
    return tiny_next(seed) % 100 == 0 ? tiny_uniform(seed) : -INFINITY;
}

static float kind_never(uint64_t *seed)
{
    return -INFINITY;
}

static float kind_extreme(uint64_t *seed)
{
    static const float VALUES[] = {FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_TRUE_MIN, -INFINITY};

    return VALUES[tiny_next(seed) % ARRAY_COUNT(VALUES)];
}

/* ---- what is shown ---- */

/* Less than a list, whole slices, one more or less, and lists that do not find room at once. */
static void any_size_gives_what_sorting_gives(void **state)
{
    static const uint32_t SIZES[] = {1, 2, 63, 65, 300, 2047, 2048, 2049, 5003, 33 * 2048 + 1};
    static const uint32_t COUNTS[] = {1, 2, 3, 33, 40, 64};

    for (size_t i = 0; i < ARRAY_COUNT(SIZES); i++) {
        AUTO_FREE float *logits = rows_new(SIZES[i], kind_spread, i + 1);

        for (size_t j = 0; j < ARRAY_COUNT(COUNTS); j++)
            expect_top(logits, SIZES[i], COUNTS[j]);
    }
}

/* The best of all may lie in one slice, or the least of it be better than all others. */
static void any_order_of_logits_gives_what_sorting_gives(void **state)
{
    enum { TOKENS = 140001 }; /* too many lists for two goes */
    AUTO_FREE float *logits = rows_new(TOKENS, kind_never, 1);

    for (uint32_t i = 0; i < TOKENS; i++) {
        logits[i] = (float)i;
        logits[TOKENS + PADDING + i] = -(float)i;
        logits[2 * (TOKENS + PADDING) + i] = (float)((i * 2654435761u) >> 8);
    }
    expect_top(logits, TOKENS, 64);
    expect_top(logits, TOKENS, 1);
}

static void equal_and_odd_logits_give_what_sorting_gives(void **state)
{
    static float (*const KINDS[])(uint64_t *) = {kind_equal, kind_rare, kind_never, kind_extreme};

    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        AUTO_FREE float *logits = rows_new(5003, KINDS[i], 7);

        expect_top(logits, 5003, 40);
        expect_top(logits, 5003, 1);
    }
}

/* One fault anywhere makes its row a fault, and no other. */
static void a_fault_comes_first_in_its_row_alone(void **state)
{
    static const float FAULTS[] = {NAN, -NAN, INFINITY};
    static const uint32_t PLACES[] = {0, 2048, 4999};
    uint64_t out[ROWS * GPU_TOP_MAX];

    for (size_t i = 0; i < ARRAY_COUNT(FAULTS) * ARRAY_COUNT(PLACES); i++) {
        AUTO_FREE float *logits = rows_new(5000, kind_spread, 3);
        struct args_top args = {.logits = logits,
                                .out = out,
                                .width = 5000 + PADDING,
                                .token_count = 5000,
                                .count = 1 + (uint32_t)i};

        logits[5000 + PADDING + PLACES[i / 3]] = FAULTS[i % 3];
        run_kernels(&emulators[i % 2], &args);
        for (uint32_t row = 0; row < ROWS; row++)
            assert_int_equal(out[row * args.count] == CANDIDATE_FAULTY, row == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_size_gives_what_sorting_gives),
        cmocka_unit_test(any_order_of_logits_gives_what_sorting_gives),
        cmocka_unit_test(equal_and_odd_logits_give_what_sorting_gives),
        cmocka_unit_test(a_fault_comes_first_in_its_row_alone),
    };

    emulators[0] = emulator_open("gpu-emulator", 32);
    emulators[1] = emulator_open("gpu-emulator", 64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

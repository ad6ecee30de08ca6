/* The emulator of GPU kernels: right kernels give right results whatever the order of turns, and
 * each fault that a kernel can have ends the process, or shows in the results. */
#include "tests/emulator/child.h"
#include "tests/emulator/emulate.h"
#include "tests/emulator/planted_args.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS_MAX = 256, ORDER_COUNT = 3, SAID_BYTES = 16384 };

static const uint32_t one_block[3] = {1, 1, 1};
static struct emulator emulators[2]; /* waves of 32, of 64 */
static float out[4 * THREADS_MAX];
static uint32_t words[4 * THREADS_MAX];

static void run(const struct emulator *emulator, const char *kernel, uint32_t threads,
                const struct args_planted *args)
{
    emulate(emulator, kernel, one_block, threads, args, sizeof(*args));
}

/* ---- what is right ---- */

static void each_right(void (*check)(const struct emulator *emulator))
{
    for (int wave = 0; wave < 2; wave++)
        for (int order = 0; order < ORDER_COUNT; order++) {
            emulators[wave].set_order((enum emulator_order)order, 1);
            memset(out, 0, sizeof(out));
            memset(words, 0, sizeof(words));
            check(&emulators[wave]);
            emulators[wave].set_order(EMULATOR_FORWARD, 0);
        }
}

static void check_rows(const struct emulator *emulator)
{
    enum { ROWS = 5, COLUMNS = 333 };
    float in[ROWS][COLUMNS];
    const struct args_planted args = {.in = in[0], .out = out, .count = COLUMNS};

    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t i = 0; i < COLUMNS; i++)
            in[row][i] = (float)(row * 7 + i);
    emulate(emulator, "sum_rows", (const uint32_t[]){ROWS, 1, 1}, THREADS_MAX, &args, sizeof(args));
    for (uint32_t row = 0; row < ROWS; row++)
        assert_true(out[row] == (float)(row * 7 * COLUMNS + COLUMNS * (COLUMNS - 1) / 2));
}

static void test_blocks_add_up_their_rows(void **state)
{
    each_right(check_rows);
}

/* A sum over lanes is the sum that gpu.h's own shuffles give, in each bit. */
static void check_lanes(const struct emulator *emulator)
{
    const uint32_t threads = 2 * emulator->wave;
    float in[THREADS_MAX];

    for (uint32_t width = 1; width <= emulator->wave; width *= 2) {
        const struct args_planted args = {.in = in, .out = out, .words = words, .count = width};

        for (uint32_t i = 0; i < threads; i++)
            in[i] = sinf((float)(i * width)) * expf((float)(i % 11));
        run(emulator, "lanes_swap", threads, &args);
        for (uint32_t i = 0; i < threads; i++) {
            uint32_t first = i / width * width;
            float largest = in[first];

            for (uint32_t k = first; k < first + width; k++)
                largest = fmaxf(largest, in[k]);
            assert_int_equal(words[i],
                             i / emulator->wave * emulator->wave + (i + 1) % emulator->wave);
            assert_memory_equal(&out[i * 4], &out[i * 4 + 1], sizeof(float));
            assert_memory_equal(&out[i * 4 + 2], &out[i * 4 + 3], sizeof(float));
            assert_memory_equal(&out[i * 4 + 2], &largest, sizeof(float));
            assert_memory_equal(&out[i * 4], &out[first * 4], sizeof(float));
        }
    }
}

static void test_lanes_meet(void **state)
{
    each_right(check_lanes);
}

static void check_places(const struct emulator *emulator)
{
    const uint32_t threads = emulator->wave;
    const struct args_planted args = {.words = words, .count = 2};

    emulate(emulator, "who_am_i", (const uint32_t[]){2, 2, 2}, threads, &args, sizeof(args));
    for (uint32_t i = 0; i < 8 * threads; i++)
        assert_int_equal(words[i], 1 + i % threads);
}

static void test_each_thread_of_each_block_runs_once(void **state)
{
    each_right(check_places);
}

static void check_product(const struct emulator *emulator)
{
    enum { SIDE = 16, TIMES = 3, ONE = 0x3C00, MANTISSA = 1024 };
    const struct args_planted args = {.out = out, .words = words, .count = TIMES};
    double in[2 * SIDE][SIDE];

    for (uint32_t i = 0; i < 2 * SIDE * SIDE; i++) {
        uint32_t part = i * 389 % MANTISSA; /* 1 to 2, in no order */

        words[i] = ONE + part;
        in[i / SIDE][i % SIDE] = 1.0 + (double)part / MANTISSA;
    }
    run(emulator, "product", emulator->wave, &args);
    for (uint32_t row = 0; row < SIDE; row++)
        for (uint32_t column = 0; column < SIDE; column++) {
            double sum = 0.0;

            for (uint32_t k = 0; k < SIDE; k++)
                sum += TIMES * in[row][k] * in[SIDE + column][k];
            assert_true(fabs((double)out[row * SIDE + column] - sum) < 1e-4);
        }
}

static void test_a_wave_multiplies_matrices(void **state)
{
    each_right(check_product);
}

/* A grid of any size is gone through whole, in random order too. */
static void test_random_order_skips_no_block(void **state)
{
    enum { BLOCKS_MAX = 40 };
    static float in[BLOCKS_MAX];

    emulators[0].set_order(EMULATOR_RANDOM, 7);
    for (uint32_t blocks = 1; blocks <= BLOCKS_MAX; blocks++) {
        const struct args_planted args = {.in = in, .out = out, .count = 1};

        for (uint32_t i = 0; i < blocks; i++)
            in[i] = (float)(blocks + i);
        emulate(&emulators[0], "sum_rows", (const uint32_t[]){blocks, 1, 1}, 32, &args,
                sizeof(args));
        for (uint32_t i = 0; i < blocks; i++)
            assert_true(out[i] == in[i]);
    }
    emulators[0].set_order(EMULATOR_FORWARD, 0);
}

/* All halves, and floats at and beside the middle between two halves, where rounding turns. */
static void test_halves_are_ieee(void **state)
{
    enum { COUNT = 65536, MIDDLES = 0x7C00 };
    float *in = calloc(COUNT, sizeof(*in)), *floats = calloc(COUNT, sizeof(*floats));
    uint32_t *halves = calloc(COUNT, sizeof(*halves));
    const struct args_planted args = {.in = in, .out = floats, .words = halves, .count = COUNT};
    const uint32_t blocks[3] = {COUNT / 256, 1, 1};

    for (uint32_t i = 0; i < COUNT; i++)
        halves[i] = i;
    emulate(&emulators[0], "halves", blocks, 256, &args, sizeof(args));
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t exponent = i >> 10 & 0x1F, mantissa = i & 0x3FF;
        float size = exponent == 0 ? ldexpf((float)mantissa, -24)
                                   : ldexpf((float)(mantissa + 1024), (int)exponent - 25);

        if (exponent == 0x1F) {
            assert_true(mantissa == 0 ? isinf(floats[i]) : isnan(floats[i]));
            assert_true((signbit(floats[i]) != 0) == (i >= 0x8000));
        } else {
            assert_true(floats[i] == (i < 0x8000 ? size : -size));
        }
    }
    /* 0x7BFF and 0x7C00: the middle between the largest half and what would come next. */
    for (int side = -1; side <= 1; side++) {
        for (uint32_t i = 0; i < MIDDLES; i++) {
            float next = i + 1 == MIDDLES ? 65536.0f : floats[i + 1];
            float middle = (floats[i] + next) / 2;

            in[i] = side < 0 ? nextafterf(middle, 0) : side > 0 ? nextafterf(middle, 1e9f) : middle;
            in[0x8000 + i] = -in[i];
        }
        float *kept = calloc(COUNT, sizeof(*kept));
        struct args_planted again = args;

        again.out = kept;
        emulate(&emulators[1], "halves", blocks, 256, &again, sizeof(again));
        for (uint32_t i = 0; i < MIDDLES; i++) {
            uint32_t wanted = i + (side > 0 || (side == 0 && i % 2 == 1) ? 1 : 0);

            assert_int_equal(halves[i], wanted);
            assert_int_equal(halves[0x8000 + i], 0x8000 | wanted);
        }
        free(kept);
    }
    in[0] = NAN, in[1] = INFINITY, in[2] = 1e30f;
    emulate(&emulators[0], "halves", blocks, 256, &args, sizeof(args));
    assert_int_equal(halves[0] & 0x7E00, 0x7E00);
    assert_int_equal(halves[1], 0x7C00);
    assert_int_equal(halves[2], 0x7C00);
    free(in), free(floats), free(halves);
}

/* ---- faults that end the process ---- */

/* Runs KERNEL in a child; what it says is in SAID. Whether it ended by itself. */
static bool ends(const struct emulator *emulator, const char *kernel, uint32_t threads,
                 const struct args_planted *args, char said[SAID_BYTES])
{
    int ends_of_pipe[2], status = 0;
    size_t length = 0;
    ssize_t got = 0;
    pid_t child = -1;

    assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends_of_pipe[1], STDERR_FILENO);
        child_begin();
        emulate(emulator, kernel, one_block, threads, args, sizeof(*args));
        _exit(0);
    }
    close(ends_of_pipe[1]);
    while ((got = read(ends_of_pipe[0], said + length, SAID_BYTES - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends_of_pipe[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct fault {
    const char *kernel;
    uint32_t wave_count; /* of the block */
    uint32_t count;
    const char *says[4]; /* all of them */
};

static void check_fault(const struct fault *fault)
{
    char said[SAID_BYTES];

    for (int wave = 0; wave < 2; wave++)
        for (int order = 0; order < ORDER_COUNT; order++) {
            const struct emulator *emulator = &emulators[wave];
            const struct args_planted args = {.in = out, .out = out, .count = fault->count};

            emulator->set_order((enum emulator_order)order, 3);
            assert_true(
                ends(emulator, fault->kernel, fault->wave_count * emulator->wave, &args, said));
            for (int i = 0; i < 4 && fault->says[i] != NULL; i++)
                if (strstr(said, fault->says[i]) == NULL)
                    fail_msg("%s: \"%s\" is not in: %s", fault->kernel, fault->says[i], said);
            assert_non_null(strstr(said, fault->kernel));
            assert_non_null(strstr(said, "planted.c:"));
            emulator->set_order(EMULATOR_FORWARD, 0);
        }
}

static void test_a_divergent_barrier_ends_the_process(void **state)
{
    check_fault(&(struct fault){
        "divergent_barrier", 2, 0, {"block (0, 0, 0)", "thread 5", "a barrier", "its end"}});
    check_fault(&(struct fault){"divergent_waves", 2, 0, {"a barrier at ", "thread "}});
}

static void test_a_divergent_shuffle_ends_the_process(void **state)
{
    check_fault(&(struct fault){"divergent_shuffle", 1, 0, {"a shuffle at ", "but thread "}});
    check_fault(&(struct fault){"divergent_loop", 1, 0, {"a shuffle at ", "a barrier at "}});
}

static void test_a_shuffle_with_lanes_that_ended_ends_the_process(void **state)
{
    check_fault(&(struct fault){"shuffle_after_exit", 1, 20, {"a shuffle at ", "its end"}});
}

static void test_a_shuffle_reads_lanes_of_the_wave_alone(void **state)
{
    check_fault(&(struct fault){
        "shuffle_beyond_wave", 1, 0, {"a shuffle from a lane that the wave does not have"}});
    check_fault(&(struct fault){"uneven_width", 1, 0, {"no power of 2"}});
}

static void test_shared_memory_has_a_limit(void **state)
{
    check_fault(&(struct fault){"too_much_shared", 1, 0, {"more than 48 KB of shared memory"}});
}

static void test_what_leaves_memory_is_caught(void **state)
{
    if (!child_has_address_sanitizer())
        skip();
    char said[SAID_BYTES];
    float *heap = calloc(64, sizeof(*heap));
    const struct args_planted over = {.out = heap, .count = 33};
    const struct args_planted shared = {.out = out, .count = 1};

    assert_true(ends(&emulators[0], "heap_overrun", 32, &over, said));
    assert_non_null(strstr(said, "heap-buffer-overflow"));
    assert_non_null(strstr(said, "planted.c:"));
    for (int wave = 0; wave < 2; wave++) {
        assert_true(ends(&emulators[wave], "shared_overrun", 64, &shared, said));
        /* UBSan, where it is there, knows the array's size and is the first to see it. */
        assert_true(strstr(said, "global-buffer-overflow") != NULL ||
                    strstr(said, "insufficient space") != NULL);
        assert_non_null(strstr(said, "planted.c:"));
    }
    free(heap);
}

/* ---- faults that show in the results ---- */

static void test_shared_memory_that_nobody_wrote_is_nan(void **state)
{
    for (int wave = 0; wave < 2; wave++) {
        const struct args_planted args = {.out = out};

        run(&emulators[wave], "unwritten_shared", 64, &args);
        for (uint32_t i = 0; i < 64; i++)
            assert_true(i == 3 ? isnan(out[i]) : out[i] == 1.0f);
        emulate(&emulators[wave], "shared_of_block_before", (const uint32_t[]){2, 1, 1}, 64, &args,
                sizeof(args));
        for (uint32_t i = 0; i < 128; i++)
            assert_true(i < 64 ? out[i] == 1.0f : isnan(out[i]));
    }
}

/* Whether the kernel gives the same in each order of turns. */
static bool orders_agree(const struct emulator *emulator, const char *kernel, uint32_t count)
{
    const struct args_planted args = {.out = out, .count = count};
    float forward[ARRAY_COUNT(out)];
    bool is_same = true;

    for (int order = EMULATOR_FORWARD; order <= EMULATOR_RANDOM; order++) {
        memset(out, 0, sizeof(out));
        emulator->set_order((enum emulator_order)order, 1);
        run(emulator, kernel, THREADS_MAX, &args);
        if (order == EMULATOR_FORWARD)
            memcpy(forward, out, sizeof(out));
        is_same = is_same && memcmp(forward, out, sizeof(out)) == 0;
    }
    emulator->set_order(EMULATOR_FORWARD, 0);
    return is_same;
}

static void test_a_missing_barrier_shows_between_orders(void **state)
{
    for (int wave = 0; wave < 2; wave++) {
        assert_true(orders_agree(&emulators[wave], "many_meetings", 3));
        assert_false(orders_agree(&emulators[wave], "missing_barrier", 0));
        assert_false(orders_agree(&emulators[wave], "missing_barrier_of_waves", 0));
    }
}

/* ---- calls ---- */

static void test_what_cannot_be_launched_is_told(void **state)
{
    const struct args_planted args = {.out = out};
    const struct emulator *emulator = &emulators[1];

    assert_non_null(emulator->run("nobody", one_block, 64, &args, sizeof(args)));
    assert_non_null(emulator->run("never_written", one_block, 64, &args, sizeof(args)));
    assert_non_null(emulator->run("sum_rows", one_block, 64, &args, sizeof(args) - 8));
    assert_non_null(emulator->run("sum_rows", one_block, 96, &args, sizeof(args)));
    assert_non_null(emulator->run("sum_rows", one_block, 320, &args, sizeof(args)));
    assert_non_null(
        emulator->run("sum_rows", (const uint32_t[]){1, 0, 1}, 64, &args, sizeof(args)));
    assert_false(emulator->has_kernel("never_written"));
    assert_true(emulator->has_kernel("sum_rows"));
}

static int open_emulators(void **state)
{
    emulators[0] = emulator_open("gpu-planted", 32);
    emulators[1] = emulator_open("gpu-planted", 64);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_add_up_their_rows),
        cmocka_unit_test(test_lanes_meet),
        cmocka_unit_test(test_each_thread_of_each_block_runs_once),
        cmocka_unit_test(test_a_wave_multiplies_matrices),
        cmocka_unit_test(test_random_order_skips_no_block),
        cmocka_unit_test(test_halves_are_ieee),
        cmocka_unit_test(test_a_divergent_barrier_ends_the_process),
        cmocka_unit_test(test_a_divergent_shuffle_ends_the_process),
        cmocka_unit_test(test_a_shuffle_with_lanes_that_ended_ends_the_process),
        cmocka_unit_test(test_a_shuffle_reads_lanes_of_the_wave_alone),
        cmocka_unit_test(test_shared_memory_has_a_limit),
        cmocka_unit_test(test_what_leaves_memory_is_caught),
        cmocka_unit_test(test_shared_memory_that_nobody_wrote_is_nan),
        cmocka_unit_test(test_a_missing_barrier_shows_between_orders),
        cmocka_unit_test(test_what_cannot_be_launched_is_told),
    };
    return cmocka_run_group_tests(tests, open_emulators, NULL);
}

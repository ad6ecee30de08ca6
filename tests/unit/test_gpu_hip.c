/* The runtime on the emulator, which answers as AMD's library does: devices, memory that runs out,
 * kernels that compute, and faults. The kernels are those of tests/emulator/planted.c. */
#include "hip/backend/gpu_abort.h"
#include "hip/backend/gpu_runtime.h"

#include "common/attr.h"
#include "common/mem.h"
#include "common/paths.h"
#include "tests/emulator/planted_args.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROW_COUNT = 3, COLUMN_COUNT = 100 };

static const char TWO_CARDS[] = "Radeon B,0000:c1:00.0,9f3a5c2e71b0d846,1000000;"
                                "Radeon A,0000:03:00.0,XX,2000000";

/* ORDER is a variable of the emulator's and VALUE its value, which it reads when it is loaded. */
static struct gpu_library *emulator_open(unsigned wave, const char *order, const char *value,
                                         struct err *err)
{
    AUTO_FREE char *name = xasprintf("libgpu-planted-%u.so", wave);
    AUTO_FREE char *path = paths_sibling_program(name);
    struct gpu_library *library = NULL;

    setenv("RBEE_EMULATOR_DEVICES", TWO_CARDS, 1);
    if (order != NULL)
        setenv(order, value, 1);
    library = gpu_library_open_file(path, err);
    if (order != NULL)
        unsetenv(order);
    return library;
}

static void devices_are_listed_by_address(void **state)
{
    struct err err = ERR_INIT;
    struct gpu_library *library = emulator_open(64, NULL, NULL, &err);
    const struct gpu_info *info = NULL;
    uint32_t index = 7;

    assert_non_null(library);
    assert_int_equal(gpu_device_count(library), 2);
    info = gpu_device(library, 0);
    assert_string_equal(info->vendor, "amd");
    assert_string_equal(info->name, "Radeon A");
    assert_string_equal(info->pci, "0000:03:00.0");
    assert_string_equal(info->uuid, "");
    assert_true(info->total_bytes == 2000000);
    assert_int_equal(info->wave, 64);
    assert_string_equal(info->architecture, "emulator-64");
    assert_string_equal(info->reason, "");
    assert_int_equal(gpu_device_find(library, "GPU-9f3a5c2e71b0d846", &index, &err), 0);
    assert_int_equal(index, 1);
    assert_int_equal(gpu_read_free(library, 1, &err), 0);
    assert_true(gpu_device(library, 1)->free_bytes == 1000000);
    gpu_library_close(library);
}

/* Sums of rows of whole numbers, which no order of adding changes. */
static void compute(struct gpu_context *context)
{
    float rows[ROW_COUNT][COLUMN_COUNT];
    float sums[ROW_COUNT] = {0};
    struct err err = ERR_INIT;
    float *in = gpu_alloc(context, sizeof(rows), &err);
    float *out = gpu_alloc(context, sizeof(sums), &err);
    struct args_planted args = {.in = in, .out = out, .count = COLUMN_COUNT};
    const struct gpu_kernel *kernel = gpu_find_kernel(context, "sum_rows", &err);

    for (int row = 0; row < ROW_COUNT; row++) {
        for (int column = 0; column < COLUMN_COUNT; column++)
            rows[row][column] = (float)(row + column);
    }
    assert_int_equal(gpu_upload(context, in, rows, sizeof(rows), &err), 0);
    assert_int_equal(gpu_launch(context, kernel, (uint32_t[]){ROW_COUNT, 1, 1}, 128, &args, &err),
                     0);
    args = (struct args_planted){0}; /* it has been copied */
    assert_int_equal(gpu_download(context, sums, out, sizeof(sums), &err), 0);
    assert_int_equal(gpu_sync(context, &err), 0);
    for (int row = 0; row < ROW_COUNT; row++)
        assert_true(sums[row] == 4950.0f + 100.0f * (float)row);
    gpu_free(context, in);
    gpu_free(context, out);
}

static void kernels_compute_on_both_waves(void **state)
{
    for (unsigned wave = 32; wave <= 64; wave *= 2) {
        struct err err = ERR_INIT;
        struct gpu_library *library = emulator_open(wave, NULL, NULL, &err);
        struct gpu_context *context = gpu_open(library, 1, &err);

        assert_non_null(context);
        assert_int_equal(gpu_context_info(context)->wave, wave);
        compute(context);
        assert_true(gpu_allocated_bytes(context) == 0);
        assert_true(gpu_allocated_peak_bytes(context) ==
                    sizeof(float[ROW_COUNT][COLUMN_COUNT]) + sizeof(float[ROW_COUNT]));
        assert_null(gpu_find_kernel(context, "no_such_kernel", &err));
        assert_int_equal(err.kind, ERR_DEVICE);
        assert_non_null(strstr(err.message, "lack no_such_kernel"));
        compute(context); /* that was no fault */
        gpu_close(context);
        gpu_library_close(library);
    }
}

static void memory_that_runs_out_is_its_own_error(void **state)
{
    struct err err = ERR_INIT;
    struct gpu_library *library = emulator_open(32, NULL, NULL, &err);
    struct gpu_context *context = gpu_open(library, 1, &err);
    void *most = gpu_alloc(context, 900000, &err);

    assert_non_null(most);
    assert_null(gpu_alloc(context, 900000, &err));
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_non_null(strstr(err.message, "hipErrorOutOfMemory"));
    gpu_free(context, most);
    compute(context);
    gpu_close(context);
    gpu_library_close(library);
}

/* It shows when somebody waits, and from then on at once. */
static void a_fault_of_a_kernel_ends_the_device(void **state)
{
    struct err err = ERR_INIT;
    struct gpu_library *library = emulator_open(32, "RBEE_EMULATOR_FAULT_LAUNCH", "2", &err);
    struct gpu_context *context = gpu_open(library, 0, &err);
    const struct gpu_kernel *kernel = NULL;
    struct args_planted args = {.in = NULL};

    compute(context);
    kernel = gpu_find_kernel(context, "who_am_i", &err);
    assert_int_equal(gpu_launch(context, kernel, (uint32_t[]){1, 1, 1}, 32, &args, &err), 0);
    assert_int_equal(gpu_sync(context, &err), -1);
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "hipStreamSynchronize: hipError"));
    assert_int_equal(gpu_launch(context, kernel, (uint32_t[]){1, 1, 1}, 32, &args, &err), -1);
    assert_non_null(strstr(err.message, "the GPU at 0000:03:00.0 has failed before: "));
    assert_null(gpu_alloc(context, 1, &err));
    gpu_close(context);
    gpu_library_close(library);
}

/* In a process of its own: a kernel's fault, told as ROCm tells some, or an assertion of ours. Its
 * last words are read from its stderr. */
static int end_of_child(bool is_drivers, char *words, size_t size)
{
    int ends[2];
    int status = 0;
    pid_t child = 0;
    ssize_t len = 0;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        struct err err = ERR_INIT;
        struct gpu_library *library = NULL;
        struct gpu_context *context = NULL;

        (void)dup2(ends[1], STDERR_FILENO);
        gpu_abort_set_end("last words\n", 13);
        setenv("RBEE_EMULATOR_FAULT", "abort", 1);
        library = emulator_open(64, "RBEE_EMULATOR_FAULT_LAUNCH", "1", &err);
        context = gpu_open(library, 0, &err);
        if (!is_drivers)
            abort();
        compute(context); /* ends there */
        _exit(0);
    }
    (void)close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    len = read(ends[0], words, size - 1);
    words[len > 0 ? len : 0] = '\0';
    (void)close(ends[0]);
    return status;
}

static void a_driver_that_aborts_ends_the_process_with_its_words(void **state)
{
    char words[4096];
    int status = end_of_child(true, words, sizeof(words));

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 13);
    assert_non_null(strstr(words, "last words\n"));
    status = end_of_child(false, words, sizeof(words));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_null(strstr(words, "last words"));
}

static void opening_fails_where_a_call_does(void **state)
{
    static const char *const CALLS[] = {"hipSetDevice", "hipSetDeviceFlags",
                                        "hipStreamCreateWithFlags", "hipModuleLoadData",
                                        "hipMemGetInfo"};

    for (size_t i = 0; i < ARRAY_COUNT(CALLS); i++) {
        struct err err = ERR_INIT;
        AUTO_FREE char *order = xasprintf("%s:1:1", CALLS[i]);
        struct gpu_library *library = emulator_open(32, "RBEE_EMULATOR_FAIL", order, &err);

        assert_null(gpu_open(library, 0, &err));
        assert_int_equal(err.kind, ERR_DEVICE);
        assert_non_null(strstr(err.message, "gpu:0 (Radeon A): "));
        if (strstr(err.message, CALLS[i]) == NULL)
            fail_msg("%s", err.message);
        gpu_library_close(library);
    }
}

static void a_driver_that_fails_is_told(void **state)
{
    struct err err = ERR_INIT;

    assert_null(emulator_open(32, "RBEE_EMULATOR_FAIL", "hipInit:1:3", &err));
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "hipInit: "));
    setenv("HIP_VISIBLE_DEVICES", "7", 1);
    assert_null(emulator_open(32, "RBEE_EMULATOR_FAIL", "hipInit:1:100", &err));
    assert_non_null(strstr(err.message, "shows no device, with HIP_VISIBLE_DEVICES=7"));
    unsetenv("HIP_VISIBLE_DEVICES");
    assert_null(emulator_open(32, "RBEE_EMULATOR_FAIL", "hipInit:1:101", &err));
    assert_non_null(strstr(err.message, "it lists no device"));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(devices_are_listed_by_address),
        cmocka_unit_test(kernels_compute_on_both_waves),
        cmocka_unit_test(memory_that_runs_out_is_its_own_error),
        cmocka_unit_test(a_fault_of_a_kernel_ends_the_device),
        cmocka_unit_test(a_driver_that_aborts_ends_the_process_with_its_words),
        cmocka_unit_test(opening_fails_where_a_call_does),
        cmocka_unit_test(a_driver_that_fails_is_told),
    };

    return cmocka_run_group_tests(TESTS, NULL, NULL);
}

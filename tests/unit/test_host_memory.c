/* What is left of the machine's memory: the narrowest limit counts. */
#include "common/host_memory.h"

#include "common/attr.h"
#include "common/paths.h"
#include "tests/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { MACHINE_TOTAL_BYTES = 2000, MACHINE_AVAILABLE_BYTES = 900 };

static void assert_limited(const char *root, uint64_t total_bytes, uint64_t available_bytes)
{
    struct host_memory memory = {MACHINE_TOTAL_BYTES, MACHINE_AVAILABLE_BYTES};

    host_memory_limit(root, "outer/inner", &memory);
    assert_int_equal(memory.total_bytes, total_bytes);
    assert_int_equal(memory.available_bytes, available_bytes);
}

static void the_narrowest_control_group_limits_memory(void **state)
{
    AUTO_FREE char *root = temp_folder_make();
    AUTO_FREE char *outer = paths_join(root, "outer");
    AUTO_FREE char *inner = paths_join(outer, "inner");

    assert_int_equal(mkdir(outer, 0700), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_limited(root, MACHINE_TOTAL_BYTES, MACHINE_AVAILABLE_BYTES);
    free(temp_folder_write(inner, "memory.max", "max\n", 0600));
    free(temp_folder_write(inner, "memory.current", "500\n", 0600));
    assert_limited(root, MACHINE_TOTAL_BYTES, MACHINE_AVAILABLE_BYTES);
    free(temp_folder_write(outer, "memory.max", "1000\n", 0600));
    free(temp_folder_write(outer, "memory.current", "700\n", 0600));
    assert_limited(root, 1000, 300);
    /* Pages of files are given up when memory is short. */
    free(temp_folder_write(outer, "memory.stat",
                           "anon 300\nfile 400\ninactive_file 150\nactive_file 50\n", 0600));
    assert_limited(root, 1000, 500);
    free(temp_folder_write(outer, "memory.max", "100\n", 0600));
    assert_limited(root, 100, 0);
    /* A limit that leaves more than there is limits nothing. */
    free(temp_folder_write(outer, "memory.max", "90000\n", 0600));
    assert_limited(root, MACHINE_TOTAL_BYTES, MACHINE_AVAILABLE_BYTES);
    temp_folder_remove(root);
}

static void the_machine_has_memory_and_no_more_is_left_than_there_is(void **state)
{
    struct host_memory memory;

    host_memory_read(&memory);
    assert_true(memory.total_bytes > 0 && memory.total_bytes < UINT64_MAX);
    assert_true(memory.available_bytes <= memory.total_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_narrowest_control_group_limits_memory),
        cmocka_unit_test(the_machine_has_memory_and_no_more_is_left_than_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

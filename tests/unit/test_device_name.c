/* What a device may be called, and two of them. */
#include "common/device_name.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* As long as an ID may be. */
#define ID_59 "01234567890123456789012345678901234567890123456789012345678"

static void one_name_or_two_gpus(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *names[DEVICE_NAMES_MAX_COUNT];
    } GOOD[] = {
        {"cpu", 1, {"cpu"}},
        {"gpu", 1, {"gpu"}},
        {"gpu:0", 1, {"gpu:0"}},
        {"gpu:0,gpu:1", 2, {"gpu:0", "gpu:1"}},
        {"gpu:0000:03:00.0,gpu:GPU-2c5f", 2, {"gpu:0000:03:00.0", "gpu:GPU-2c5f"}},
        {"gpu:0,gpu:00", 2, {"gpu:0", "gpu:00"}},
        {"gpu:" ID_59 ",gpu:1", 2, {"gpu:" ID_59, "gpu:1"}},
    };

    for (size_t i = 0; i < ARRAY_COUNT(GOOD); i++) {
        struct err err = ERR_INIT;
        struct device_names names;

        assert_int_equal(device_name_check(GOOD[i].text, ERR_USAGE, &err), 0);
        device_names_split(GOOD[i].text, &names);
        assert_int_equal(names.count, GOOD[i].count);
        for (size_t j = 0; j < names.count; j++)
            assert_string_equal(names.names[j], GOOD[i].names[j]);
    }
}

static void what_is_no_device_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",          ",",           "gpu:0,",     ",gpu:0",         "gpu:0,gpu:1,gpu:2",
        "gpu,gpu:0", "gpu:0,gpu",   "cpu,gpu:0",  "gpu:0,cpu",      "gpu:0, gpu:1",
        "gpu:0,1",   "gpu:",        "gpu:0,gpu:", "gpu:" ID_59 "9", "gpu:0,gpu:" ID_59 "9",
        "tpu",       "gpu:0;gpu:1", "gpu:a/b",    "gpu:0,gpu:a\"b", "cpu,cpu",
    };

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        struct err err = ERR_INIT;

        assert_int_equal(device_name_check(BAD[i], ERR_USAGE, &err), -1);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_non_null(strstr(err.message, "device must be \"cpu\", \"gpu\" or \"gpu:ID\""));
    }
}

static void the_same_twice_is_refused(void **state)
{
    struct err err = ERR_INIT;

    assert_int_equal(device_name_check("gpu:1,gpu:1", ERR_INVALID_FIELD, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID_FIELD);
    assert_string_equal(err.message, "device names gpu:1 twice: the two must differ");
}

static void no_name_is_none(void **state)
{
    struct device_names names;

    device_names_split("", &names);
    assert_int_equal(names.count, 0);
    device_names_split(device_name_or_cpu(""), &names);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.names[0], "cpu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_or_two_gpus),
        cmocka_unit_test(what_is_no_device_is_refused),
        cmocka_unit_test(the_same_twice_is_refused),
        cmocka_unit_test(no_name_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

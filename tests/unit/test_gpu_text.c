/* What drivers write, taken apart: nothing but a clean number is one, and what is unknown stays so.
 */
#include "gpu/amd_names.h"
#include "gpu/fdinfo.h"
#include "gpu/sysfs.h"

#include "common/attr.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void a_number_is_digits_and_nothing_else(void **state)
{
    static const char *const BAD[] = {
        "",    "-",   "+1",     " 1",    "1 ",  "1.5", "0x1",
        "1e3", "nan", "banana", "12abc", "--1", "1\n", "9999999999999999999"};
    double value = 7;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_false(sysfs_parse_number(BAD[i], &value));
    assert_true(value == 7);
    assert_true(sysfs_parse_number("0", &value) && value == 0);
    assert_true(sysfs_parse_number("-3000", &value) && value == -3000);
    assert_true(sysfs_parse_number("25753026560", &value) && value == 25753026560.0);
}

static void the_level_with_the_star_is_in_force(void **state)
{
    static const char *const BAD[] = {"",          "*",        "0: 500Mhz\n1: 900Mhz\n",
                                      "1: Mhz *",  "500Mhz *", "1: 500Ghz *",
                                      "1: 500M *", "1:*",      "1: 9999999999999999999Mhz *"};
    double mhz = 7;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        assert_false(sysfs_parse_level_mhz(BAD[i], &mhz));
    assert_true(sysfs_parse_level_mhz("0: 500Mhz\n1: 2304Mhz *\n2: 2500Mhz", &mhz));
    assert_true(mhz == 2304);
    assert_true(sysfs_parse_level_mhz("S: 19Mhz *\n0: 500Mhz", &mhz) && mhz == 19);
}

static void fdinfo_tells_whose_memory_where(void **state)
{
    struct fdinfo info;

    assert_true(fdinfo_parse("pos:\t0\ndrm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\n"
                             "drm-client-id:\t42\ndrm-memory-vram:\t2048 KiB\n"
                             "drm-memory-gtt:\t9 MiB\n",
                             &info));
    assert_string_equal(info.driver, "amdgpu");
    assert_string_equal(info.pdev, "0000:03:00.0");
    assert_true(info.has_client_id && info.client_id == 42);
    assert_int_equal(info.memory_bytes, 2 << 20);
    /* What lies there counts, whichever line comes first; what was asked for does not. */
    assert_true(fdinfo_parse("drm-driver: amdgpu\ndrm-total-vram: 9 MiB\n"
                             "drm-memory-vram: 3 MiB\ndrm-resident-vram: 5 MiB",
                             &info));
    assert_int_equal(info.memory_bytes, 5 << 20);
    assert_true(fdinfo_parse("drm-driver: amdgpu\ndrm-resident-vram: 5 MiB\n"
                             "drm-memory-vram: 3 MiB",
                             &info));
    assert_int_equal(info.memory_bytes, 5 << 20);
    assert_true(fdinfo_parse("drm-driver: amdgpu\ndrm-memory-vram: 77\n", &info));
    assert_int_equal(info.memory_bytes, 77);
    assert_false(info.has_client_id);
}

static void nonsense_in_fdinfo_is_unknown(void **state)
{
    static const char *const MEMORY[] = {"",
                                         "KiB",
                                         "-1 KiB",
                                         "1 GiB",
                                         "1 KiB x",
                                         "1.5 MiB",
                                         "1 kib",
                                         "99999999999999999 MiB",
                                         "99999999999999999999 KiB"};
    struct fdinfo info;

    assert_false(fdinfo_parse("", &info));
    assert_false(fdinfo_parse("pos:\t0\nflags:\t02\n", &info));
    assert_false(fdinfo_parse("drm-driver:", &info));
    assert_false(fdinfo_parse("drm-driver: a_name_that_is_much_longer_than_any_driver_has", &info));
    for (size_t i = 0; i < ARRAY_COUNT(MEMORY); i++) {
        AUTO_FREE char *text =
            xasprintf("drm-driver: amdgpu\ndrm-memory-vram: %s\ndrm-client-id: x1", MEMORY[i]);

        assert_true(fdinfo_parse(text, &info));
        assert_int_equal(info.memory_bytes, -1);
        assert_false(info.has_client_id);
    }
    /* One that is none does not hide the other. */
    assert_true(fdinfo_parse("drm-driver: amdgpu\ndrm-memory-vram: 3 MiB\n"
                             "drm-resident-vram: none",
                             &info));
    assert_int_equal(info.memory_bytes, 3 << 20);
}

static void a_card_is_named_by_device_and_revision(void **state)
{
    char name[CARD_TEXT_BYTES] = "";

    assert_true(amd_names_match("744C,\tC8,\tAMD Radeon RX 7900 XTX \n", "0x744c", "0xc8", name));
    assert_string_equal(name, "AMD Radeon RX 7900 XTX");
    assert_false(amd_names_match("744C,\tC0,\tAnother\n", "0x744c", "0xc8", name));
    assert_false(amd_names_match("744C1,\tC8,\tAnother\n", "0x744c", "0xc8", name));
    assert_false(amd_names_match("744C,\tC8,\t\n", "0x744c", "0xc8", name));
    assert_false(amd_names_match("# 744C\n", "0x744c", "0xc8", name));
    assert_false(amd_names_match("1.0.0\n", "", "", name));
    assert_string_equal(name, "AMD Radeon RX 7900 XTX");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_digits_and_nothing_else),
        cmocka_unit_test(the_level_with_the_star_is_in_force),
        cmocka_unit_test(fdinfo_tells_whose_memory_where),
        cmocka_unit_test(nonsense_in_fdinfo_is_unknown),
        cmocka_unit_test(a_card_is_named_by_device_and_revision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

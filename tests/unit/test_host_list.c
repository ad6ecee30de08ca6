/* Lists of hosts and origins: what may stand in them, and what is in them. */
#include "common/host_list.h"

#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void words_that_could_never_match_are_refused(void **state)
{
    static const struct {
        int (*check)(const char *list, struct err *err);
        const char *list;
        int rc;
    } CASES[] = {
        {host_list_check_hosts, "", 0},
        {host_list_check_hosts, " , ", 0},
        {host_list_check_hosts, "gpu.lan,10.0.0.5 [fd00::1]:7833", 0},
        {host_list_check_hosts, "http://gpu.lan", -1},
        {host_list_check_hosts, "gpu.lan/", -1},
        {host_list_check_hosts, "*.lan", -1},
        {host_list_check_origins, "https://chat.lan, http://10.0.0.5:8080", 0},
        {host_list_check_origins, "app://obsidian.md", 0},
        {host_list_check_origins, "chat.lan", -1},
        {host_list_check_origins, "https://", -1},
        {host_list_check_origins, "://chat.lan", -1},
        {host_list_check_origins, "https://chat.lan/", -1},
        {host_list_check_origins, "https:/chat.lan", -1},
        {host_list_check_origins, "null", -1},
        {host_list_check_origins, "*", -1},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err err = ERR_INIT;

        if (CASES[i].check(CASES[i].list, &err) != CASES[i].rc)
            fail_msg("\"%s\": %s", CASES[i].list, err.message);
    }
}

static void a_word_is_in_a_list_as_a_whole_and_in_any_case(void **state)
{
    static const char LIST[] = "gpu.lan, Chat.Lan:80";

    assert_true(host_list_has(LIST, "gpu.lan", strlen("gpu.lan")));
    assert_true(host_list_has(LIST, "GPU.LAN", strlen("GPU.LAN")));
    assert_true(host_list_has(LIST, "gpu.lan:7833", strlen("gpu.lan")));
    assert_true(host_list_has(LIST, "chat.lan:80", strlen("chat.lan:80")));
    assert_false(host_list_has(LIST, "chat.lan", strlen("chat.lan")));
    assert_false(host_list_has(LIST, "gpu.la", strlen("gpu.la")));
    assert_false(host_list_has(LIST, "gpu.lan.evil", strlen("gpu.lan.evil")));
    assert_false(host_list_has(LIST, "", 0));
    assert_false(host_list_has("", "gpu.lan", strlen("gpu.lan")));
}

static void a_host_ends_before_its_port(void **state)
{
    assert_int_equal(host_list_host_len("gpu.lan"), 7);
    assert_int_equal(host_list_host_len("gpu.lan:7833"), 7);
    assert_int_equal(host_list_host_len("[::1]:7833"), 5);
    assert_int_equal(host_list_host_len("[::1]"), 5);
    assert_int_equal(host_list_host_len("[::1"), 1); /* no host of ours is called so */
    assert_int_equal(host_list_host_len(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_could_never_match_are_refused),
        cmocka_unit_test(a_word_is_in_a_list_as_a_whole_and_in_any_case),
        cmocka_unit_test(a_host_ends_before_its_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
